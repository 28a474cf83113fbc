"""`Cx`: the handle on the turn that every method of a framework gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mezzo import check
from mezzo.cluster import (
    Agent,
    AgentId,
    InstantMs,
    Launched,
    Offer,
    OfferId,
    Reservation,
    ReservationId,
    Reserved,
    TaskId,
    TaskStatus,
)
from mezzo.host import Host, Streams
from mezzo.resources import Resources
from mezzo.state import Journal, State
from mezzo.task import Demand, Placement

PAGE_MAX = 1_000
"""How many entries one call of `tasks`, `agents`, `reservations` or `scan` answers with at most."""


class Timers:
    """Durable wake-ups: `cx.timers`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def set(self, name: str, after_ms: int) -> None:
        """Fires one `timer`, not before then; replaces one of the same name. `TimerError` if there are too many."""
        check.text("timer", name)
        check.number(f"timer {name}: after-ms", after_ms)
        self._host.timer_set(name, after_ms)

    def cancel(self, name: str) -> None:
        """Does nothing when there is no such timer."""
        check.text("timer", name)
        self._host.timer_cancel(name)


class Cx:
    """One turn. What is asked for through it is checked at once: a `Refusal` is raised, and nothing of that call took
    effect. The rest becomes real when the turn commits, or never: an exception undoes the turn and the instance.

    Use it within the turn that it was given for.
    """

    def __init__(self, host: Host, streams: Streams | None, now: InstantMs, journal: Journal) -> None:
        self._host = host
        self._streams = streams
        self.now = now
        """The turn's instant; it does not move within the turn."""
        self.state = State(host, journal)
        self.timers = Timers(host)

    def want(self, demands: Iterable[Demand]) -> None:
        """Replaces the list of what is wanted. Durable: it outlives the instance."""
        demands = list(demands)
        for demand in demands:
            check.demand(demand)
        self._host.want(demands)

    def revive(self) -> None:
        """Asks to see again what was offered and left; at most once a second, more often does nothing."""
        self._host.revive()

    def launch(self, placements: Iterable[Placement]) -> list[Launched]:
        """Launches all of the placements or none. One call with many is far cheaper than many calls."""
        return self._host.launch(_checked(placements))

    def launch_group(self, group: str, placements: Iterable[Placement]) -> list[Launched]:
        """Like `launch`, for tasks that share one agent and one fate."""
        check.text("group", group)
        return self._host.launch_group(group, _checked(placements))

    def kill(self, task: TaskId, grace_ms: int | None = None) -> None:
        """Stops a task, with the grace that it was launched with or another; repeatable with a shorter one."""
        check.text("kill", task)
        if grace_ms is not None:
            check.number(f"task {task}: grace-ms", grace_ms)
        self._host.kill(task, grace_ms)

    def reserve(
        self,
        offer: Offer | OfferId,
        amount: Resources,
        *,
        labels: Mapping[str, str] | None = None,
        until: InstantMs | None = None,
    ) -> Reserved:
        """Keeps a part of an offer for the framework's role, until `unreserve`, or until an instant at which it ends
        by itself if nothing uses it then. What comes back is an offer of this turn."""
        own = dict(labels or {})
        check.resources("amount", amount)
        check.text("labels", *own, *own.values())
        if until is not None:
            check.number("until", until)
        return self._host.reserve(offer.id if isinstance(offer, Offer) else offer, amount, own, until)

    def unreserve(self, reservation: ReservationId) -> None:
        """Gives a reservation back. Refused while a task, a volume or a smaller reservation uses it."""
        check.number("reservation", reservation)
        self._host.unreserve(reservation)

    def create_volume(self, reservation: ReservationId, name: str, size_bytes: int) -> None:
        """Makes an empty volume on a reservation that is offered in this turn; tasks of this turn may mount it."""
        check.number("reservation", reservation)
        check.text("volume", name)
        check.number(f"volume {name}: size-bytes", size_bytes)
        self._host.create_volume(reservation, name, size_bytes)

    def destroy_volume(self, reservation: ReservationId, name: str) -> None:
        """Destroys a volume and its data. Refused while a task uses it."""
        check.number("reservation", reservation)
        check.text("volume", name)
        self._host.destroy_volume(reservation, name)

    def reservations(self) -> Iterator[Reservation]:
        """All reservations of the framework's role and of the roles above it, by id."""
        after = None
        while page := self._host.reservations(after, PAGE_MAX):
            yield from page
            after = page[-1].id

    def find_reservation(self, reservation: ReservationId) -> Reservation | None:
        """One of them."""
        page = self._host.reservations(reservation - 1 if reservation > 0 else None, 1)
        return next((known for known in page if known.id == reservation), None)

    def tasks(self) -> Iterator[TaskStatus]:
        """The master's own record of this framework's tasks, by id, as the turn began and with what it has done since.
        Reading it is all the reconciliation there is."""
        after = None
        while page := self._host.tasks(after, PAGE_MAX):
            yield from page
            after = page[-1].task

    def find_task(self, task: TaskId) -> TaskStatus | None:
        """One task of the record."""
        check.text("task", task)
        return self._host.find_task(task)

    def agents(self) -> Iterator[Agent]:
        """All agents that the framework has been told of, by id."""
        after = None
        while page := self._host.agents(after, PAGE_MAX):
            yield from page
            after = page[-1].id

    def find_agent(self, agent: AgentId) -> Agent | None:
        """One of them."""
        return self._host.find_agent(agent)

    def stream_write(self, request: int, chunk: bytes) -> bool:
        """Sends a piece of a response that `mezzo.wsgi.open_stream` began, once the turn has committed. False when the
        client has gone, and in a framework that is exported without an HTTP API."""
        check.data("stream", chunk)
        return self._streams is not None and self._streams.write(request, chunk)

    def stream_close(self, request: int) -> None:
        """Ends such a response."""
        if self._streams is not None:
            self._streams.close(request)


def _checked(placements: Iterable[Placement]) -> list[Placement]:
    placements = list(placements)
    for placement in placements:
        check.placement(placement)
    return placements
