"""One turn of the fake cluster: the calls are checked at once against what the turn began with, and noted down.

Demands, tasks, state, timers, streams and the log are here; `launch` has the rules of placements, `keep` those of
reservations and volumes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from mezzo import condition
from mezzo.cluster import Agent, Launched, Offer, Reservation, Reserved, TaskStatus
from mezzo.errors import Invalid, Limit, StateError, TimerError, Unknown
from mezzo.resources import Resources
from mezzo.task import Demand, Placement
from mezzo.testing import keep, launch
from mezzo.testing.world import Effects, World

RESERVATIONS_PER_DEMAND_MAX = 1_000
PAGE_MAX = 1_000
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}", re.ASCII)


class InjectedFault(BaseException):
    """What a test asked for. No `except Exception` of a framework may catch it: it stands for a trap."""


def is_name(text: str) -> bool:
    """Whether a text may name a task, a demand, a group or a volume."""
    return _NAME.fullmatch(text) is not None


class Turn:
    """The host of one turn, and its streams."""

    def __init__(
        self, world: World, offers: Sequence[Offer], fault_at: int | None, log: Callable[[int, str], None]
    ) -> None:
        self.world = world
        self.effects = Effects(next_id=world.next_id)
        self.effects.left = {offer.id: _copy(offer) for offer in offers}
        self.effects.reservations = {number: known.copy() for number, known in world.reservations.items()}
        self.ports_of: dict[int, int] = {}
        """Whose ports tasks take that are launched on a reservation of this turn."""
        self.launched: dict[str, TaskStatus] = {}
        self._calls = 0
        self._bytes = 0
        self._fault_at = fault_at
        self._log = log

    def overrun(self) -> str | None:
        """Whether the turn handed over more than it may."""
        most = self.world.limits.turn_bytes_max
        return f"boundary-bytes-max: at most {most} bytes in a turn, not {self._bytes}" if self._bytes > most else None

    def count(self, size: int = 0) -> None:
        """Counts a call, and the bytes that go with it; here a fault that was asked for strikes."""
        if self._fault_at == self._calls:
            raise InjectedFault("injected fault")
        self._calls += 1
        self._bytes += size

    def fresh_id(self) -> int:
        self.effects.next_id += 1
        return self.effects.next_id

    def want(self, demands: Sequence[Demand]) -> None:
        self.count()
        most = self.world.limits.demands_max
        if len(demands) > most:
            raise Limit(f"demands-max: at most {most}, not {len(demands)}")
        names: set[str] = set()
        for demand in demands:
            rule = _broken_rule(demand, names)
            if rule is not None:
                raise Invalid(f"demand {demand.name}: {rule}")
            names.add(demand.name)
        self.effects.want = [replace(demand) for demand in demands if demand.count > 0]

    def revive(self) -> None:
        self.count()
        self.effects.revive = True

    def launch(self, placements: Sequence[Placement]) -> list[Launched]:
        return launch.launch_all(self, placements, None)

    def launch_group(self, group: str, placements: Sequence[Placement]) -> list[Launched]:
        left = self.effects.left
        agents = {left[placement.offer].agent for placement in placements if placement.offer in left}
        if not is_name(group) or len(agents) > 1:
            raise Invalid(f"group {group}: a name, and one agent for all its tasks")
        return launch.launch_all(self, placements, group)

    def kill(self, task: str, grace_ms: int | None) -> None:
        self.count()
        if task not in self.world.tasks and task not in self.launched:
            raise Unknown(f"task {task}: no such task")
        self.effects.kills.append(task)

    def reserve(self, offer: int, amount: Resources, labels: dict[str, str], until: int | None) -> Reserved:
        self.count(sum(len(key) + len(value) for key, value in labels.items()))
        return keep.reserve(self, offer, amount, labels, until)

    def unreserve(self, reservation: int) -> None:
        self.count()
        keep.unreserve(self, reservation)

    def create_volume(self, reservation: int, name: str, size_bytes: int) -> None:
        self.count(len(name))
        keep.create_volume(self, reservation, name, size_bytes)

    def destroy_volume(self, reservation: int, name: str) -> None:
        self.count(len(name))
        keep.destroy_volume(self, reservation, name)

    def reservations(self, after: int | None, limit: int) -> list[Reservation]:
        self.count()
        later = [number for number in self.effects.reservations if after is None or number > after]
        return [self.effects.reservations[number].copy().view for number in sorted(later)[: min(limit, PAGE_MAX)]]

    def tasks(self, after: str | None, limit: int) -> list[TaskStatus]:
        self.count()
        every = {name: known.status for name, known in self.world.tasks.items()} | self.launched
        later = [name for name in every if after is None or name > after]
        return [replace(every[name]) for name in sorted(later)[: min(limit, PAGE_MAX)]]

    def find_task(self, task: str) -> TaskStatus | None:
        self.count()
        if task in self.launched:
            return replace(self.launched[task])
        return replace(self.world.tasks[task].status) if task in self.world.tasks else None

    def agents(self, after: int | None, limit: int) -> list[Agent]:
        self.count()
        later = [number for number in self.world.agents if after is None or number > after]
        return [replace(self.world.agents[number].info) for number in sorted(later)[: min(limit, PAGE_MAX)]]

    def find_agent(self, agent: int) -> Agent | None:
        self.count()
        return replace(self.world.agents[agent].info) if agent in self.world.agents else None

    def state_get(self, key: str) -> bytes | None:
        self.count()
        return self.effects.state[key] if key in self.effects.state else self.world.state.get(key)

    def state_set(self, key: str, value: bytes) -> None:
        limits, size = self.world.limits, len(key.encode())
        self.count(size + len(value))
        if not 1 <= size <= 512:
            raise StateError(key, f"a key has 1 to 512 bytes, this one {size}")
        if len(value) > limits.value_bytes_max:
            raise StateError(key, f"value-bytes-max: at most {limits.value_bytes_max} bytes, not {len(value)}")
        rest = {name: kept for name, kept in self._state().items() if name != key}
        total = sum(len(name.encode()) + len(kept) for name, kept in rest.items()) + size + len(value)
        if total > limits.state_bytes_max:
            raise StateError(key, f"state-bytes-max: at most {limits.state_bytes_max} bytes, not {total}")
        self.effects.state[key] = value

    def state_delete(self, key: str) -> None:
        self.count()
        self.effects.state[key] = None

    def state_scan(self, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        self.count()
        every = self._state().items()
        found = [pair for pair in every if pair[0].startswith(prefix) and (after is None or pair[0] > after)]
        return sorted(found)[: min(limit, PAGE_MAX)]

    def _state(self) -> dict[str, bytes]:
        every = self.world.state | self.effects.state
        return {key: value for key, value in every.items() if value is not None}

    def timer_set(self, name: str, after_ms: int) -> None:
        self.count()
        if not 1 <= len(name.encode()) <= 128:
            raise TimerError(f"a timer's name has 1 to 128 bytes, this one {len(name.encode())}")
        most = self.world.limits.timers_max
        set_now = {own: due for own, due in (self.world.timers | self.effects.timers).items() if due is not None}
        if name not in set_now and len(set_now) >= most:
            raise TimerError(f"timers-max: at most {most} timers")
        self.effects.timers[name] = self.world.now + after_ms

    def timer_cancel(self, name: str) -> None:
        self.count()
        self.effects.timers[name] = None

    def log(self, level: int, message: str) -> None:
        self._log(level, message)

    # The streams.

    def write(self, request: int, chunk: bytes) -> bool:
        self.count(len(chunk))
        stream = self.world.streams.get(request)
        is_open = stream is not None and stream.open and request not in self.effects.stream_closes
        if is_open:
            self.effects.stream_writes.append((request, chunk))
        return is_open

    def close(self, request: int) -> None:
        self.count()
        self.effects.stream_closes.append(request)


def _broken_rule(demand: Demand, names: set[str]) -> str | None:
    if not is_name(demand.name):
        return "no valid name"
    if demand.name in names:
        return "the name is in the list twice"
    if demand.each == Resources() and not demand.fixed_ports:
        return "`each` asks for nothing"
    if not keep.in_range(demand.each):
        return "`each` is out of range"
    if len(demand.reservations) > RESERVATIONS_PER_DEMAND_MAX:
        return "more than 1,000 reservations"
    if demand.together and demand.reservations:
        return "what is wanted `together` cannot be served from reservations"
    for own in demand.conditions:
        if not condition.is_valid(own):
            return f"the condition on {own.attribute} cannot be read"
    return None


def _copy(offer: Offer) -> Offer:
    return replace(offer, volumes=list(offer.volumes))
