"""What a function is given, and what it may answer with."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from .services import Services

_current: contextvars.ContextVar[Optional["Context"]] = contextvars.ContextVar("funcatron", default=None)


def current() -> Optional["Context"]:
    """The Context of the request that this code runs for; None outside of one."""
    return _current.get()


class HTTPError(Exception):
    """An answer that is an error: ``raise HTTPError(409, "it is there already")``.

    The client gets it as application/problem+json (RFC 9457) with the message as
    its detail, and the request's transactions are rolled back. It is logged where
    the status is 500 or more.
    """

    def __init__(self, status: int, message: str = "", headers: Optional[Mapping[str, str]] = None):
        super().__init__(message)
        if not 400 <= status <= 599:
            raise ValueError(f"the status of an HTTPError is {status}, must be from 400 to 599")
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class Response:
    """An answer with a status and headers of its own.

    The body is what a function may return: bytes, a str, anything that JSON can
    have, None for none, or an iterator or async iterator of bytes or str, which is sent
    in blocks as it comes. A Content-Type in headers stands in place of the one that the
    body's type gives.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: Any = None, status: int = 200, headers: Optional[Mapping[str, Union[str, Iterable[str]]]] = None):
        if not 200 <= status <= 599:
            raise ValueError(f"the status of a Response is {status}, must be from 200 to 599")
        self.body = body
        self.status = status
        self.headers = dict(headers or {})


class Headers(Mapping[str, str]):
    """Header fields by name, in any case. Repeated ones are joined (RFC 9110, 5.3)."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Dict[str, str]):
        self._fields = fields  # by lower-case names

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Context:
    """The request that a function is called for, and what it may use for it.

    It is the request's alone, and not to be used after the function returned.
    """

    def __init__(self, services: "Services", props: Dict[str, Any], method: str, uri: str, headers: Dict[str, str], body: bytes, deadline: float):
        self.method = method
        #: Path and query as the client sent them.
        self.uri = uri
        self.headers = Headers(headers)
        self.body = body
        #: The REQ id: 32 hex digits, which every log line carries.
        self.request_id: str = headers.get("x-request-id") or uuid.uuid4().hex
        #: The operationId.
        self.operation: str = headers.get("x-funcatron-operation", "")
        #: The Execution Properties that the bundle was enabled with. Do not change them.
        self.props = props
        self._over = False
        self._deadline = deadline
        self._services = services
        self._items: List[Tuple[Any, Any]] = []
        self._params: Optional[Dict[str, Dict[str, Any]]] = None

    @property
    def cancelled(self) -> threading.Event:
        """Set when the deadline has passed or the client is gone.

        A function that takes its time looks at it: ``if ctx.cancelled.wait(0.1): return``.
        """
        event = self.__dict__.setdefault("_event", threading.Event())
        if self._over:
            event.set()
        return event  # type: ignore[no-any-return]

    def _cancel(self) -> None:
        self._over = True  # first, for an Event that is made meanwhile
        event = self.__dict__.get("_event")
        if event is not None:
            event.set()

    # Parameters, of the types that the Swagger document declares, defaults filled in.

    @property
    def path_params(self) -> Dict[str, Any]:
        return self._declared("path")

    @property
    def query_params(self) -> Dict[str, Any]:
        """Declared ones as their types, all others as str, or list of str where repeated."""
        return {**self.query, **self._declared("query")}

    @property
    def header_params(self) -> Dict[str, Any]:
        return self._declared("header")

    @property
    def form_params(self) -> Dict[str, Any]:
        return self._declared("form")

    @property
    def params(self) -> Dict[str, Any]:
        """All of them: those of the path before those of the query, the form and the header."""
        return {**self.header_params, **self.form_params, **self.query_params, **self.path_params}

    @property
    def query(self) -> Dict[str, Union[str, List[str]]]:
        """The query as it was sent: each a str, or a list of str where it is repeated."""
        found: Dict[str, Union[str, List[str]]] = {}
        _, _, text = self.uri.partition("?")
        for name, value in parse_qsl(text, keep_blank_values=True):
            before = found.get(name)
            if before is None:
                found[name] = value
            elif isinstance(before, list):
                before.append(value)
            else:
                found[name] = [before, value]
        return found

    def _declared(self, where: str) -> Dict[str, Any]:
        if self._params is None:
            text = self.headers.get("x-funcatron-params", "{}")
            try:
                self._params = json.loads(text if text.isascii() else text.encode("latin-1"))
            except ValueError as e:
                raise HTTPError(400, f"X-Funcatron-Params is not JSON: {e}") from None
        return self._params.get(where) or {}

    # What it may use.

    @property
    def logger(self) -> logging.Logger:
        """A logger of the operation's name; any other of ``logging`` does as well."""
        return logging.getLogger(self.operation or "funcatron")

    @property
    def services(self) -> List[str]:
        """The names of the services that the props describe."""
        return self._services.names()

    def vend(self, name: str) -> Any:
        """The service of that name: for a database, a connection in a transaction.

        It is the same one throughout the request. When the function has returned, in
        time, the transaction is committed, and the client answered after that; else
        it is rolled back. It may block: async functions use ``await ctx.avend(name)``.
        HTTPError 503 where there is no such service or it cannot be had.
        """
        for vendor, item in self._items:
            if vendor.name == name:
                return item
        vendor, item = self._services.vend(name, self)
        self._items.append((vendor, item))
        return item

    async def avend(self, name: str) -> Any:
        """vend for async functions: others go on while it blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._services.vending, contextvars.copy_context().run, self.vend, name)

    def remaining(self) -> float:
        """What is left until the deadline, in seconds; 0 when it has passed."""
        return max(self._deadline - time.monotonic(), 0.0)

    def headers_out(self) -> Dict[str, str]:
        """The headers that make a call to another function part of this request."""
        given = {name: self.headers[name] for name in ("traceparent", "tracestate") if name in self.headers}
        return {"X-Request-Id": self.request_id, **given}

    def request(self, url: Union[str, urllib.request.Request], data: Optional[bytes] = None, **options: Any) -> Any:
        """urllib.request.urlopen with headers_out, and a timeout of what is left.

        It blocks: async functions call it by ``asyncio.to_thread``, or give their own
        client headers_out.
        """
        request = url if isinstance(url, urllib.request.Request) else urllib.request.Request(url, data)
        for name, value in self.headers_out().items():
            if not request.has_header(name.capitalize()):
                request.add_header(name, value)
        options.setdefault("timeout", max(self.remaining(), 0.001))
        return urllib.request.urlopen(request, **options)

    def _release(self, success: bool) -> None:
        """Gives all that was vended back; raises what the first commit that fails does."""
        items, self._items = self._items, []
        failed: Optional[BaseException] = None
        for vendor, item in items:
            try:
                vendor.release(item, success and failed is None)
            except Exception as e:
                if success:
                    failed = failed or e
                else:
                    logging.getLogger("funcatron").warning("service %s: %s", vendor.name, e)
        if failed is not None:
            raise failed
