"""A service: `replicas` equal tasks are kept running, and an HTTP API, a Bottle app, says where and changes how many.

`GET /` lists them, `PUT /replicas` with `{"replicas": 3}` changes how many there are to be.
"""

import logging
from dataclasses import dataclass, field

import bottle

import mezzo
from mezzo import Cx, Demand, Error, Offer, Plan, Port, Process, Refusal, Setup, Task, TaskStatus, codec

REPLICA = "replica"
"""The demand, and the beginning of each task's id."""

REPLICAS_MAX = 1_000

RESTART = "restart"
"""The timer for replacing what has ended: not at once, so that what cannot run does not keep the cluster busy."""

RESTART_MS = 1_000


@dataclass
class Options:
    replicas: int = 2
    """How many at the first start; later the API says it."""
    argv: list[str] = field(default_factory=lambda: ["sh", "-c", "echo serving on $PORT; exec sleep 3600"])


@dataclass
class Scale:
    """The body of `PUT /replicas`."""

    replicas: int

    def __post_init__(self) -> None:
        if not 0 <= self.replicas <= REPLICAS_MAX:
            raise Error(f"replicas: 0 to {REPLICAS_MAX}, not {self.replicas}")


class Service(mezzo.WebFramework):
    def start(self, cx: Cx, setup: Setup) -> None:
        self.asked = setup.options_as(Options)
        Scale(self.asked.replicas)
        self.replicas = cx.state.value("replicas", int, self.asked.replicas)
        self.launched = cx.state.value("launched", int)
        self.live = {status.task for status in cx.tasks() if not status.state.is_final}
        self.want(cx)

    def wsgi(self) -> bottle.Bottle:
        app = bottle.Bottle()
        # What fails must undo the turn, so Bottle is not to make an answer of it.
        app.config["catchall"] = False
        app.get("/", callback=self.list_replicas)
        app.put("/replicas", callback=self.scale)
        return app

    def statuses(self, cx: Cx, statuses: list[TaskStatus]) -> None:
        for status in statuses:
            logging.info("%s is %s", status.task, status.state)
            if status.state.is_final:
                self.live.discard(status.task)
                cx.timers.set(RESTART, RESTART_MS)

    def timer(self, cx: Cx, name: str) -> None:
        self.want(cx)

    def offers(self, cx: Cx, offers: list[Offer]) -> None:
        plan = Plan(offers)
        for number in range(self.missing()):
            if not plan.place(REPLICA, self.task(self.launched.value + number + 1)):
                break
        try:
            launched = plan.launch(cx)
        except Refusal as refusal:
            logging.error("nothing was launched: %s", refusal)
            return
        self.launched.value += len(launched)
        self.live.update(one.task for one in launched)

    def list_replicas(self) -> dict[str, object]:
        cx = mezzo.wsgi.cx_of(bottle.request.environ)
        tasks = [
            {"id": status.task, "state": str(status.state), "address": status.address, "ports": status.ports}
            for status in cx.tasks()
        ]
        return {"replicas": self.replicas.value, "tasks": tasks}

    def scale(self) -> dict[str, object]:
        cx = mezzo.wsgi.cx_of(bottle.request.environ)
        try:
            asked = codec.decode(Scale, bottle.request.body.read(), strict=True)
        except Error as error:
            bottle.response.status = 400
            return {"error": {"code": "invalid", "message": str(error)}}
        self.replicas.value = asked.replicas
        for task in self.too_many():
            cx.kill(task)
            self.live.discard(task)
        self.want(cx)
        return {"replicas": self.replicas.value}

    def too_many(self) -> list[str]:
        """The newest of those that are more than there are to be."""
        by_age = sorted(self.live, key=lambda task: int(task.removeprefix(f"{REPLICA}-")))
        return by_age[self.replicas.value :]

    def missing(self) -> int:
        return max(self.replicas.value - len(self.live), 0)

    def want(self, cx: Cx) -> None:
        missing = self.missing()
        cx.want([Demand.for_task(REPLICA, self.task(0), missing)] if missing else [])

    def task(self, number: int) -> Task:
        return Task(f"{REPLICA}-{number}", Process(self.asked.argv), ports=[Port("http")])


Scheduler, Web = mezzo.export_web(Service)
