"""Typed durable state: a `Value` is one key, a `Table` one key for each row, both JSON, both read once and cached.

What a turn has changed is written when the turn ends, once for each key. So it is for what was changed in place:
whatever mutable the turn was handed is compared then with what is written. An exception undoes the turn: nothing of
it is written, and the next instance reads what the last committed turn left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Generic, Protocol, TypeVar, cast

from mezzo import codec
from mezzo.errors import JsonError, StateError
from mezzo.host import Host

T = TypeVar("T")
K = TypeVar("K", str, int)

_UNREAD = object()


class _Flush(Protocol):
    def flush(self, host: Host) -> None: ...


class Journal:
    """What has to be looked at when the turn ends."""

    def __init__(self) -> None:
        self._touched: dict[int, _Flush] = {}

    def touch(self, what: _Flush) -> None:
        """Notes that the turn has changed it, or may have."""
        self._touched[id(what)] = what

    def flush(self, host: Host) -> None:
        """Writes all that the turn has changed. A refusal (the quota, a value too large) undoes the turn."""
        touched, self._touched = self._touched, {}
        for what in touched.values():
            what.flush(host)


class Value(Generic[T]):
    """One durable value under one key. Made by `cx.state.value`."""

    def __init__(self, host: Host, journal: Journal, key: str, kind: Callable[..., T], default: Any) -> None:
        self._key = key
        self._journal = journal
        self._written = host.state_get(key)
        if self._written is None:
            self._value = _make_default(key, kind) if default is _UNREAD else cast(T, default)
        else:
            self._value = _read(key, kind, self._written)

    @property
    def value(self) -> T:
        """The value as the turn has left it so far."""
        if not _is_immutable(self._value):
            self._journal.touch(self)
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._journal.touch(self)
        self._value = value

    def flush(self, host: Host) -> None:
        """Called when the turn ends."""
        new = _write(self._key, self._value)
        if new != self._written:
            host.state_set(self._key, new)
            self._written = new


class Table(MutableMapping[K, T]):
    """Durable rows under one prefix, a dict in the order of its keys; each row is written alone.

    With thousands of rows use a frozen dataclass for them, and `dataclasses.replace`: a row that cannot be changed in
    place need not be compared at the end of a turn that looked at it. Made by `cx.state.table`.
    """

    def __init__(self, host: Host, journal: Journal, prefix: str, kind: Callable[..., T], key: type[K]) -> None:
        self._prefix = prefix
        self._journal = journal
        self._key: Callable[[str], K] = key
        self._number = key is int
        self._rows: dict[K, T] = {}
        self._written: dict[K, bytes] = {}
        self._touched: set[K] = set()
        self._in_order = True
        for name, written in scan(host, prefix):
            row = self._parse(name)
            self._rows[row] = _read(name, kind, written)
            self._written[row] = written

    def __getitem__(self, key: K) -> T:
        row = self._rows[key]
        if not _is_immutable(row):
            self._touch(key)
        return row

    def __setitem__(self, key: K, row: T) -> None:
        self._name(key)
        self._in_order &= key in self._rows
        self._rows[key] = row
        self._touch(key)

    def __delitem__(self, key: K) -> None:
        del self._rows[key]
        self._touch(key)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[K]:
        if not self._in_order:
            self._rows = dict(sorted(self._rows.items()))
            self._in_order = True
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"Table({self._prefix!r}, {dict(sorted(self._rows.items()))!r})"

    def flush(self, host: Host) -> None:
        """Called when the turn ends."""
        touched, self._touched = self._touched, set()
        for key in sorted(touched):
            name = self._name(key)
            if key not in self._rows:
                if self._written.pop(key, None) is not None:
                    host.state_delete(name)
                continue
            new = _write(name, self._rows[key])
            if new != self._written.get(key):
                host.state_set(name, new)
                self._written[key] = new

    def _touch(self, key: K) -> None:
        self._touched.add(key)
        self._journal.touch(self)

    def _name(self, key: K) -> str:
        if not self._number:
            if not isinstance(key, str):
                raise TypeError(f"a key of {self._prefix!r} is a str, not {key!r}")
            return self._prefix + key
        if not isinstance(key, int) or not 0 <= key < 1 << 64:
            raise TypeError(f"a key of {self._prefix!r} is an int from 0 to 2^64 - 1, not {key!r}")
        # As many digits as the largest has, so that the order of texts is that of numbers.
        return f"{self._prefix}{key:020}"

    def _parse(self, name: str) -> K:
        text = name[len(self._prefix) :]
        if self._number and (len(text) != 20 or not text.isdecimal()):
            raise StateError(name, "the key is none of this table")
        return self._key(text)


class State:
    """Keys and values that commit with the turn and outlive instance, upgrade and master: `cx.state`."""

    def __init__(self, host: Host, journal: Journal) -> None:
        self._host = host
        self._journal = journal

    def value(self, key: str, kind: Callable[..., T], default: Any = _UNREAD) -> Value[T]:
        """One typed value, such as `cx.state.value("progress", Progress)`; call it in `start` and keep what it gives.

        A key that is not there reads as `default`, or as `kind()`. `StateError` if what is there is of another type.
        """
        return Value(self._host, self._journal, key, kind, default)

    def table(self, prefix: str, row: Callable[..., T], key: type[K] = str) -> Table[K, T]:  # type: ignore[assignment]
        """Typed rows, such as `cx.state.table("job/", Job, key=int)`. Each table needs a prefix of its own."""
        return Table(self._host, self._journal, prefix, row, key)

    def get(self, key: str) -> bytes | None:
        """The raw value of a key."""
        return self._host.state_get(key)

    def set(self, key: str, value: bytes) -> None:
        """Sets a raw value; `StateError` when it is too large or the quota is reached, and the key keeps its value."""
        self._host.state_set(key, value)

    def delete(self, key: str) -> None:
        """Removes a key, if it is there."""
        self._host.state_delete(key)

    def scan(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """All keys that begin with `prefix`, in order, with their values."""
        return scan(self._host, prefix)


def scan(host: Host, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Reads on until a page comes back empty: pages may be cut short by bytes as well as by count."""
    after = None
    while page := host.state_scan(prefix, after, 1_000):
        yield from page
        after = page[-1][0]


def _is_immutable(value: object) -> bool:
    kind = type(value)
    if kind in (bool, int, str, float, bytes, type(None)):
        return True
    parameters = getattr(kind, "__dataclass_params__", None)
    return (
        parameters is not None
        and parameters.frozen
        and all(_is_immutable(getattr(value, field.name)) for field in dataclasses.fields(cast(Any, value)))
    )


def _make_default(key: str, kind: Callable[..., T]) -> T:
    try:
        return kind()
    except TypeError as error:
        raise TypeError(f"the state under `{key}` has no default: give one ({error})") from None


def _read(key: str, kind: Callable[..., T], written: bytes) -> T:
    try:
        return codec.decode(kind, written)
    except JsonError as error:
        raise StateError(key, f"it cannot be read: {error}") from None


def _write(key: str, value: object) -> bytes:
    try:
        return codec.encode(value)
    except (TypeError, ValueError) as error:
        raise StateError(key, f"it is no JSON: {error}") from None
