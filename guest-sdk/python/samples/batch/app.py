"""Work that runs to completion: `count` tasks, each tried again when it fails, until all have finished or failed for
good. What becomes of each index is durable; what runs is the master's own record."""

import logging
from dataclasses import dataclass, field, replace

import mezzo
from mezzo import Cx, Demand, Error, Offer, Plan, Process, Refusal, Setup, Task, TaskState, TaskStatus

WORK = "work"
"""The demand, and the beginning of each task's id."""

COUNT_MAX = 10_000


@dataclass
class Options:
    count: int = 3
    """How many tasks."""
    retries: int = 2
    """How often an index may fail and be tried again."""
    argv: list[str] = field(default_factory=lambda: ["sh", "-c", "echo $BATCH_INDEX, attempt $BATCH_ATTEMPT"])


@dataclass(frozen=True)
class Index:
    """What has become of one index so far."""

    launched: int = 0
    """How many tasks it has had: no id is used twice."""
    failed: int = 0
    runs: bool = False
    end: str = ""
    """`finished` or `failed`, once it has."""


class Batch(mezzo.Framework):
    def start(self, cx: Cx, setup: Setup) -> None:
        self.asked = setup.options_as(Options)
        if not 1 <= self.asked.count <= COUNT_MAX:
            raise Error(f"count: 1 to {COUNT_MAX}, not {self.asked.count}")
        self.indexes = cx.state.table("index/", Index, key=int)
        for number in range(self.asked.count):
            self.indexes.setdefault(number, Index())
        self.want(cx)

    def statuses(self, cx: Cx, statuses: list[TaskStatus]) -> None:
        for status in statuses:
            if status.state.is_final:
                self.ended(status)
        self.want(cx)

    def offers(self, cx: Cx, offers: list[Offer]) -> None:
        plan, placed = Plan(offers), []
        for number in self.waiting():
            if not plan.place(WORK, self.task(number)):
                break
            placed.append(number)
        try:
            plan.launch(cx)
        except Refusal as refusal:
            logging.error("nothing was launched: %s", refusal)
            return
        for number in placed:
            index = self.indexes[number]
            self.indexes[number] = replace(index, launched=index.launched + 1, runs=True)

    def ended(self, status: TaskStatus) -> None:
        """Takes in how a task has ended. That it was lost, or asked to end, is no fault of its own."""
        number = int(status.labels["index"])
        index = replace(self.indexes[number], runs=False)
        if status.state is TaskState.FINISHED:
            index = replace(index, end="finished")
        elif status.state is TaskState.FAILED:
            index = replace(index, failed=index.failed + 1)
            if index.failed > self.asked.retries:
                index = replace(index, end="failed")
        logging.info("%s is %s%s", status.task, status.state, "" if index.end else ", and is tried again")
        self.indexes[number] = index
        ends = [known.end for known in self.indexes.values()]
        if all(ends):
            logging.info("all have ended: %d finished, %d failed", ends.count("finished"), ends.count("failed"))

    def waiting(self) -> list[int]:
        return [number for number, index in self.indexes.items() if not index.runs and not index.end]

    def want(self, cx: Cx) -> None:
        waiting = self.waiting()
        cx.want([Demand.for_task(WORK, self.task(waiting[0]), len(waiting))] if waiting else [])

    def task(self, number: int) -> Task:
        attempt = self.indexes[number].launched + 1
        return Task(
            f"{WORK}-{number}-{attempt}",
            Process(self.asked.argv),
            env={"BATCH_INDEX": str(number), "BATCH_ATTEMPT": str(attempt)},
            labels={"index": str(number)},
        )


Scheduler = mezzo.export(Batch)
