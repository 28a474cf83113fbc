"""What a framework is told of the cluster: agents, offers, tasks' statuses, reservations.

The contract's comments in `wit/types.wit` say more about each field. Lists of names and values are dicts here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from mezzo import codec
from mezzo.errors import Error, JsonError
from mezzo.resources import Resources

T = TypeVar("T")

AgentId = int
OfferId = int
ReservationId = int
TaskId = str
InstantMs = int
"""Milliseconds since the Unix epoch, as the master sees them."""


@dataclass(slots=True)
class Setup:
    """What an instance is told first."""

    name: str
    """The installed name, such as `batch`."""
    role: str
    """Who is charged for its tasks."""
    options: str = "{}"
    """The operator's options: a JSON object."""
    upgraded_from: str | None = None
    """The digest of the component whose state this instance finds, on the first start after an upgrade."""

    def options_as(self, kind: Callable[..., T]) -> T:
        """The options as the framework's own dataclass; see `parse_options`."""
        return parse_options(self.options, kind)


def parse_options(options: str, kind: Callable[..., T]) -> T:
    """Reads options as a dataclass; an unknown field, or one of another type, is refused by its name."""
    try:
        return codec.decode(kind, options.strip() or "{}", strict=True)
    except JsonError as error:
        raise Error(f"the options are not accepted: {error}") from error


@dataclass(slots=True)
class Notice:
    """What a later master may tell."""

    kind: str
    body: str
    """JSON."""


@dataclass(slots=True)
class Agent:
    """One machine that runs tasks. Told before the first offer that names it, and when it has changed."""

    id: AgentId
    hostname: str
    address: str
    """Where its tasks can be reached."""
    region: str | None
    zone: str | None
    attributes: dict[str, str | int]
    """Text, or a number in thousandths."""
    total: Resources
    """All it has, used or not."""
    runtimes: list[str]
    """The kinds of workload it can run: `process`, `container`, `module`."""
    leaving_at: InstantMs | None = None
    """When its tasks will be asked to end, because an operator drains it."""


@dataclass(slots=True)
class Offer:
    """What one agent has free for this framework until the turn ends."""

    id: OfferId
    agent: AgentId
    free: Resources
    reservation: ReservationId | None = None
    """The reservation that it is of; none: what is unreserved."""
    volumes: list[str] = field(default_factory=list)
    """That reservation's volumes that no task uses."""


class TaskState(Enum):
    """Where a task stands; its text is the contract's word, such as `running`."""

    PENDING = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    UNREACHABLE = 4
    FINISHED = 5
    FAILED = 6
    KILLED = 7
    LOST = 8

    @property
    def is_final(self) -> bool:
        """Whether a task never leaves this state again."""
        return self in _FINAL

    def __str__(self) -> str:
        return self.name.lower()


_FINAL = frozenset((TaskState.FINISHED, TaskState.FAILED, TaskState.KILLED, TaskState.LOST))


@dataclass(slots=True)
class TaskStatus:
    """What the master knows of one task."""

    task: TaskId
    run: int
    """This run of the task; never reused."""
    group: str | None
    labels: dict[str, str]
    """As launched."""
    agent: AgentId
    state: TaskState
    reason: str
    """A stable code, such as `runtime-max`; empty when there is nothing to say."""
    message: str
    """For people."""
    exit_code: int | None
    address: str
    """Where the agent can be reached."""
    ports: dict[str, int]
    """The ports it was given, by the task's own names for them."""
    since: InstantMs


@dataclass(slots=True)
class Launched:
    """What came of one placement."""

    task: TaskId
    run: int
    ports: dict[str, int]


@dataclass(slots=True)
class Reserved:
    """What came of keeping a part of an offer."""

    reservation: ReservationId
    offer: OfferId
    """The same as an offer of this turn: volumes can be created and tasks launched on it at once."""


@dataclass(slots=True)
class Volume:
    """Data that outlives tasks, on disk space of a reservation."""

    name: str
    size_bytes: int
    destroying: bool = False
    in_use: bool = False


@dataclass(slots=True)
class Reservation:
    """A part of an agent that is kept for a role, whatever runs on it."""

    id: ReservationId
    agent: AgentId
    role: str
    made_by: str
    """`framework/...`, a principal, or `agent-configuration`."""
    amount: Resources
    """How much it is, used or not."""
    free: Resources
    """What of it no task, volume or smaller reservation uses."""
    volumes: list[Volume]
    labels: dict[str, str]
    until: InstantMs | None
    """When it ends by itself if nothing uses it then."""
    ending: bool
    """It was given back, and is gone as soon as nothing uses it."""
