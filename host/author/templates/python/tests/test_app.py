"""The framework against a cluster that is played: no WebAssembly, no processes, no waiting."""

from app import Greeter

from mezzo import GIB, Resources
from mezzo.testing import Cluster


def test_it_greets_once_and_not_again_after_a_restart() -> None:
    cluster = Cluster(Greeter)
    cluster.add_agent(Resources(1_000, GIB))
    cluster.run_to_end()
    assert "greeting is finished" in cluster.log

    cluster.restart()
    cluster.settle()
    assert len(cluster.history) == 1
