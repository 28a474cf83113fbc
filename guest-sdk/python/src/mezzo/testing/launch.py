"""Launches in a turn of the fake cluster: each placement is checked against its offer, all of a call are taken or
none."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

from mezzo.cluster import Agent, Launched, Offer, TaskState, TaskStatus
from mezzo.errors import Insufficient, Invalid, Limit, Unknown
from mezzo.resources import Resources
from mezzo.task import Container, Mount, Placement, Process, Task
from mezzo.testing.keep import in_range
from mezzo.testing.world import FakeReservation, Launch, without_ports

if TYPE_CHECKING:
    from mezzo.testing.turn import Turn


def launch_all(turn: Turn, placements: Sequence[Placement], group: str | None) -> list[Launched]:
    turn.count(sum(_bytes(placement.task) for placement in placements))
    limits, effects = turn.world.limits, turn.effects
    in_turn = len(effects.launches) + len(placements)
    if in_turn > limits.launches_per_turn_max:
        raise Limit(f"launches-per-turn-max: {limits.launches_per_turn_max}")
    if in_turn + len(turn.world.tasks) > limits.tasks_max:
        raise Limit(f"tasks-max: {limits.tasks_max}")
    call = _Call(turn, group)
    for placement in placements:
        call.check(placement)
    # All of them are accepted: only now does the turn change.
    effects.left = call.left
    effects.reservations = call.reservations
    effects.launches += call.launches
    if effects.want is None:
        effects.want = [replace(demand) for demand in turn.world.demands]
    counts = {demand.name: demand for demand in effects.want}
    for launch in call.launches:
        demand = counts.get(launch.demand or "")
        if demand is not None:
            demand.count = max(demand.count - 1, 0)
        turn.launched[launch.task.id] = launch.status
    return [Launched(launch.task.id, launch.status.run, dict(launch.status.ports)) for launch in call.launches]


class _Call:
    """What one call works on until all of it is accepted."""

    def __init__(self, turn: Turn, group: str | None) -> None:
        self.turn = turn
        self.group = group
        self.left = dict(turn.effects.left)
        self.reservations = {number: known.copy() for number, known in turn.effects.reservations.items()}
        self.launches: list[Launch] = []

    def check(self, placement: Placement) -> None:
        # What a framework changes in its task later is nothing to the master.
        task, world = deepcopy(placement.task), self.turn.world
        _check_task(task)
        if (
            task.id in world.tasks
            or task.id in self.turn.launched
            or any(task.id == launch.task.id for launch in self.launches)
        ):
            raise Invalid(f"task {task.id}: the id is in use")
        priority = self._priority(placement.demand)
        if task.preemptible and priority > 0:
            raise Invalid(
                f"task {task.id}: it may not be preemptible, because its demand has priority {priority}, above 0"
            )
        offer = self.left.get(placement.offer)
        if offer is None:
            raise Unknown(f"offer {placement.offer} is not one of this turn")
        known = self.reservations.get(offer.reservation) if offer.reservation is not None else None
        self._check_mounts(task, offer, known)
        agent = world.agents.get(offer.agent)
        if agent is None:
            raise Unknown(f"agent {offer.agent} has left")
        runtime = type(task.workload).__name__.lower()
        if runtime not in agent.info.runtimes:
            raise Invalid(f"task {task.id}: the agent does not run `{runtime}`")
        ports_of = self.turn.ports_of.get(placement.offer, placement.offer)
        charged, ports = without_ports(task.resources), len(task.ports)
        if not offer.free.holds(charged) or ports_of not in self.left or self.left[ports_of].free.ports < ports:
            raise Insufficient(f"task {task.id}: offer {placement.offer} has too little left")
        taken = agent.fixed_used | self._fixed_ports(offer.agent)
        for port in task.ports:
            if port.fixed in taken:
                raise Insufficient(f"task {task.id}: port {port.fixed} is taken")
        mounted = {mount.volume for mount in task.mounts}
        volumes = [volume for volume in offer.volumes if volume not in mounted]
        self.left[offer.id] = replace(offer, free=offer.free - charged, volumes=volumes)
        of = self.left[ports_of]
        self.left[ports_of] = replace(of, free=of.free - Resources(ports=ports))
        if known is not None:
            known.launch(task)
        run = world.next_run + len(self.turn.effects.launches) + len(self.launches)
        status = _pending(task, run, self.group, agent.info, world.now)
        self.launches.append(Launch(task, status, placement.demand, replace(charged, ports=ports), offer.reservation))

    def _priority(self, demand: str | None) -> int:
        """That of the demand which a launch serves; without one it is 0."""
        if demand is None:
            return 0
        effects = self.turn.effects
        wanted = effects.want if effects.want is not None else self.turn.world.demands
        for own in wanted:
            if own.name == demand:
                return own.priority
        raise Unknown(f"demand {demand}: no such demand")

    def _check_mounts(self, task: Task, offer: Offer, known: FakeReservation | None) -> None:
        """Whether a task may have its volumes, and may be what it says it is, on an offer."""
        if known is None:
            for mount in task.mounts:
                raise Invalid(f"task {task.id}: volume {mount.volume} is of no reservation")
            return
        if task.preemptible:
            raise Invalid(f"task {task.id}: it may not be preemptible on a reservation")
        for mount in task.mounts:
            volume = known.volume(mount.volume)
            if volume is None:
                raise Unknown(f"volume {mount.volume}: there is none of this name in reservation {offer.reservation}")
            if volume.destroying:
                raise Invalid(f"task {task.id}: volume {mount.volume} is being destroyed")
            if known.mounted[mount.volume] > self._own_group(mount, offer.reservation):
                raise Invalid(f"task {task.id}: volume {mount.volume} is in use by another task")

    def _own_group(self, mount: Mount, reservation: int | None) -> int:
        """How many tasks that this turn launched in the same group have the volume."""
        if self.group is None:
            return 0
        return sum(
            any(own.volume == mount.volume for own in launch.task.mounts)
            for launch in (*self.turn.effects.launches, *self.launches)
            if launch.status.group == self.group and launch.reservation == reservation
        )

    def _fixed_ports(self, agent: int) -> set[int]:
        """Ports that this turn's launches take by number."""
        return {
            port.fixed
            for launch in (*self.turn.effects.launches, *self.launches)
            if launch.status.agent == agent
            for port in launch.task.ports
            if port.fixed is not None
        }


