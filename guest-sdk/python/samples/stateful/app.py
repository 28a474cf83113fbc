"""A framework that keeps data: one task with a volume on a reservation, to which it comes back whenever it has ended.

What is durable of it is the reservation itself, which it finds again by its label.
"""

import logging

import mezzo
from mezzo import MIB, Cx, Demand, Mount, Offer, Process, Refusal, Reservation, Resources, Setup, Task, TaskStatus

STORE = "store"
"""Names what it wants, and its volume."""

KEPT_BY = "kept-by"
"""The label of its reservation; the value is the framework's name."""

DATA_BYTES = 48 * MIB
"""Of the volume."""


class Stateful(mezzo.Framework):
    def start(self, cx: Cx, setup: Setup) -> None:
        self.name = setup.name
        self.launched = cx.state.value("launched", int)
        newest = cx.find_task(f"{STORE}-{self.launched.value}")
        if newest is None or newest.state.is_final:
            self.want(cx)

    def statuses(self, cx: Cx, statuses: list[TaskStatus]) -> None:
        for status in statuses:
            logging.info("%s is %s", status.task, status.state)
        if any(status.state.is_final for status in statuses):
            self.want(cx)

    def offers(self, cx: Cx, offers: list[Offer]) -> None:
        for offer in offers:
            try:
                self.launch(cx, offer)
            except Refusal as refusal:
                logging.error("nothing was launched: %s", refusal)
            else:
                return

    def launch(self, cx: Cx, offer: Offer) -> None:
        task = self.task(self.launched.value + 1)
        if self.home(cx) is not None:
            cx.launch([task.on(offer, STORE)])
        else:
            reserved = cx.reserve(offer, self.amount(), labels={KEPT_BY: self.name})
            cx.create_volume(reserved.reservation, STORE, DATA_BYTES)
            cx.launch([task.on(reserved, STORE)])
        self.launched.value += 1

    def want(self, cx: Cx) -> None:
        """To come back to its data, or to find a place for it first."""
        home = self.home(cx)
        if home is not None:
            demand = Demand.for_task(STORE, self.task(0), reservations=[home.id])
        else:
            demand = Demand(STORE, self.amount())
        cx.want([demand])

    def home(self, cx: Cx) -> Reservation | None:
        """Its reservation, as the master has it: whoever kept it, this instance or one long ago."""
        for known in cx.reservations():
            if known.labels.get(KEPT_BY) == self.name and not known.ending:
                return known
        return None

    def task(self, number: int) -> Task:
        return Task(
            f"{STORE}-{number}",
            Process(["sh", "-c", "date >> data/starts; exec sleep 3600"]),
            Resources(100, 32 * MIB, 16 * MIB),
            mounts=[Mount(STORE, "data")],
        )

    def amount(self) -> Resources:
        """The task and its data."""
        return self.task(0).resources + Resources(disk_bytes=DATA_BYTES)


Scheduler = mezzo.export(Stateful)
