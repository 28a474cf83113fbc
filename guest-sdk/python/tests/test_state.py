"""Typed durable state: what a turn writes, and what the next instance finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from mezzo import Cx, Framework, Setup, StateError
from mezzo.testing import Cluster


@dataclass
class Progress:
    done: int = 0
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    number: int
    name: str = ""


class Keeper(Framework):
    def start(self, cx: Cx, setup: Setup) -> None:
        self.flag = cx.state.value("flag", bool)
        self.progress = cx.state.value("progress", Progress)
        self.rows = cx.state.table("row/", Row, key=int)
        self.lists = cx.state.table("list/", list[int])
        self.then: Callable[[Keeper], None] = lambda keeper: None

    def options(self, cx: Cx, options: str) -> None:
        self.then(self)


def turn(cluster: Cluster[Keeper], then: Callable[[Keeper], None]) -> None:
    cluster.start()
    cluster.framework.then = then
    cluster.set_options("{}")
    cluster.turn()


def test_what_is_changed_in_place_is_kept_too() -> None:
    cluster = Cluster(Keeper)

    def change(keeper: Keeper) -> None:
        keeper.flag.value = True
        keeper.progress.value.done += 1
        keeper.progress.value.names.append("é🐍")
        keeper.rows[2**64 - 1] = Row(1)
        keeper.rows[10] = Row(2, "ten")
        keeper.rows[9] = Row(3)
        keeper.lists[""] = []
        keeper.lists["a/b"] = [1]

    turn(cluster, change)
    cluster.restart()
    cluster.start()
    own = cluster.framework
    assert own.flag.value is True and own.progress.value == Progress(1, ["é🐍"])
    assert list(own.rows.items()) == [(9, Row(3)), (10, Row(2, "ten")), (2**64 - 1, Row(1))], "in order"
    assert dict(own.lists) == {"": [], "a/b": [1]}

    def again(keeper: Keeper) -> None:
        keeper.lists["a/b"].append(2)
        keeper.rows[10] = replace(keeper.rows[10], name="")
        del keeper.rows[9]
        keeper.rows[5] = Row(5)
        assert list(keeper.rows) == [5, 10, 2**64 - 1]

    turn(cluster, again)
    assert cluster.state["list/a/b"] == b"[1,2]"
    assert "row/00000000000000000009" not in cluster.state
    assert cluster.state["row/00000000000000000010"] == b'{"number":2,"name":""}'


def test_only_what_differs_is_written() -> None:
    cluster = Cluster(Keeper)
    turn(cluster, lambda keeper: keeper.lists.update(a=[1], b=[2]))
    cluster.state["list/a"] = b"as it was"

    def look(keeper: Keeper) -> None:
        assert keeper.lists["a"] == [1]
        keeper.lists["b"].append(3)
        keeper.flag.value = False

    turn(cluster, look)
    assert cluster.state["list/a"] == b"as it was"
    assert cluster.state["list/b"] == b"[2,3]"
    assert cluster.state["flag"] == b"false", "set, though to what it was by default"


def test_a_turn_that_raises_leaves_what_was() -> None:
    cluster = Cluster(Keeper)
    turn(cluster, lambda keeper: keeper.lists.update(a=[1]))

    def fail(keeper: Keeper) -> None:
        keeper.lists["a"].append(2)
        raise RuntimeError

    turn(cluster, fail)
    cluster.settle()
    assert cluster.framework.lists["a"] == [1]


def test_what_cannot_be_kept_undoes_the_turn() -> None:
    cluster = Cluster(Keeper)
    cluster.start()
    cluster.limits.value_bytes_max = 10
    turn(cluster, lambda keeper: keeper.lists.update(a=[1], b=list(range(100))))
    assert "value-bytes-max: at most 10 bytes" in cluster.faults[0]
    assert cluster.state == {}
    turn(cluster, lambda keeper: keeper.lists.update(a=[object()]))  # type: ignore[list-item]
    assert "it is no JSON: a object has no form in JSON" in cluster.faults[1]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("flag", b"1", "expected true or false, not 1"),
        ("progress", b'{"done": "x"}', 'done: expected an integer, not "x"'),
        ("progress", b"{", "cannot be read"),
        ("row/1", b'{"number":1}', "the key is none of this table"),
        ("list/a", b"[1, null]", r"\[1\]: expected an integer, not null"),
    ],
)
def test_state_of_another_shape_refuses_to_start(key: str, value: bytes, words: str) -> None:
    cluster = Cluster(Keeper)
    cluster.state[key] = value
    with pytest.raises(StateError, match=words):
        cluster.start()


def test_a_newer_version_reads_what_an_older_one_has_left() -> None:
    cluster = Cluster(Keeper)
    cluster.state["progress"] = b'{"names":["a"],"forgotten":1}'
    cluster.start()
    assert cluster.framework.progress.value == Progress(0, ["a"])


def test_keys_are_of_their_type() -> None:
    cluster = Cluster(Keeper)
    cluster.start()
    for bad in (-1, 1 << 64, "1"):
        with pytest.raises(TypeError):
            cluster.framework.rows[bad] = Row(1)  # type: ignore[index]
    with pytest.raises(TypeError):
        cluster.framework.lists[1] = []  # type: ignore[index]
