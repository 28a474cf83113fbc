"""The fake cluster's rules: offers, launches, turns, timers."""

from __future__ import annotations

import logging

import pytest
from scripted import Run, amount, task

from mezzo import Cx, Demand, Error, Framework, Offer, Plan, Port, Setup, StateError, TaskState, errors
from mezzo.testing import Cluster


@pytest.fixture
def run() -> Run:
    return Run()


def test_without_a_demand_there_are_no_offers_and_they_are_cut_to_it(run: Run) -> None:
    assert run.offers() == []
    run.want(Demand("d", amount(1_000), 2))
    (offer,) = run.offers()
    assert offer.free == amount(2_000)
    assert run.offers() == [], "it was refused"
    run.turn(lambda cx, offers: cx.revive())
    assert len(run.offers()) == 1
    run.turn(lambda cx, offers: cx.revive())
    assert run.offers() == [], "at most once a second"
    run.want(Demand("d", amount(1_000), 3))
    assert len(run.offers()) == 1, "more of it is something new"


def test_launches_are_all_or_nothing_and_count_against_the_demand(run: Run) -> None:
    run.want(Demand("d", amount(1_000), 3))

    def script(cx: Cx, offers: list[Offer]) -> None:
        on = offers[0]
        with pytest.raises(errors.Insufficient):
            cx.launch([task("a", 1_000).on(on, "d"), task("b", 2_001).on(on, "d")])
        with pytest.raises(errors.Invalid, match="the id is in use"):
            cx.launch([task("a", 1).on(on, "d"), task("a", 1).on(on, "d")])
        with pytest.raises(errors.Unknown, match="offer 99"):
            cx.launch([task("a", 1).on(99, "d")])
        with pytest.raises(errors.Unknown, match="demand x"):
            cx.launch([task("a", 1).on(on, "x")])
        with pytest.raises(errors.Invalid, match="id"):
            cx.launch([task("", 1).on(on, "d")])
        (a, b) = cx.launch([task("a", 1_000, ports=[]).on(on, "d"), task("b", 1_000).on(on, "d")])
        assert (a.task, b.task, a.run + 1) == ("a", "b", b.run)
        assert [status.task for status in cx.tasks()] == ["a", "b"], "the turn sees what it has done"
        assert cx.find_task("a") is not None and cx.find_task("c") is None

    run.turn(script)
    assert run.cluster.demands[0].count == 1
    assert run.cluster.tasks["a"].state is TaskState.PENDING


def test_ports_are_numbers_of_the_agent(run: Run) -> None:
    own = task("a", 1, ports=[Port("http"), Port("admin", 8_080)])
    run.want(Demand.for_task("d", own, 2))

    def script(cx: Cx, offers: list[Offer]) -> None:
        (launched,) = cx.launch([own.on(offers[0], "d")])
        assert launched.ports["admin"] == 8_080 and launched.ports["http"] >= 20_000
        again = task("b", 1, ports=[Port("admin", 8_080)])
        with pytest.raises(errors.Insufficient, match="port 8080 is taken"):
            cx.launch([again.on(offers[0], "d")])

    run.turn(script)
    assert run.cluster.tasks["a"].status.ports["admin"] == 8_080
    assert run.offers() == [], "its port is taken"
    run.cluster.finish("a")
    assert len(run.offers()) == 1


def test_a_group_is_of_one_agent(run: Run) -> None:
    run.cluster.add_agent(amount(4_000))
    run.want(Demand("d", amount(4_000), 2))

    def script(cx: Cx, offers: list[Offer]) -> None:
        one, other = offers
        with pytest.raises(errors.Invalid, match="one agent for all"):
            cx.launch_group("g", [task("a", 1).on(one, "d"), task("b", 1).on(other, "d")])
        cx.launch_group("g", [task("a", 1).on(one, "d"), task("b", 1).on(one, "d")])

    run.turn(script)
    assert run.cluster.tasks["b"].status.group == "g"


