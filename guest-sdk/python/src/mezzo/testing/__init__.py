"""A fake cluster for unit tests: it plays the master and the agents for one framework, natively, without WebAssembly,
processes or waiting. Time is virtual and moves only when the test says so.

It keeps the rules that a framework can notice: offers come only while there is demand that fits, are cut to the
demand, and are not repeated until something improved; launches are all or nothing; reservations that a framework made
are offered only to demands that name them, and gangs all at once or not at all; a turn commits as a whole; an
exception, or a fault that the test asked for, undoes the turn and starts a new instance from the durable state.

    cluster = Cluster(Hello)
    cluster.add_agent(Resources(1_000, GIB))
    cluster.run_to_end()
    assert "greeting is finished" in cluster.log
"""

from mezzo.testing.cluster import Cluster
from mezzo.testing.http import Answer
from mezzo.testing.world import FakeTask, Limits, StreamView

__all__ = ["Answer", "Cluster", "FakeTask", "Limits", "StreamView"]
