"""Resources, conditions, plans, and what cannot cross the boundary."""

import pytest

from mezzo import MIB, Agent, Comparison, Condition, Demand, File, Offer, Plan, Port, Process, Resources, Task, check
from mezzo.condition import format_milli, holds, parse_milli
from mezzo.errors import Invalid


def test_a_custom_amount_counts_like_any_other() -> None:
    free = Resources(100, 10, custom={"licence": 2_000})
    assert free.holds(Resources(custom={"licence": 2_000}))
    assert not free.holds(Resources(custom={"licence": 2_001}))
    assert not Resources(100, 10).holds(Resources(custom={"licence": 1}))
    assert (free - Resources(200, custom={"licence": 500})).custom == {"licence": 1_500}
    assert (free - Resources(200)).cpu_milli == 0, "what is not there stays at 0"
    assert free + Resources(custom={"tape": 1}) * 3 == Resources(100, 10, custom={"licence": 2_000, "tape": 3})
    assert free.at_most(Resources(5, 99)) == Resources(5, 10, custom={"licence": 0})
    assert free == Resources(100, 10, custom={"licence": 2_000}), "sums are new objects"


AGENT = Agent(
    id=1,
    hostname="n1.example",
    address="127.0.0.1",
    region=None,
    zone="z1",
    attributes={"cores": 8_000, "rack": "r7"},
    total=Resources(),
    runtimes=["process", "module"],
)


@pytest.mark.parametrize(
    ("attribute", "test", "value", "expected"),
    [
        ("rack", Comparison.EQUALS, "r7", True),
        ("rack", Comparison.EQUALS, "r", False),
        ("rack", Comparison.MATCHES, "r[0-9]", True),
        ("rack", Comparison.MATCHES, "r", False),
        ("rack", Comparison.MATCHES, "r7|x", True),
        ("rack", Comparison.MATCHES, "(", False),
        ("rack", Comparison.AT_LEAST, "1", False),
        ("cores", Comparison.AT_LEAST, "8", True),
        ("cores", Comparison.AT_MOST, "7.999", False),
        ("cores", Comparison.EQUALS, "8.0", True),
        ("cores", Comparison.MATCHES, "8[.]0+", True),
        ("gpu", Comparison.ABSENT, "", True),
        ("gpu", Comparison.DIFFERS, "h100", True),
        ("@zone", Comparison.EQUALS, "z1", True),
        ("@region", Comparison.PRESENT, "", False),
        ("@runtime", Comparison.EQUALS, "module", True),
        ("@runtime", Comparison.DIFFERS, "module", False),
        ("@runtime", Comparison.EQUALS, "container", False),
        ("@hostname", Comparison.MATCHES, ".*\\.example", True),
    ],
)
def test_conditions(attribute: str, test: Comparison, value: str, expected: bool) -> None:
    assert holds(Condition(attribute, test, value), AGENT) is expected


def test_numbers_are_read_exactly_or_not_at_all() -> None:
    assert (parse_milli("1.5"), parse_milli("-0.001")) == (1_500, -1)
    for bad in ("", ".5", "1.0005", "1e3", "+1", "9223372036854775807", "٣"):
        assert parse_milli(bad) is None, bad
    assert (format_milli(-1_500), format_milli(10_000)) == ("-1.500", "10.000")


def test_offers_fill_up_one_after_the_other() -> None:
    plan = Plan([Offer(1, 1, Resources(250, 64 * MIB)), Offer(2, 2, Resources(100, 64 * MIB))])

    def place(number: int, resources: Resources | None = None) -> bool:
        task = Task(f"t{number}", Process(["true"]))
        return plan.place("d", Task(task.id, task.workload, resources or task.resources))

    # The third needs the second offer, the fourth finds none, a smaller one finds the rest of the first's processor
    # but no memory.
    assert [place(number) for number in range(4)] == [True, True, True, False]
    assert not place(4, Resources(50, 1))
    assert place(5, Resources(50))
    assert [(own.offer, own.task.id) for own in plan.placements] == [(1, "t0"), (1, "t1"), (2, "t2"), (1, "t5")]


def test_a_demand_for_a_task_has_its_ports() -> None:
    task = Task("t", Process(["x"]), ports=[Port("http"), Port("admin", 8_080)])
    demand = Demand.for_task("d", task, 3, priority=2)
    assert (demand.each.ports, demand.fixed_ports, demand.count, demand.priority) == (2, [8_080], 3, 2)
    assert task.resources.ports == 0


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(-1), "cpu-milli: an integer from 0 to 18446744073709551615, not -1"),
        (Resources(memory_bytes=1 << 64), "memory-bytes: an integer from 0 to 18446744073709551615"),
        (Resources(disk_bytes=1.5), "disk-bytes: an integer from 0 to 18446744073709551615, not 1.5"),  # type: ignore[arg-type]
        (Resources(gpus=1 << 32), "gpus: an integer from 0 to 4294967295"),
        (Resources(custom={"x": -1}), "x: an integer"),
    ],
)
def test_amounts_that_do_not_fit_are_refused(resources: Resources, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        check.resources("each", resources)


def test_the_edges_of_64_bits_fit() -> None:
    largest = (1 << 64) - 1
    check.resources("each", Resources(largest, largest, largest, (1 << 32) - 1, (1 << 32) - 1, {"": largest}))
    check.task(Task("t", Process([]), kill_grace_ms=largest, runtime_max_ms=0, env={"": "☃"}))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task("t", Process(["\ud800"])), "half of a surrogate pair"),
        (Task("t", Process(["x"]), env={"A": 1}), "a text, not 1"),  # type: ignore[dict-item]
        (Task("t", Process("true")), "a list of texts, not one text"),  # type: ignore[arg-type]
        (Task("t", Process(["x"]), files=[File("f", "text")]), "file f: bytes, not a str"),  # type: ignore[arg-type]
        (Task("t", Process(["x"]), ports=[Port("p", 65_536)]), "port p: an integer from 0 to 65535"),
        (Task("t", Process(["x"]), kill_grace_ms=-1), "kill-grace-ms"),
    ],
)
def test_what_cannot_cross_the_boundary_is_refused(task: Task, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        check.task(task)
