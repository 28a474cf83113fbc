"""That it comes back to its data, whatever happens in between."""

from app import Stateful

from mezzo import GIB, MIB, Resources
from mezzo.testing import Cluster

AGENT = Resources(1_000, GIB, GIB)


def test_it_comes_back_to_its_volume() -> None:
    cluster = Cluster(Stateful)
    cluster.add_agent(AGENT)
    cluster.settle()
    (home,) = cluster.reservations.values()
    assert (home.volumes[0].size_bytes, home.free.disk_bytes) == (48 * MIB, 0)
    on = cluster.tasks["store-1"].status.agent

    cluster.add_agent(AGENT)
    cluster.finish("store-1", 1)
    cluster.settle()
    assert cluster.tasks["store-2"].status.agent == on, "not on the other"
    cluster.restart()
    cluster.settle()
    assert cluster.live == ["store-2"], "it still runs"
    cluster.finish("store-2", 1)
    cluster.restart()
    cluster.settle()
    assert cluster.live == ["store-3"]
    assert list(cluster.reservations) == [home.id]


def test_without_its_agent_it_begins_anew() -> None:
    cluster = Cluster(Stateful)
    first = cluster.add_agent(AGENT)
    cluster.settle()
    second = cluster.add_agent(AGENT)
    cluster.lose_agent(first)
    cluster.settle()
    assert cluster.tasks["store-2"].status.agent == second


def test_a_fault_at_any_call_leaves_nothing_behind() -> None:
    for call in range(8):
        cluster = Cluster(Stateful)
        cluster.add_agent(AGENT)
        cluster.start()
        cluster.fault_at_call(call)
        cluster.settle()
        assert cluster.live == ["store-1"], f"with a fault at call {call}"
        assert len(cluster.reservations) == 1
