"""Reservations and volumes of the fake cluster."""

from __future__ import annotations

import pytest
from scripted import Run, amount, task

from mezzo import Cx, Demand, Mount, Offer, Port, Resources, Volume, errors

DATA = [Mount("data", "db")]


@pytest.fixture
def run() -> Run:
    return Run()


def with_volume(run: Run) -> int:
    """A reservation of 1 processor with a volume `data` of 600 of its 700 bytes, and `t1` on it, which has it
    mounted."""
    run.want(Demand("d", amount(1_000, 700)))

    def script(cx: Cx, offers: list[Offer]) -> int:
        reserved = cx.reserve(offers[0], amount(1_000, 700))
        cx.create_volume(reserved.reservation, "data", 600)
        with pytest.raises(errors.Insufficient):
            # The offer that it was taken from had no ports, so there are none for it.
            cx.launch([task("t1", 400, ports=[Port("http")]).on(reserved, "d")])
        cx.launch([task("t1", 400, mounts=DATA).on(reserved, "d")])
        return reserved.reservation

    return run.turn(script)


def test_a_turn_reserves_makes_a_volume_and_launches_on_it(run: Run) -> None:
    number = with_volume(run)
    assert run.cluster.demands == [], "the launch counts"
    known = run.cluster.reservations[number]
    assert (known.made_by, known.role) == ("framework/framework", "test")
    assert (known.amount, known.free) == (amount(1_000, 700), amount(600, 100))
    assert known.volumes == [Volume("data", 600, in_use=True)]

    run.want(Demand("rest", amount(1, 1), 9_999))
    (rest,) = run.offers()
    assert rest.free == amount(3_000, 300), "what a framework reserved is not offered"
    run.cluster.finish("t1")
    run.offers()
    known = run.cluster.reservations[number]
    assert known.free == amount(1_000, 100) and not known.volumes[0].in_use


def test_it_is_offered_to_demands_that_name_it_with_its_free_volumes(run: Run) -> None:
    number = with_volume(run)
    run.want(Demand("back", amount(600), reservations=[number]))
    (offer,) = run.offers()
    assert (offer.reservation, offer.free, offer.volumes) == (number, amount(600, 100), [])
    assert run.offers() == [], "it was refused"
    run.cluster.finish("t1")
    assert run.offers()[0].volumes == ["data"], "it has improved"
    run.want(Demand("large", amount(1_001), reservations=[number]))
    assert run.offers() == [], "and nothing unreserved"


def test_what_an_operator_reserves_comes_with_ports_of_the_agent(run: Run) -> None:
    number = run.cluster.reserve(run.agent, amount(1_000))
    run.want(Demand("d", Resources(1_000, ports=400), 9))

    def script(cx: Cx, offers: list[Offer]) -> list[tuple[int | None, int, int]]:
        ports = [Port(f"p{nth}") for nth in range(400)]
        cx.launch([task(f"t{nth}", 1_000, ports=ports).on(offer, "d") for nth, offer in enumerate(offers)])
        return [(offer.reservation, offer.free.cpu_milli, offer.free.ports) for offer in offers]

    assert run.turn(script) == [(number, 1_000, 400), (None, 3_000, 600)]
    run.cluster.finish("t0")
    run.cluster.finish("t1")
    assert [offer.free.cpu_milli for offer in run.offers()] == [1_000, 3_000], "all of it came back"


def test_a_volume_is_one_tasks_or_one_groups(run: Run) -> None:
    number = with_volume(run)
    run.want(Demand("back", amount(100), 9, reservations=[number]))

    def while_used(cx: Cx, offers: list[Offer]) -> None:
        with pytest.raises(errors.Invalid, match="in use"):
            cx.launch([task("t2", 100, mounts=DATA).on(offers[0], "back")])
        with pytest.raises(errors.Invalid, match="in use"):
            cx.destroy_volume(number, "data")
        with pytest.raises(errors.Invalid, match="in use by 1 tasks"):
            cx.unreserve(number)

    run.turn(while_used)
    run.cluster.finish("t1")

    def in_a_group(cx: Cx, offers: list[Offer]) -> None:
        a, b, c = (task(name, 100, mounts=DATA).on(offers[0], "back") for name in "abc")
        with pytest.raises(errors.Invalid, match="in use"):
            cx.launch([a, b])
        cx.launch_group("g", [a, b])
        with pytest.raises(errors.Invalid, match="in use"):
            cx.launch([c])
        with pytest.raises(errors.Invalid, match="in use"):
            cx.launch_group("h", [c])

    run.turn(in_a_group)
    run.cluster.finish("a")
    assert run.cluster.reservations[number].volumes[0].in_use, "b still has it"
    run.cluster.finish("b")
    assert not run.cluster.reservations[number].volumes[0].in_use


