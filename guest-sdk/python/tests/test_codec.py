"""JSON to typed values: what is accepted, and what is said of the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import pytest

from mezzo import codec
from mezzo.errors import JsonError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Inner:
    argv: list[str]
    limit: int | None = None


@dataclass
class Outer:
    tasks: list[Inner] = field(default_factory=list)
    colour: Colour = Colour.RED
    pair: tuple[int, str] = (0, "")
    by_number: dict[int, float] = field(default_factory=dict)
    data: bytes = b""
    anything: Any = None
    mode: Literal["fast", "slow"] = "fast"


@dataclass
class Tree:
    name: str
    below: list[Tree] = field(default_factory=list)


def test_what_is_written_is_read_again() -> None:
    value = Outer(
        tasks=[Inner(["a", "é🐍\ud800", ""], 2**64 - 1), Inner([])],
        colour=Colour.BLUE,
        pair=(-1, "x"),
        by_number={0: 1.5, 2**64 - 1: 2.0},
        data=bytes(range(256)),
        anything={"k": [1, None, True]},
        mode="slow",
    )
    assert codec.decode(Outer, codec.encode(value), strict=True) == value
    tree = Tree("root", [Tree("leaf"), Tree("", [Tree("deep")])])
    assert codec.decode(Tree, codec.encode(tree)) == tree


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ('{"tasks": [{"argv": ["x", 1]}]}', "tasks[0].argv[1]", "expected a text, not 1"),
        ('{"tasks": [{"argv": []}, {"arg": []}]}', "tasks[1].arg", "there is no such field; there are argv, limit"),
        ('{"tasks": [{}]}', "tasks[0]", "the field `argv` is missing"),
        ('{"tasks": [{"argv": [], "limit": "1"}]}', "tasks[0].limit", 'expected int | None, not "1"'),
        ('{"tasks": [{"argv": [], "limit": true}]}', "tasks[0].limit", "not true"),
        ('{"tasks": [{"argv": [], "limit": 1.0}]}', "tasks[0].limit", "not 1.0"),
        ('{"task": []}', "task", "there is no such field"),
        ('{"colour": "green"}', "colour", 'expected one of "red", "blue"'),
        ('{"pair": [1]}', "pair", "expected a list of 2"),
        ('{"by_number": {"x": 1}}', "by_number.x", "expected an integer as key"),
        ('{"data": "?"}', "data", "expected base64"),
        ('{"mode": "medium"}', "mode", 'expected one of "fast", "slow"'),
        ("[]", "", "expected an object, not []"),
    ],
)
def test_the_place_is_named(text: str, where: str, words: str) -> None:
    with pytest.raises(JsonError) as caught:
        codec.decode(Outer, text, strict=True)
    assert caught.value.field == where
    assert words in caught.value.reason
    assert not caught.value.malformed


def test_what_is_no_json_is_said_to_be_none() -> None:
    for text in ("", "{", '{"tasks": [}', b"\xff\xfe"):
        with pytest.raises(JsonError) as caught:
            codec.decode(Outer, text)
        assert caught.value.malformed


def test_unknown_fields_are_skipped_unless_it_is_strict() -> None:
    assert codec.decode(Inner, '{"argv": [], "newer": 1}') == Inner([])


def test_what_json_does_not_know_is_refused() -> None:
    for value in (object(), {1, 2}, float("nan")):
        with pytest.raises((TypeError, ValueError)):
            codec.encode(value)
    with pytest.raises(TypeError, match="cannot be read from JSON"):
        codec.decode(complex, "1")
