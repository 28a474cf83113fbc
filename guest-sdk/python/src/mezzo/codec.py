"""JSON to and from typed values: dataclasses, enums, lists, tuples, dicts, optionals, numbers, texts, `bytes`.

What stands in the text must be of the type asked for; nothing is converted silently. `bytes` are base64.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, Union

from mezzo.errors import JsonError

T = TypeVar("T")

# Takes a parsed value, the path to it, and whether unknown fields are refused.
_Reader = Callable[[Any, str, bool], Any]


def encode(value: object) -> bytes:
    """The value as JSON; `TypeError` or `ValueError` when it cannot be."""
    return json.dumps(value, default=_plain, separators=(",", ":"), allow_nan=False).encode()


def decode(kind: Callable[..., T], text: str | bytes, *, strict: bool = False) -> T:
    """Reads JSON as a `kind`. Unknown fields are refused if `strict`, else skipped."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise JsonError("", str(error), malformed=True) from None
    return from_plain(kind, value, strict=strict)


def from_plain(kind: Callable[..., T], value: object, *, strict: bool = False) -> T:
    """The same from what a JSON parser has made."""
    return typing.cast(T, _reader(kind)(value, "", strict))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


_readers: dict[Any, _Reader] = {}


def _reader(kind: Any) -> _Reader:
    try:
        return _readers[kind]
    except KeyError:
        pass

    # A type may contain itself: until its reader is made, it is looked up when it is needed.
    def later(value: Any, path: str, strict: bool) -> Any:
        return _readers[kind](value, path, strict)

    _readers[kind] = later
    try:
        made = _make(kind)
    except BaseException:
        del _readers[kind]
        raise
    _readers[kind] = made
    return made


def _make(kind: Any) -> _Reader:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return lambda value, path, strict: value
    if origin in (Union, types.UnionType):
        return _union(kind, [_reader(arg) for arg in args])
    if origin is typing.Literal:
        return _literal(args)
    if kind is list or origin is list:
        return _list(_reader(args[0] if args else Any))
    if kind is tuple or origin is tuple:
        return _tuple(args)
    if kind is dict or origin is dict:
        return _dict(*(args or (str, Any)))
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if kind is bytes:
        return _bytes
    if kind is float:
        return _scalar((float, int), "a number", float)
    if kind in _SCALARS:
        return _scalar((kind,), _SCALARS[kind], None)
    raise TypeError(f"{kind!r} cannot be read from JSON; use a dataclass, or a type that JSON knows")


_SCALARS: dict[Any, str] = {int: "an integer", str: "a text", bool: "true or false", type(None): "null"}


def _refuse(path: str, value: object, expected: str) -> JsonError:
    shown = json.dumps(value)
    return JsonError(path, f"expected {expected}, not {shown if len(shown) <= 80 else shown[:77] + '...'}")


def _scalar(kinds: tuple[type, ...], expected: str, convert: Callable[[Any], Any] | None) -> _Reader:
    boolean = bool in kinds

    def read(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and not boolean):
            raise _refuse(path, value, expected)
        return convert(value) if convert else value

    return read


def _bytes(value: Any, path: str, strict: bool) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _refuse(path, value, "base64") from None


def _enum(kind: type[Enum]) -> _Reader:
    def read(value: Any, path: str, strict: bool) -> Any:
        try:
            return kind(value)
        except ValueError:
            choices = ", ".join(json.dumps(member.value) for member in kind)
            raise _refuse(path, value, f"one of {choices}") from None

    return read


def _literal(choices: tuple[Any, ...]) -> _Reader:
    def read(value: Any, path: str, strict: bool) -> Any:
        if value not in choices:
            raise _refuse(path, value, f"one of {', '.join(map(json.dumps, choices))}")
        return value

    return read


def _union(kind: Any, readers: list[_Reader]) -> _Reader:
    def read(value: Any, path: str, strict: bool) -> Any:
        deepest: JsonError | None = None
        for reader in readers:
            try:
                return reader(value, path, strict)
            except JsonError as error:
                # The one that came farthest into the value is about what was meant.
                if deepest is None or len(error.field) > len(deepest.field):
                    deepest = error
        if deepest is None or deepest.field == path:
            raise _refuse(path, value, str(kind).replace("typing.", ""))
        raise deepest

    return read


def _list(item: _Reader) -> _Reader:
    def read(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, list):
            raise _refuse(path, value, "a list")
        return [item(one, f"{path}[{nth}]", strict) for nth, one in enumerate(value)]

    return read


def _tuple(args: tuple[Any, ...]) -> _Reader:
    if not args or (len(args) == 2 and args[1] is Ellipsis):
        any_length = _list(_reader(args[0] if args else Any))
        return lambda value, path, strict: tuple(any_length(value, path, strict))
    items = [_reader(arg) for arg in args]

    def read(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, list) or len(value) != len(items):
            raise _refuse(path, value, f"a list of {len(items)}")
        pairs = enumerate(zip(items, value, strict=True))
        return tuple(item(one, f"{path}[{nth}]", strict) for nth, (item, one) in pairs)

    return read


def _dict(key: Any, item: Any) -> _Reader:
    if key not in (str, int):
        raise TypeError(f"a dict's keys are str or int in JSON, not {key!r}")
    read_item = _reader(item)

    def read(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, dict):
            raise _refuse(path, value, "an object")
        result = {}
        for name, one in value.items():
            place = f"{path}.{name}" if path else name
            try:
                own = key(name)
            except ValueError:
                raise _refuse(place, name, "an integer as key") from None
            result[own] = read_item(one, place, strict)
        return result

    return read


def _dataclass(kind: Any) -> _Reader:
    hints = typing.get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    readers = {field.name: _reader(hints[field.name]) for field in fields}
    needed = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def read(value: Any, path: str, strict: bool) -> Any:
        if not isinstance(value, dict):
            raise _refuse(path, value, "an object")
        given = {}
        for name, one in value.items():
            place = f"{path}.{name}" if path else name
            reader = readers.get(name)
            if reader is not None:
                given[name] = reader(one, place, strict)
            elif strict:
                raise JsonError(place, f"there is no such field; there are {', '.join(readers) or 'none'}")
        for name in needed:
            if name not in given:
                raise JsonError(path, f"the field `{name}` is missing")
        return kind(**given)

    return read