def test_space_is_free_once_the_agent_has_destroyed_the_volume(run: Run) -> None:
    number = with_volume(run)
    run.cluster.finish("t1")
    run.offers()
    run.cluster.silence_agent(run.agent)

    def destroy(cx: Cx, offers: list[Offer]) -> None:
        cx.destroy_volume(number, "data")
        with pytest.raises(errors.Invalid, match="volumes"):
            cx.unreserve(number)

    run.turn(destroy)
    known = run.cluster.reservations[number]
    assert known.volumes[0].destroying and known.free.disk_bytes == 100
    run.cluster.wake_agent(run.agent)

    def give_back(cx: Cx, offers: list[Offer]) -> int:
        before = cx.find_reservation(number)
        cx.unreserve(number)
        after = cx.find_reservation(number)
        assert before is not None and after is not None and after.ending
        return before.free.disk_bytes

    assert run.turn(give_back) == 700
    assert run.cluster.reservations == {}
    run.want(Demand("all", amount(4_000, 1_000)))
    assert len(run.offers()) == 1, "the agent has it back"


def test_what_breaks_a_rule_is_refused_and_changes_nothing(run: Run) -> None:
    run.want(Demand("d", amount(2_000, 500)))

    def script(cx: Cx, offers: list[Offer]) -> None:
        offer = offers[0]
        for refused, words in (
            (Resources(), "nothing"),
            (Resources(1, ports=1), "ports"),
            (amount(2_001), "too little"),
            (amount(-1), "cpu-milli"),
        ):
            with pytest.raises(errors.Refusal, match=words):
                cx.reserve(offer, refused)
        with pytest.raises(errors.Unknown, match="not one of"):
            cx.reserve(99, amount(1))
        with pytest.raises(errors.Invalid, match="over already"):
            cx.reserve(offer, amount(1), until=cx.now)
        with pytest.raises(errors.Invalid, match="16384 bytes"):
            cx.reserve(offer, amount(1), labels={"k": "é" * 8_192})
        number = cx.reserve(offer, amount(1_000, 100), labels={"": ""}).reservation
        for name, size, words in (
            ("x" * 129, 1, "volume name"),
            ("v", 0, "size-bytes"),
            ("v", 1 << 53, "size-bytes"),
            ("v", 101, "too little"),
        ):
            with pytest.raises(errors.Refusal, match=words):
                cx.create_volume(number, name, size)
        cx.create_volume(number, "v", 100)
        for again in ((number, "v"), (99, "v")):
            with pytest.raises(errors.Refusal):
                cx.create_volume(*again, 1)
        with pytest.raises(errors.Unknown):
            cx.destroy_volume(number, "w")
        with pytest.raises(errors.Invalid, match="of no reservation"):
            cx.launch([task("t", 1, mounts=[Mount("v", "data")]).on(offer, "d")])

    run.turn(script)


def test_a_turn_that_traps_has_reserved_nothing(run: Run) -> None:
    run.want(Demand("d", amount(2_000)))

    def script(cx: Cx, offers: list[Offer]) -> None:
        cx.reserve(offers[0], amount(2_000))
        raise RuntimeError("as it was told to")

    run.script = script
    run.cluster.turn()
    assert "as it was told to" in run.cluster.faults[0]
    assert run.cluster.reservations == {}
    run.cluster.turn()
    assert run.offers()[0].free.cpu_milli == 2_000


def test_it_ends_by_itself_if_nothing_uses_it_then(run: Run) -> None:
    run.want(Demand("d", amount(2_000)))

    def script(cx: Cx, offers: list[Offer]) -> None:
        used, _unused = (cx.reserve(offers[0], amount(500), until=cx.now + 1_000) for _ in range(2))
        cx.launch([task("t", 500).on(used)])

    run.turn(script)
    for ms, left in ((999, 2), (1, 1)):
        run.cluster.advance(ms)
        assert len(run.cluster.reservations) == left
    run.cluster.finish("t")
    run.cluster.advance(1_000)
    assert len(run.cluster.reservations) == 1, "it was in use then"


def test_a_smaller_one_is_made_of_a_larger_one(run: Run) -> None:
    whole = run.cluster.reserve(run.agent, amount(1_000))
    run.want(Demand("d", amount(4_000)), Demand("e", amount(1_000)))

    def script(cx: Cx, offers: list[Offer]) -> int:
        assert offers[0].reservation == whole
        part = cx.reserve(offers[0], amount(400)).reservation
        with pytest.raises(errors.Invalid, match="1 smaller reservations"):
            cx.unreserve(whole)
        return part

    part = run.turn(script)
    assert run.cluster.reservations[whole].free.cpu_milli == 600
    run.turn(lambda cx, offers: cx.unreserve(part))
    assert run.cluster.reservations[whole].free.cpu_milli == 1_000
