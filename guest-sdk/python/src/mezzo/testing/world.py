"""What is durable in the fake cluster, and how a turn's effects become so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mezzo.cluster import Agent, Offer, Reservation, Setup, TaskState, TaskStatus, Volume
from mezzo.resources import Resources
from mezzo.task import Demand, Task


@dataclass
class Limits:
    """What the fake cluster enforces; the defaults are the master's."""

    launches_per_turn_max: int = 10_000
    tasks_max: int = 100_000
    offers_per_turn_max: int = 1_000
    statuses_per_turn_max: int = 1_000
    turn_bytes_max: int = 16 << 20
    """Bytes that the framework hands over in one turn."""
    state_bytes_max: int = 64 << 20
    value_bytes_max: int = 1 << 20
    demands_max: int = 1_000
    reservations_max: int = 10_000
    timers_max: int = 1_000


@dataclass
class FakeTask:
    """One task of the framework, as the master and its agent know it."""

    task: Task
    """As launched."""
    status: TaskStatus
    """What the framework is told."""
    reservation: int | None
    """The reservation that it runs on, if it does."""
    running_since: int | None = None
    killed: bool = False

    @property
    def state(self) -> TaskState:
        """Where it stands."""
        return self.status.state

    @property
    def env(self) -> dict[str, str]:
        """Its environment, as the framework asked for it."""
        return self.task.env


@dataclass
class StreamView:
    """What a client of a stream has got so far."""

    body: bytes = b""
    open: bool = True
    """Whether more may come."""
    client_gone: bool = False

    @property
    def text(self) -> str:
        """All of it as a text."""
        return self.body.decode()


@dataclass
class FakeAgent:
    info: Agent
    free: Resources
    fixed_used: set[int] = field(default_factory=set)
    told: bool = False
    """The framework knows it as it is."""
    seen: bool = False
    """It was offered and refused, and nothing improved since."""
    silent: bool = False


@dataclass
class FakeReservation:
    view: Reservation
    """As a framework sees it, at any time."""
    within: int | None = None
    """The larger one that it is a part of."""
    parts: int = 0
    users: int = 0
    """Tasks that have not ended."""
    mounted: Counter[str] = field(default_factory=Counter)
    """How many of them have each volume."""
    seen: bool = False

    def copy(self) -> FakeReservation:
        """One that a turn may change."""
        view = self.view
        volumes = [replace(volume) for volume in view.volumes]
        view = replace(view, amount=view.amount + Resources(), free=view.free + Resources(), volumes=volumes)
        return replace(self, view=view, mounted=Counter(self.mounted))

    @property
    def is_unused(self) -> bool:
        return self.users == 0 and self.parts == 0 and not self.view.volumes

    def volume(self, name: str) -> Volume | None:
        return next((volume for volume in self.view.volumes if volume.name == name), None)

    def serves(self, demand: Demand) -> bool:
        """Whether a demand may be served from it, whatever is free of it."""
        if demand.count == 0 or demand.together or self.view.ending:
            return False
        if demand.reservations:
            return self.view.id in demand.reservations
        return not self.view.made_by.startswith("framework/")

    def free_volumes(self) -> list[str]:
        return [volume.name for volume in self.view.volumes if not volume.destroying and not volume.in_use]

    def launch(self, task: Task) -> None:
        self.view.free -= without_ports(task.resources)
        self.users += 1
        self.mounted.update(mount.volume for mount in task.mounts)
        self._note_uses()

    def leave(self, task: Task) -> None:
        self.view.free += without_ports(task.resources)
        self.users -= 1
        self.mounted.subtract(mount.volume for mount in task.mounts)
        self.seen = False
        self._note_uses()

    def _note_uses(self) -> None:
        for volume in self.view.volumes:
            volume.in_use = self.mounted[volume.name] > 0

    def create_volume(self, name: str, size_bytes: int) -> None:
        self.view.volumes.append(Volume(name, size_bytes))
        self.view.volumes.sort(key=lambda volume: volume.name)
        self.view.free -= Resources(disk_bytes=size_bytes)
        self.seen = False

    def finish_volumes(self) -> None:
        """Its agent has destroyed the data of what is being destroyed."""
        freed = sum(volume.size_bytes for volume in self.view.volumes if volume.destroying)
        if freed:
            self.view.volumes = [volume for volume in self.view.volumes if not volume.destroying]
            self.view.free += Resources(disk_bytes=freed)
            self.seen = False


