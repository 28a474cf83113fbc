"""The framework launches one task that greets, once, and logs how that went."""

import logging

import mezzo
from mezzo import Cx, Demand, Offer, Process, Refusal, Setup, Task, TaskStatus

GREETING = Task("greeting", Process(["echo", "hello from a task"]))


class Greeter(mezzo.Framework):
    def start(self, cx: Cx, setup: Setup) -> None:
        # Durable: it outlives this instance, upgrades and the master.
        self.greeted = cx.state.value("greeted", bool)
        if not self.greeted.value:
            cx.want([Demand.for_task("greeting", GREETING)])

    def offers(self, cx: Cx, offers: list[Offer]) -> None:
        if self.greeted.value:
            return
        try:
            cx.launch([GREETING.on(offers[0], "greeting")])
        except Refusal as refusal:
            logging.error("the greeting was refused: %s", refusal)
        else:
            self.greeted.value = True

    def statuses(self, cx: Cx, statuses: list[TaskStatus]) -> None:
        for status in statuses:
            logging.info("%s is %s", status.task, status.state)


Scheduler = mezzo.export(Greeter)
