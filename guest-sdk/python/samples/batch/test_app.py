"""`batch` against the fake cluster."""

import pytest
from app import Batch

from mezzo import GIB, Error, Resources, Task
from mezzo.testing import Cluster


def cluster(**options: object) -> Cluster[Batch]:
    made = Cluster(Batch, options)
    made.add_agent(Resources(250, GIB))
    return made


def test_all_run_to_their_end_however_few_fit_at_once() -> None:
    own = cluster(count=5)
    own.settle()
    assert len(own.live) == 2, "a processor's quarter holds two"
    own.run_to_end()
    assert own.log[-1] == "all have ended: 5 finished, 0 failed"
    assert own.demands == []
    own.restart()
    own.settle()
    assert len(own.history) == 5, "and they are not run again"


def test_an_index_is_tried_again_until_its_retries_are_used_up() -> None:
    def exit_code(task: Task) -> int:
        if task.env["BATCH_INDEX"] == "0":
            return 1
        return 0 if task.env["BATCH_ATTEMPT"] == "2" else 1

    own = cluster(count=2, retries=2)
    own.run_to_end(exit_code)
    assert own.log[-1] == "all have ended: 1 finished, 1 failed"
    assert sorted(task.id for task in own.history) == ["work-0-1", "work-0-2", "work-0-3", "work-1-1", "work-1-2"]


def test_what_was_lost_does_not_count_as_a_failure() -> None:
    own = cluster(count=1, retries=0)
    own.settle()
    own.lose("work-0-1")
    own.settle()
    own.drain("work-0-2")
    own.run_to_end()
    assert own.log[-1] == "all have ended: 1 finished, 0 failed"


def test_a_fault_at_any_call_loses_nothing_and_runs_nothing_twice() -> None:
    for call in range(12):
        own = cluster(count=3)
        own.start()
        own.fault_at_call(call)
        own.run_to_end()
        assert own.log[-1] == "all have ended: 3 finished, 0 failed"
        assert len(own.history) == 3, f"with a fault at call {call}"


def test_options_that_are_none_of_it_are_refused() -> None:
    with pytest.raises(Error, match="retry: there is no such field; there are count, retries, argv"):
        cluster(retry=1).start()
    with pytest.raises(Error, match="count: 1 to 10000, not 0"):
        cluster(count=0).start()