def without_ports(amount: Resources) -> Resources:
    """Ports are the agent's, whatever else is reserved."""
    return replace(amount, ports=0)


@dataclass
class Launch:
    """A launch that is going to be committed."""

    task: Task
    status: TaskStatus
    demand: str | None
    charged: Resources
    """What it takes of its offer, with ports."""
    reservation: int | None


@dataclass
class Effects:
    """All that a turn asked for."""

    state: dict[str, bytes | None] = field(default_factory=dict)
    timers: dict[str, int | None] = field(default_factory=dict)
    want: list[Demand] | None = None
    launches: list[Launch] = field(default_factory=list)
    reserves: list[int] = field(default_factory=list)
    reservations: dict[int, FakeReservation] = field(default_factory=dict)
    """All of them as they are after it."""
    left: dict[int, Offer] = field(default_factory=dict)
    """What is left of its offers."""
    next_id: int = 0
    kills: list[str] = field(default_factory=list)
    revive: bool = False
    stream_writes: list[tuple[int, bytes]] = field(default_factory=list)
    stream_closes: list[int] = field(default_factory=list)


class World:
    """The master's record, and the agents."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.now = 1_700_000_000_000
        self.limits = Limits()
        self.agents: dict[int, FakeAgent] = {}
        self.gone: list[int] = []
        self.reservations: dict[int, FakeReservation] = {}
        self.tasks: dict[str, FakeTask] = {}
        self.unhandled: set[str] = set()
        self.history: list[Task] = []
        self.killed: list[str] = []
        self.demands: list[Demand] = []
        self.state: dict[str, bytes] = {}
        self.timers: dict[str, int] = {}
        self.streams: dict[int, StreamView] = {}
        self.streams_gone: list[int] = []
        self.last_revive: int | None = None
        self.next_id = 1
        self.next_run = 1

    def fresh_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def new_instance(self) -> None:
        """A new instance is told of every agent and may see every offer."""
        for agent in self.agents.values():
            agent.told = False
        self.clear_seen()
        self.gone.clear()
        self.streams_gone.clear()

    def clear_seen(self) -> None:
        for agent in self.agents.values():
            agent.seen = False
        for known in self.reservations.values():
            known.seen = False

    def end_streams(self) -> None:
        for stream in self.streams.values():
            stream.open = False

    def commit(self, effects: Effects) -> None:
        """Makes a clean turn's effects real."""
        self.next_id = effects.next_id
        self._keep(effects)
        for key, value in effects.state.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        for name, due in effects.timers.items():
            if due is None:
                self.timers.pop(name, None)
            else:
                self.timers[name] = due
        if effects.want is not None:
            wanted = [demand for demand in effects.want if demand.count > 0]
            if any(self._asks_anew(demand) for demand in wanted):
                self.clear_seen()
            self.demands = wanted
        for launch in effects.launches:
            self._launch(launch)
        self.finish_reservations()
        for task in effects.kills:
            known = self.tasks[task]
            if not known.state.is_final:
                known.killed = True
                self.killed.append(task)
        if effects.revive and (self.last_revive is None or self.last_revive <= self.now - 1_000):
            self.last_revive = self.now
            self.clear_seen()
        for request, chunk in effects.stream_writes:
            if request in self.streams and self.streams[request].open:
                self.streams[request].body += chunk
        for request in effects.stream_closes:
            if request in self.streams:
                self.streams[request].open = False

    def _asks_anew(self, demand: Demand) -> bool:
        """Whether a demand wants what was not wanted before: another shape, or more of it."""
        old = next((old for old in self.demands if old.name == demand.name), None)
        return old is None or replace(demand, count=old.count) != old or demand.count > old.count

    def _keep(self, effects: Effects) -> None:
        """Reservations as a turn leaves them; what it has made of unreserved resources is no longer free."""
        before, self.reservations = self.reservations, effects.reservations
        for number, known in self.reservations.items():
            # The turn's copy does not know what it has refused; another volume is something new to see.
            old = before.get(number)
            more = old is not None and len(known.view.volumes) > len(old.view.volumes)
            known.seen = old is not None and old.seen and not more
        for number in effects.reserves:
            made = self.reservations.get(number)
            if made is not None and made.within is None:
                self.agents[made.view.agent].free -= made.view.amount

    def _launch(self, launch: Launch) -> None:
        agent = self.agents[launch.status.agent]
        charged = launch.charged if launch.reservation is None else Resources(ports=launch.charged.ports)
        agent.free -= charged
        agent.fixed_used.update(port.fixed for port in launch.task.ports if port.fixed is not None)
        self.next_run = max(self.next_run, launch.status.run + 1)
        self.history.append(launch.task)
        self.tasks[launch.task.id] = FakeTask(launch.task, launch.status, launch.reservation)

    # What agents and tasks do.

    def tasks_on(self, agent: int) -> list[str]:
        return [name for name, known in self.tasks.items() if known.status.agent == agent and not known.state.is_final]

    def change(self, name: str, state: TaskState, reason: str) -> FakeTask:
        known = self.tasks.get(name)
        assert known is not None and not known.state.is_final, f"there is no live task `{name}`"
        if state is TaskState.RUNNING and known.running_since is None:
            known.running_since = self.now
        known.status = replace(known.status, state=state, reason=reason, since=self.now)
        self.unhandled.add(name)
        return known

    def end(self, name: str, state: TaskState, reason: str, exit_code: int | None = None) -> None:
        """A final state; what the task held is free again."""
        known = self.change(name, state, reason)
        known.status.exit_code = exit_code
        agent = self.agents.get(known.status.agent)
        if agent is not None:
            charged = known.task.resources if known.reservation is None else Resources()
            agent.free += replace(charged, ports=len(known.task.ports))
            agent.fixed_used -= {port.fixed for port in known.task.ports if port.fixed is not None}
            agent.seen = False
        if known.reservation in self.reservations:
            self.reservations[known.reservation].leave(known.task)
        self.finish_reservations()

    def agents_act(self) -> None:
        """Agents that answer do what they were told to: kill tasks, destroy volumes."""
        for reservation in self.reservations.values():
            agent = self.agents.get(reservation.view.agent)
            if agent is not None and not agent.silent:
                reservation.finish_volumes()
        killed, self.killed = self.killed, []
        for name in killed:
            known = self.tasks.get(name)
            if known is None or not known.killed or known.state.is_final:
                continue
            agent = self.agents.get(known.status.agent)
            if agent is not None and agent.silent:
                self.killed.append(name)
            else:
                self.end(name, TaskState.KILLED, "kill-requested", None if known.running_since is None else 143)

    def advance(self, ms: int) -> None:
        before = self.now
        self.now += ms

        def is_due(known: FakeReservation) -> bool:
            until = known.view.until
            return until is not None and before < until <= self.now and known.is_unused

        self._remove_reservations(is_due)
        for name, known in list(self.tasks.items()):
            since, most = known.running_since, known.task.runtime_max_ms
            if not known.state.is_final and since is not None and most is not None and since + most <= self.now:
                self.end(name, TaskState.FAILED, "runtime-max", 143)

    def finish_reservations(self) -> None:
        """What was given back goes as soon as nothing uses it."""
        self._remove_reservations(lambda known: known.view.ending and known.is_unused)

    def _remove_reservations(self, over: Callable[[FakeReservation], bool]) -> None:
        """Takes away those that nothing uses and that `over` names, smaller ones before those that they are of."""
        while (gone := next((known for known in self.reservations.values() if over(known)), None)) is not None:
            del self.reservations[gone.view.id]
            whole = self.reservations.get(gone.within) if gone.within is not None else None
            if whole is not None:
                whole.view.free += gone.view.amount
                whole.parts -= 1
                whole.seen = False
            elif gone.view.agent in self.agents:
                agent = self.agents[gone.view.agent]
                agent.free += gone.view.amount
                agent.seen = False