def test_demands_that_break_a_rule_are_refused(run: Run) -> None:
    each = amount(1)
    run.cluster.limits.demands_max = 2

    def script(cx: Cx, offers: list[Offer]) -> None:
        for demands, words in (
            ([Demand("", each)], "no valid name"),
            ([Demand("d", each), Demand("d", each)], "twice"),
            ([Demand("d", amount(0))], "asks for nothing"),
            ([Demand("d", each, reservations=list(range(1_001)))], "1,000"),
            ([Demand("d", each, reservations=[1], together=True)], "together"),
            ([Demand("d", each, count=-1)], "count"),
            ([Demand("d", amount(1 << 53))], "out of range"),
        ):
            with pytest.raises(errors.Invalid, match=words):
                cx.want(demands)
        with pytest.raises(errors.Limit, match="demands-max"):
            cx.want([Demand(name, each) for name in "abc"])
        cx.want([Demand("a", each), Demand("b", amount((1 << 53) - 1), 0)])

    run.turn(script)
    assert [demand.name for demand in run.cluster.demands] == ["a"], "what none is wanted of is left out"


def test_a_kill_is_done_by_the_agent_if_it_answers(run: Run) -> None:
    run.want(Demand("d", amount(1)))
    run.turn(lambda cx, offers: cx.launch([task("a", 1).on(offers[0], "d")]))
    run.cluster.silence_agent(run.agent)
    run.turn(lambda cx, offers: cx.kill("a"))
    run.offers()
    assert run.cluster.tasks["a"].state is TaskState.UNREACHABLE
    run.cluster.wake_agent(run.agent)
    run.offers()
    assert "a" not in run.cluster.tasks, "its final status has been handled"


def test_time_fires_timers_and_ends_tasks(run: Run) -> None:
    fired: list[str] = []

    class Timed(Framework):
        def start(self, cx: Cx, setup: Setup) -> None:
            if not cx.state.get("set"):
                cx.state.set("set", b"1")
                cx.timers.set("⏰", 1_000)
                cx.timers.set("never", 1_000)
                cx.timers.cancel("never")

        def timer(self, cx: Cx, name: str) -> None:
            fired.append(name)

    cluster = Cluster(Timed)
    cluster.settle()
    cluster.advance(999)
    assert not cluster.turn()
    cluster.restart()
    cluster.settle()
    cluster.advance(1)
    cluster.settle()
    assert fired == ["⏰"]

    run.want(Demand("d", amount(1)))
    run.turn(lambda cx, offers: cx.launch([task("a", 1, runtime_max_ms=10).on(offers[0], "d")]))
    run.cluster.run("a")
    run.cluster.advance(10)
    status = run.cluster.tasks["a"].status
    assert (status.state, status.reason) == (TaskState.FAILED, "runtime-max")


def test_a_turn_that_raises_is_undone_and_its_traceback_is_in_the_log() -> None:
    class Fragile(Framework):
        def start(self, cx: Cx, setup: Setup) -> None:
            self.count = cx.state.value("count", int)
            cx.want([Demand("d", amount(1))])

        def offers(self, cx: Cx, offers: list[Offer]) -> None:
            self.count.value += 1
            cx.launch([task("a", 1).on(offers[0], "d")])
            logging.info("launched")
            raise KeyError("of its own")

    cluster = Cluster(Fragile)
    cluster.add_agent(amount(1))
    with pytest.raises(AssertionError, match="5 faults in a row"):
        cluster.settle()
    assert cluster.history == [] and cluster.state == {}
    assert cluster.records[0] == (logging.INFO, "launched"), "the log is not part of the turn"
    level, trace = cluster.records[1]
    assert level == logging.ERROR and 'raise KeyError("of its own")' in trace


def test_a_framework_cannot_catch_a_trap() -> None:
    class Careless(Framework):
        def start(self, cx: Cx, setup: Setup) -> None:
            try:
                cx.revive()
            except Exception:
                raise AssertionError("it was caught") from None

    cluster = Cluster(Careless)
    cluster.fault_at_call(0)
    cluster.settle()
    assert cluster.faults == ["injected fault"]


