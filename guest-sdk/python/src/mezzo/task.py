"""What a framework asks for: demands and tasks, with sensible defaults for what is left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mezzo.cluster import Offer, OfferId, ReservationId, Reserved, TaskId
from mezzo.resources import MIB, Resources

KILL_GRACE_MS_DEFAULT = 3_000
"""What a killed task gets between the first signal and the last, unless it says otherwise."""


@dataclass(slots=True)
class Process:
    """A native program and its arguments; nothing is passed through a shell."""

    argv: list[str]


@dataclass(slots=True)
class Container:
    """A program from an OCI image; `argv` replaces the image's own command where it is not empty."""

    image: str
    argv: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Module:
    """A component in the master's store (`sha256:...`) that implements `wasi:cli/command`."""

    component: str
    argv: list[str]


Workload = Process | Container | Module


@dataclass(slots=True)
class Port:
    """One port of the agent that the task gets to itself; it sees the number as `PORT_<NAME>`."""

    name: str
    fixed: int | None = None
    """Exactly this port; else the master picks one."""


@dataclass(slots=True)
class File:
    """Written into the task's sandbox folder before it starts."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(slots=True)
class Mount:
    """Where a task sees a volume of the reservation that it is launched on."""

    volume: str
    path: str


@dataclass(slots=True)
class Task:
    """One thing to run; charged 100 thousandths of a processor and 32 MiB until told otherwise."""

    id: TaskId
    """1 to 128 of `a-z A-Z 0-9 . _ -`, the first a letter or a digit."""
    workload: Workload
    resources: Resources = field(default_factory=lambda: Resources(100, 32 * MIB))
    """What it is charged for; `ports` may be left 0."""
    name: str = ""
    """For people; the id if it is empty."""
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[Port] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    kill_grace_ms: int = KILL_GRACE_MS_DEFAULT
    runtime_max_ms: int | None = None
    """Running longer, it is killed and ends as failed."""
    mounts: list[Mount] = field(default_factory=list)
    preemptible: bool = False
    """It may be asked to end, with the reason `preempted`. Not for a demand of a priority above 0, and not on a
    reservation."""
    extra: dict[str, str] = field(default_factory=dict)
    """Requests that a later master understands."""

    @property
    def shape(self) -> Resources:
        """What it takes out of an offer: its resources, and as many ports as it lists."""
        own = self.resources
        if len(self.ports) <= own.ports:
            return own
        return Resources(own.cpu_milli, own.memory_bytes, own.disk_bytes, own.gpus, len(self.ports), own.custom)

    def on(self, offer: Offer | Reserved | OfferId, demand: str | None = None) -> Placement:
        """Puts it on an offer, or on what has just been reserved, serving the demand of that name."""
        if isinstance(offer, Reserved):
            return Placement(offer.offer, self, demand)
        return Placement(offer.id if isinstance(offer, Offer) else offer, self, demand)


@dataclass(slots=True)
class Placement:
    """One task on one offer of this turn."""

    offer: OfferId
    task: Task
    demand: str | None = None
    """Whose count goes down by one when the turn commits."""


class Comparison(Enum):
    """How a condition compares."""

    EQUALS = 0
    DIFFERS = 1
    MATCHES = 2
    """The whole text fits the regular expression."""
    AT_LEAST = 3
    AT_MOST = 4
    PRESENT = 5
    ABSENT = 6


@dataclass(slots=True)
class Condition:
    """A test of one agent attribute, or of `@hostname`, `@region`, `@zone`, `@runtime`."""

    attribute: str
    test: Comparison
    value: str = ""


class Preference(Enum):
    """Which agents come first when more fit than one turn can carry."""

    ANY = 0
    MOST_FREE = 1
    LEAST_FREE = 2


@dataclass(slots=True)
class Demand:
    """What the framework still wants. Without a demand there are no offers."""

    name: str
    each: Resources
    """The least that an offer must hold to be worth sending."""
    count: int = 1
    """How many such pieces are wanted."""
    conditions: list[Condition] = field(default_factory=list)
    fixed_ports: list[int] = field(default_factory=list)
    prefer: Preference = Preference.ANY
    reservations: list[ReservationId] = field(default_factory=list)
    """Serve it from these and from nothing else: a task comes back to its volumes."""
    together: bool = False
    """All pieces in one turn or nothing: a gang. Launch them with one `launch`."""
    priority: int = 0
    """Above 0, it takes back what preemptible tasks of a smaller priority use, if it fits nowhere else."""

    @classmethod
    def for_task(cls, name: str, task: Task, count: int = 1, **fields: Any) -> Demand:
        """What `task` needs, `count` times: its resources and its ports. `fields` are the demand's other fields."""
        fields.setdefault("fixed_ports", [port.fixed for port in task.ports if port.fixed is not None])
        return cls(name, task.shape, count, **fields)
