"""From JSON to the types of functions, and back."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import json
import math
import typing
import uuid
from typing import Any, Callable, Dict, Optional, Tuple, Union

Decoder = Callable[[Any, str], Any]


class Mismatch(Exception):
    """A value that is not of its type; the message says where and what."""

    def __init__(self, where: str, message: str):
        super().__init__(f"{where or 'the body'}: {message}")


def decoder_of(annotation: Any) -> Decoder:
    """What makes a value of JSON one of the annotated type.

    It knows dataclasses, pydantic models, enums, Literal, Optional and Union, lists,
    tuples, sets, dicts, dates and times, UUIDs and Decimals. What it does not know it
    passes through.
    """
    if annotation in (Any, None, dataclasses.MISSING) or isinstance(annotation, (str, typing.TypeVar)):
        return _any
    if annotation is type(None):
        return _none
    simple = _SIMPLE.get(annotation) if isinstance(annotation, collections.abc.Hashable) else None
    if simple is not None:
        return simple
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return _union([decoder_of(a) for a in args])
    if origin is typing.Literal:
        return _literal(args)
    if origin is getattr(typing, "Annotated", object()):
        return decoder_of(args[0])
    if origin in (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection):
        return _sequence(list, decoder_of(args[0]))
    if origin in (set, frozenset):
        return _sequence(origin, decoder_of(args[0]))
    if origin is tuple:
        return _sequence(tuple, decoder_of(args[0])) if len(args) == 2 and args[1] is ... else _tuple([decoder_of(a) for a in args])
    if origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        return _mapping(decoder_of(args[1]))
    if isinstance(annotation, type):
        if hasattr(annotation, "model_validate"):
            return _pydantic(annotation)
        if dataclasses.is_dataclass(annotation):
            return _dataclass(annotation)
        if issubclass(annotation, enum.Enum):
            return _calling(annotation, "one of " + ", ".join(repr(e.value) for e in annotation))
    return _any


def _any(value: Any, _: str) -> Any:
    return value


def _none(value: Any, where: str) -> None:
    if value is not None:
        raise Mismatch(where, f"want null, not {kind(value)}")


def _of(python: type, name: str) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if type(value) is not python:
            raise Mismatch(where, f"want {name}, not {kind(value)}")
        return value

    return decode


def _int(value: Any, where: str) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise Mismatch(where, f"want an integer, not {kind(value)}")
    return value


def _float(value: Any, where: str) -> float:
    try:
        number = float(value) if type(value) is int else value
    except OverflowError:
        number = math.inf
    if type(number) is not float:
        raise Mismatch(where, f"want a number, not {kind(value)}")
    if math.isinf(number):  # 1e400 is JSON, and Python's parser makes it that
        raise Mismatch(where, "want a number that a float can hold")
    return number


def _calling(make: Callable[[Any], Any], want: str) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        try:
            return make(value)
        except (ValueError, TypeError, ArithmeticError):
            raise Mismatch(where, f"want {want}") from None

    return decode


def _moment(text: Any) -> datetime.datetime:
    # Before 3.11 it knows no Z.
    return datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "zZ" else text)


_SIMPLE: Dict[Any, Decoder] = {
    str: _of(str, "a string"),
    bool: _of(bool, "a boolean"),
    int: _int,
    float: _float,
    list: _of(list, "an array"),
    dict: _of(dict, "an object"),
    datetime.datetime: _calling(_moment, "a date and time (RFC 3339)"),
    datetime.date: _calling(datetime.date.fromisoformat, "a date (RFC 3339)"),
    datetime.time: _calling(datetime.time.fromisoformat, "a time (RFC 3339)"),
    uuid.UUID: _calling(uuid.UUID, "a UUID"),
    decimal.Decimal: _calling(lambda v: decimal.Decimal(str(v)), "a number"),
}


def _union(options: "list[Decoder]") -> Decoder:
    def decode(value: Any, where: str) -> Any:
        failures = []
        for option in options:
            try:
                return option(value, where)
            except Mismatch as e:
                failures.append(e)
        # Of Optional[T] it is T that says more.
        raise next((f for f in failures if "want null" not in str(f)), failures[0])

    return decode


def _literal(values: Tuple[Any, ...]) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if not any(type(v) is type(value) and v == value for v in values):
            raise Mismatch(where, "want one of " + ", ".join(map(repr, values)))
        return value

    return decode


def _sequence(make: Callable[[Any], Any], item: Decoder) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if type(value) is not list:
            raise Mismatch(where, f"want an array, not {kind(value)}")
        return make([item(v, f"{where}[{i}]") for i, v in enumerate(value)])

    return decode


def _tuple(items: "list[Decoder]") -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if type(value) is not list or len(value) != len(items):
            raise Mismatch(where, f"want an array of {len(items)}")
        return tuple(item(v, f"{where}[{i}]") for i, (item, v) in enumerate(zip(items, value)))

    return decode


def _mapping(item: Decoder) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise Mismatch(where, f"want an object, not {kind(value)}")
        return {name: item(v, member(where, name)) for name, v in value.items()}

    return decode


def _pydantic(model: Any) -> Decoder:
    def decode(value: Any, where: str) -> Any:
        try:
            return model.model_validate(value)
        except ValueError as e:  # pydantic.ValidationError is one
            errors = getattr(e, "errors", None)
            if errors is None:
                raise Mismatch(where, str(e)) from None
            texts = [".".join(map(str, (*filter(None, [where]), *x["loc"]))) + ": " + x["msg"] for x in errors()]
            raise Mismatch(where, "; ".join(texts)) from None

    return decode


def _dataclass(cls: Any) -> Decoder:
    fields: Optional["list[tuple[str, Decoder, bool]]"] = None

    def resolve() -> "list[tuple[str, Decoder, bool]]":
        # Later than the class is made, so that it may refer to itself.
        hints = typing.get_type_hints(cls)
        return [
            (f.name, decoder_of(hints.get(f.name, Any)), f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
            for f in dataclasses.fields(cls)
            if f.init
        ]

    def decode(value: Any, where: str) -> Any:
        nonlocal fields
        if type(value) is not dict:
            raise Mismatch(where, f"want an object, not {kind(value)}")
        if fields is None:
            fields = resolve()
        found = {}
        for name, item, required in fields:
            if name in value:
                found[name] = item(value[name], member(where, name))
            elif required:
                raise Mismatch(member(where, name), "is missing")
        try:
            return cls(**found)
        except ValueError as e:  # of a __post_init__ that checks
            raise Mismatch(where, str(e)) from None

    return decode


def member(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def kind(value: Any) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _default(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    raise TypeError(f"JSON cannot have a {type(value).__name__}")


_readable = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default)
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_default)


def to_json(value: Any) -> bytes:
    """value as JSON in UTF-8. ValueError or TypeError for what JSON cannot have."""
    try:
        return _readable.encode(value).encode()
    except UnicodeEncodeError:  # half a surrogate pair is JSON only as an escape
        return _escaped.encode(value).encode()
