"""What Func Bundles in Python are written with.

A function is a callable that is named by the operationId of its operation,
``module.function``. It takes the request's Context, and the body where it wants
it, and returns what the client is answered with::

    from dataclasses import dataclass
    from funcatron import HTTPError

    @dataclass
    class Person:
        name: str
        age: int

    def greet(ctx, person: Person):
        if person.age < 18:
            raise HTTPError(422, f"{person.name} is too young")
        return {"greeting": f"Hello {person.name}"}

What it logs with ``logging`` carries the operation and the request's id.
"""

from .context import Context, HTTPError, Response, current
from .host import serve
from .services import Vendor, register_vendor

__all__ = ["Context", "HTTPError", "Response", "Vendor", "current", "register_vendor", "serve"]
