"""`Framework` and `WebFramework`: what a framework overrides; and the order in which a turn's events reach it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from mezzo import events, wsgi
from mezzo.cluster import Agent, AgentId, InstantMs, Notice, Offer, Setup, TaskStatus
from mezzo.cx import Cx
from mezzo.host import Host, Streams
from mezzo.state import Journal

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


class Framework(ABC):
    """A scheduler. Only `start` must be there; override what else you need to hear about.

    Each method runs within a turn: everything it asked for through `Cx` commits together when the turn returns, and an
    exception undoes all of it. A new instance then begins with `start` and finds the durable state of the last commit.
    """

    @abstractmethod
    def start(self, cx: Cx, setup: Setup) -> None:
        """The first turn of every instance: read the durable state and say what is wanted. A `mezzo.Error` refuses the
        install, rolls an upgrade back, or counts as a fault."""

    def agents(self, cx: Cx, agents: list[Agent]) -> None:
        """Agents that are new, or have changed."""

    def agents_gone(self, cx: Cx, agents: list[AgentId]) -> None:
        """Agents that have left for good."""

    def statuses(self, cx: Cx, statuses: list[TaskStatus]) -> None:
        """The latest of each task whose status is not handled yet. States in between may be skipped, the final one
        never."""

    def timer(self, cx: Cx, name: str) -> None:
        """A timer has fired."""

    def options(self, cx: Cx, options: str) -> None:
        """The operator changed the options: a JSON object, see `mezzo.parse_options`."""

    def streams_closed(self, cx: Cx, streams: list[int]) -> None:
        """The clients of these response streams have gone."""

    def notice(self, cx: Cx, notice: Notice) -> None:
        """Something newer than this SDK."""

    def offers(self, cx: Cx, offers: list[Offer]) -> None:
        """What can be used in this turn; what is not used goes back. `mezzo.Plan` keeps count of what is left."""

    def turn_end(self, cx: Cx) -> None:
        """The last call of every turn, after `start`, after all events, and after a request: the place to say anew what
        is wanted."""


class WebFramework(Framework):
    """A framework that also serves HTTP below `/fw/<name>/`."""

    @abstractmethod
    def wsgi(self) -> WSGIApplication:
        """The WSGI application, such as a Bottle or Flask app. Asked for once an instance, after `start`."""


F = TypeVar("F", bound=Framework)


class Instance(Generic[F]):
    """A live framework and what goes with it."""

    def __init__(self, framework: F) -> None:
        self.framework = framework
        self._journal = Journal()
        self._name = ""
        self._app: WSGIApplication | None = None

    def start(self, host: Host, streams: Streams | None, now: InstantMs, setup: Setup) -> None:
        """The first turn."""
        self._name = setup.name
        cx = Cx(host, streams, now, self._journal)
        self.framework.start(cx, setup)
        if isinstance(self.framework, WebFramework):
            self._app = self.framework.wsgi()
        self._end(cx, host)

    def handle(self, host: Host, streams: Streams | None, now: InstantMs, told: Sequence[events.Event]) -> None:
        """One turn of events."""
        cx = Cx(host, streams, now, self._journal)
        for event in told:
            _METHODS[type(event)](self.framework, cx, event.value)
        self._end(cx, host)

    def request(self, host: Host, streams: Streams | None, now: InstantMs, request: wsgi.Request) -> wsgi.Response:
        """One request's turn."""
        if self._app is None:
            raise TypeError(f"{type(self.framework).__name__} is no WebFramework")
        cx = Cx(host, streams, now, self._journal)
        response = wsgi.call(self._app, cx, request, f"/fw/{self._name}")
        self._end(cx, host)
        return response

    def _end(self, cx: Cx, host: Host) -> None:
        self.framework.turn_end(cx)
        self._journal.flush(host)


# The method is looked up by name, so that an override is found.
_METHODS = {
    events.Agents: lambda framework, cx, value: framework.agents(cx, value),
    events.AgentsGone: lambda framework, cx, value: framework.agents_gone(cx, value),
    events.Statuses: lambda framework, cx, value: framework.statuses(cx, value),
    events.Timer: lambda framework, cx, value: framework.timer(cx, value),
    events.Options: lambda framework, cx, value: framework.options(cx, value),
    events.StreamsClosed: lambda framework, cx, value: framework.streams_closed(cx, value),
    events.Noticed: lambda framework, cx, value: framework.notice(cx, value),
    events.Offers: lambda framework, cx, value: framework.offers(cx, value),
}