def _check_task(task: Task) -> None:
    """The rules that need no cluster."""
    from mezzo.testing.turn import is_name

    def refuse(field: str, rule: str) -> Invalid:
        return Invalid(f"task {task.id}: {field}: {rule}")

    if not is_name(task.id):
        raise refuse("id", "1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit")
    if not in_range(task.resources):
        raise refuse("resources", "out of range")
    work = task.workload
    if not isinstance(work, Container) and not (work.argv and work.argv[0]):
        raise refuse("argv[0]", "a program; it may not be empty")
    if any(not name or "=" in name or "\0" in name for name in task.env):
        raise refuse("env", "a name, not empty, without `=` and NUL")
    if task.runtime_max_ms == 0:
        raise refuse("runtime-max-ms", "at least 1")
    for nth, mount in enumerate(task.mounts):
        before = task.mounts[:nth]
        others = [other.path for other in before] + [file.path for file in task.files]
        if not is_name(mount.volume):
            raise refuse(f"mounts[{nth}]", "the volume has no valid name")
        if any(part in ("", ".", "..") for part in mount.path.split("/")):
            raise refuse(f"mounts[{nth}]", "the path is not a relative one inside the sandbox")
        if any(other.volume == mount.volume for other in before) or any(_meet(mount.path, path) for path in others):
            raise refuse(f"mounts[{nth}]", "the volume or the path is there twice")
    for key in task.extra:
        raise refuse("extra", f"`{key}` is not known")


def _meet(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _bytes(task: Task) -> int:
    """About what it takes to hand it over."""
    texts: list[str] = [task.id, task.name, *task.workload.argv]
    if not isinstance(task.workload, Process):
        texts.append("sha256:")
    for pairs in (task.env, task.labels):
        texts += (*pairs, *pairs.values())
    texts += [text for mount in task.mounts for text in (mount.volume, mount.path)]
    return 256 + sum(map(len, texts)) + sum(len(file.path) + len(file.content) for file in task.files)


def _pending(task: Task, run: int, group: str | None, agent: Agent, now: int) -> TaskStatus:
    """Its first status."""
    ports = {
        port.name: port.fixed if port.fixed is not None else 20_000 + (run * 16 + nth) % 40_000
        for nth, port in enumerate(task.ports)
    }
    return TaskStatus(
        task=task.id,
        run=run,
        group=group,
        labels=dict(task.labels),
        agent=agent.id,
        state=TaskState.PENDING,
        reason="",
        message="",
        exit_code=None,
        address=agent.address,
        ports=ports,
        since=now,
    )
