"""A framework that does what a test says, and a cluster for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mezzo import Cx, Demand, Framework, Offer, Process, Resources, Setup, Task
from mezzo.testing import Cluster

R = TypeVar("R")
Script = Callable[[Cx, list[Offer]], object]


class Scripted(Framework):
    def __init__(self, run: Run) -> None:
        self._run = run

    def start(self, cx: Cx, setup: Setup) -> None:
        self.offered: list[Offer] = []

    def offers(self, cx: Cx, offers: list[Offer]) -> None:
        self._run.offered = offers

    def turn_end(self, cx: Cx) -> None:
        script, self._run.script = self._run.script, None
        if script is not None:
            self._run.result = script(cx, self._run.offered)


class Run:
    """A cluster with one agent of 4 processors and 1,000 bytes of disk."""

    def __init__(self) -> None:
        self.offered: list[Offer] = []
        self.script: Script | None = None
        self.result: object = None
        self.cluster = Cluster(lambda: Scripted(self))
        self.agent = self.cluster.add_agent(amount(4_000, 1_000))
        self.cluster.start()

    def turn(self, script: Callable[[Cx, list[Offer]], R]) -> R:
        """One turn in which the framework does what the script says; what the script returns."""
        self.script, self.offered = script, []
        # So that there is a turn, whether there are offers or not.
        self.cluster.set_options("{}")
        faults = len(self.cluster.faults)
        self.cluster.turn()
        assert len(self.cluster.faults) == faults, self.cluster.faults[-1]
        return self.result  # type: ignore[return-value]

    def offers(self) -> list[Offer]:
        """What is offered in a turn that does nothing."""
        self.turn(lambda cx, offers: None)
        return self.offered

    def want(self, *demands: Demand) -> None:
        self.turn(lambda cx, offers: cx.want(demands))


def amount(cpu_milli: int, disk_bytes: int = 0) -> Resources:
    return Resources(cpu_milli, disk_bytes=disk_bytes)


def task(name: str, cpu_milli: int, **fields: object) -> Task:
    return Task(name, Process(["true"]), amount(cpu_milli), **fields)  # type: ignore[arg-type]
