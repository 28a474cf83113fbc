"""`hello` against the fake cluster: no WebAssembly, no processes, no waiting."""

from app import Hello

from mezzo import GIB, Resources
from mezzo.testing import Cluster


def test_it_greets_once_and_not_again_after_a_restart() -> None:
    cluster = Cluster(Hello)
    cluster.settle()
    assert cluster.demands[0].name == "greeting", "it wants an offer before there is an agent"

    cluster.add_agent(Resources(1_000, GIB))
    cluster.run_to_end()
    assert "greeting is finished" in cluster.log

    cluster.restart()
    cluster.settle()
    assert len(cluster.history) == 1


def test_a_turn_that_traps_launches_nothing_and_is_done_again() -> None:
    cluster = Cluster(Hello)
    cluster.add_agent(Resources(1_000, GIB))
    cluster.start()
    cluster.fault_at_call(99)
    cluster.turn()
    assert (len(cluster.faults), len(cluster.history)) == (1, 0)
    cluster.settle()
    assert len(cluster.history) == 1