def test_a_start_that_refuses_says_why() -> None:
    class Picky(Framework):
        def start(self, cx: Cx, setup: Setup) -> None:
            raise Error(f"not under the name {setup.name}")

    with pytest.raises(Error, match="not under the name ünï"):
        Cluster(Picky, name="ünï").settle()


def test_what_a_turn_hands_over_is_limited(run: Run) -> None:
    run.cluster.limits.turn_bytes_max = 100
    run.script = lambda cx, offers: cx.state.set("k", bytes(100))
    run.cluster.set_options("{}")
    run.cluster.turn()
    assert run.cluster.faults == ["boundary-bytes-max: at most 100 bytes in a turn, not 101"]
    assert run.cluster.state == {}
    run.turn(lambda cx, offers: cx.state.set("k", bytes(99)))
    assert len(run.cluster.state["k"]) == 99


def test_state_has_limits(run: Run) -> None:
    run.cluster.limits.value_bytes_max = 10
    run.cluster.limits.state_bytes_max = 20

    def script(cx: Cx, offers: list[Offer]) -> None:
        cx.state.set("a", bytes(10))
        with pytest.raises(StateError, match="value-bytes-max: at most 10 bytes, not 11"):
            cx.state.set("a", bytes(11))
        cx.state.set("é", bytes(7))
        with pytest.raises(StateError, match="state-bytes-max: at most 20 bytes, not 21"):
            cx.state.set("é", bytes(8))
        for key in ("", "k" * 513):
            with pytest.raises(StateError, match="1 to 512 bytes"):
                cx.state.set(key, b"")
        cx.state.set("a", b"")
        assert cx.state.get("a") == b"" and cx.state.get("b") is None
        cx.state.delete("é")
        assert list(cx.state.scan()) == [("a", b"")]

    run.turn(script)
    assert run.cluster.state == {"a": b""}


def test_a_gang_is_offered_all_at_once_or_not_at_all(run: Run) -> None:
    run.want(Demand("gang", amount(1_500), 4, together=True))
    assert run.offers() == [], "there is room for two"
    run.cluster.add_agent(amount(2_900))
    assert run.offers() == [], "and now for three"
    run.cluster.add_agent(amount(1_500))

    def script(cx: Cx, offers: list[Offer]) -> list[int]:
        cpu = [offer.free.cpu_milli for offer in offers]
        plan = Plan(offers)
        assert all(plan.place("gang", task(f"t{number}", 1_500)) for number in range(4))
        plan.launch(cx)
        return cpu

    assert run.turn(script) == [3_000, 1_500, 1_500], "cut to its pieces"
    assert run.cluster.demands == []


def test_a_gang_that_was_refused_is_offered_anew_as_a_whole(run: Run) -> None:
    run.cluster.add_agent(amount(1_000))
    run.want(Demand("gang", amount(1_000), 5, together=True))
    assert len(run.offers()) == 2
    assert run.offers() == [], "it was refused"
    run.cluster.add_agent(amount(10))
    assert run.offers() == [], "that is of no use"
    new = run.cluster.add_agent(amount(4_000))
    assert [offer.agent for offer in run.offers()] == [run.agent, new], "what was refused comes along"


def test_preemption_hits_what_allows_it_and_nothing_urgent(run: Run) -> None:
    reservation = run.cluster.reserve(run.agent, amount(1_000))
    run.want(Demand("urgent", amount(100), 9, priority=1), Demand("calm", amount(100), 9))

    def script(cx: Cx, offers: list[Offer]) -> None:
        reserved, free = offers
        assert reserved.reservation == reservation
        own = task("a", 100, preemptible=True)
        with pytest.raises(errors.Invalid, match="on a reservation"):
            cx.launch([own.on(reserved, "calm")])
        with pytest.raises(errors.Invalid, match="priority 1"):
            cx.launch([own.on(free, "urgent")])
        cx.launch([own.on(free, "calm")])

    run.turn(script)
    run.cluster.preempt("a")
    status = run.cluster.tasks["a"].status
    assert (status.state, status.reason) == (TaskState.KILLED, "preempted")
