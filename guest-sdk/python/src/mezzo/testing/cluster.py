"""`Cluster`: one framework and all that it can see of a cluster, under a test's command."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from mezzo import log, wsgi
from mezzo.cluster import Agent, Reservation, Setup, TaskState
from mezzo.errors import Error
from mezzo.framework import Framework, Instance
from mezzo.resources import Resources
from mezzo.task import Demand, Task
from mezzo.testing import offers
from mezzo.testing.http import Answer
from mezzo.testing.offers import Told
from mezzo.testing.turn import InjectedFault, Turn
from mezzo.testing.world import FakeAgent, FakeReservation, FakeTask, Limits, StreamView, World

F = TypeVar("F", bound=Framework)
R = TypeVar("R")

SETTLE_TURNS_MAX = 100_000
"""Turns that one call of `settle` runs at most: a framework that never comes to rest fails its test."""

FAULTS_IN_A_ROW_MAX = 5
"""Faults in a row that are a bug of the framework rather than of the weather."""


class Cluster(Generic[F]):
    """A cluster without agents and a framework that is not started yet: `settle` starts it."""

    def __init__(
        self, framework: Callable[[], F], options: Mapping[str, Any] | str = "{}", *, name: str = "framework"
    ) -> None:
        self._make = framework
        self._setup = Setup(name, "test", _json(options), None)
        self._world = World(self._setup)
        self._instance: Instance[F] | None = None
        self._new_options = False
        self._fault: int | None = None
        self._faults_in_a_row = 0
        self.faults: list[str] = []
        """What has gone wrong so far: exceptions with their traceback, overruns and injected faults."""
        self.records: list[tuple[int, str]] = []
        """What it has logged, with the levels of `logging`."""

    # The framework.

    @property
    def limits(self) -> Limits:
        """The limits that it enforces; may be changed between turns."""
        return self._world.limits

    @property
    def now(self) -> int:
        """The virtual clock."""
        return self._world.now

    @property
    def framework(self) -> F:
        """The framework itself; there must be a live instance."""
        assert self._instance is not None, "no instance lives: call `settle` or `start`"
        return self._instance.framework

    @property
    def log(self) -> list[str]:
        """What it has logged, without the levels."""
        return [line for _, line in self.records]

    @property
    def demands(self) -> list[Demand]:
        """What it wants, with the counts as they are now."""
        return self._world.demands

    @property
    def timers(self) -> dict[str, int]:
        """Its timers, and when each is due."""
        return self._world.timers

    @property
    def state(self) -> dict[str, bytes]:
        """Its durable state; a test may change it behind the framework's back, as a bug or a bad disk would."""
        return self._world.state

    def start(self) -> None:
        """Starts the framework, once; raises what it refuses to start with."""
        if self._instance is None:
            self._start()

    def settle(self) -> None:
        """Runs turns until nothing is waiting for the framework. Starts it if need be."""
        for _ in range(SETTLE_TURNS_MAX):
            if not self.turn():
                return
        raise AssertionError(f"after {SETTLE_TURNS_MAX} turns the framework still has not come to rest")

    def turn(self) -> bool:
        """Runs one turn, if something is waiting. Returns whether it did."""
        self._world.agents_act()
        if self._instance is None:
            self._start()
            return True
        events, told = offers.gather(self._world, new_options=self._new_options)
        if not events:
            return False
        # A fault is noted down; the next turn starts a new instance, which is told the same again.
        self._one_turn(told, lambda instance, turn: instance.handle(turn, turn, self.now, events))
        return True

    def advance(self, ms: int) -> None:
        """Lets time pass. Timers that come due fire in the next turn; tasks that outlive their limit are killed."""
        self._world.advance(ms)

    def set_options(self, options: Mapping[str, Any] | str) -> None:
        """Changes the options; the framework hears of it in its next turn."""
        self._setup.options = _json(options)
        self._new_options = True

    def restart(self, *, upgraded_from: str | None = None) -> None:
        """Drops the instance between two turns, as a restart of the master does: memory and streams are gone, all that
        was committed stays."""
        self._setup.upgraded_from = upgraded_from
        self._drop_instance()

    def fault_at_call(self, call: int) -> None:
        """Makes the next turn trap at the framework's n-th call (from 0), or at its end if it makes fewer calls: the
        turn is undone and the instance dropped."""
        self._fault = call

    # Agents.

    def add_agent(self, total: Resources, attributes: Mapping[str, str | int] | None = None) -> int:
        """Adds an agent that runs processes and modules. It gets 1,000 ports unless `total` names a number."""
        total += Resources(ports=0 if total.ports else 1_000)
        number = self._world.fresh_id()
        info = Agent(
            id=number,
            hostname=f"agent-{number}",
            address="127.0.0.1",
            region=None,
            zone=None,
            attributes=dict(attributes or {}),
            total=total,
            runtimes=["process", "module"],
        )
        self._world.agents[number] = FakeAgent(info, total + Resources())
        return number

    def lose_agent(self, agent: int) -> None:
        """The agent leaves for good; its tasks are lost."""
        for name in self._world.tasks_on(agent):
            self._world.end(name, TaskState.LOST, "agent-gone")
        if self._world.agents.pop(agent, None) is not None:
            self._world.gone.append(agent)
        kept = self._world.reservations
        self._world.reservations = {number: known for number, known in kept.items() if known.view.agent != agent}

    def silence_agent(self, agent: int) -> None:
        """The agent falls silent: its tasks are unreachable and obey nothing, and it is not offered."""
        self._world.agents[agent].silent = True
        for name in self._world.tasks_on(agent):
            self._world.change(name, TaskState.UNREACHABLE, "agent-silent")

    def wake_agent(self, agent: int) -> None:
        """The agent is back, and its tasks ran on."""
        known = self._world.agents[agent]
        known.silent = known.seen = False
        for reservation in self._world.reservations.values():
            reservation.seen &= reservation.view.agent != agent
        for name in self._world.tasks_on(agent):
            self._world.change(name, TaskState.RUNNING, "agent-returned")

    # Tasks.

    @property
    def tasks(self) -> dict[str, FakeTask]:
        """All tasks that the master still keeps, by id."""
        return dict(sorted(self._world.tasks.items()))

    @property
    def live(self) -> list[str]:
        """The ids of those that have not ended."""
        return [name for name, known in self.tasks.items() if not known.state.is_final]

    @property
    def history(self) -> Sequence[Task]:
        """Every task that was ever launched, in order."""
        return self._world.history

    def run(self, task: str) -> None:
        """The task begins to run."""
        self._world.change(task, TaskState.RUNNING, "")

    def finish(self, task: str, exit_code: int = 0) -> None:
        """The task ends by itself."""
        state = TaskState.FAILED if exit_code else TaskState.FINISHED
        self._world.end(task, state, "exited", exit_code)

    def fail_to_start(self, task: str) -> None:
        """The task could not be started."""
        self._world.end(task, TaskState.FAILED, "start-failed")

    def lose(self, task: str) -> None:
        """The task is lost."""
        self._world.end(task, TaskState.LOST, "agent-forgot")

    def kill(self, task: str) -> None:
        """Somebody else kills the task."""
        self._world.end(task, TaskState.KILLED, "kill-requested", 137)

    def drain(self, task: str) -> None:
        """An operator drains the task's agent."""
        self._world.end(task, TaskState.KILLED, "agent-draining", 143)

    def preempt(self, task: str) -> None:
        """The master takes back what the task uses; it must be preemptible. Here only on a test's command."""
        assert self._world.tasks[task].task.preemptible, f"{task} is not preemptible"
        self._world.end(task, TaskState.KILLED, "preempted", 143)

    def run_to_end(self, exit_code: Callable[[Task], int] = lambda task: 0) -> None:
        """Runs and ends every task, with the exit code that `exit_code` says, until nothing lives any more."""
        self.settle()
        while live := self.live:
            for name in live:
                code = exit_code(self._world.tasks[name].task)
                self.run(name)
                self.finish(name, code)
            self.settle()

    # Reservations.

    @property
    def reservations(self) -> dict[int, Reservation]:
        """All of them, by id, as they are."""
        return {number: known.view for number, known in sorted(self._world.reservations.items())}

    def reserve(self, agent: int, amount: Resources) -> int:
        """An operator reserves a part of an agent for the framework's role: it is offered to every demand that names no
        other."""
        assert not amount.ports, "ports cannot be reserved"
        known = self._world.agents[agent]
        assert known.free.holds(amount), f"agent {agent} has {known.free} free, not {amount}"
        known.free -= amount
        number = self._world.fresh_id()
        view = Reservation(
            id=number,
            agent=agent,
            role=self._setup.role,
            made_by="operator",
            amount=amount,
            free=amount + Resources(),
            volumes=[],
            labels={},
            until=None,
            ending=False,
        )
        self._world.reservations[number] = FakeReservation(view)
        return number

    # HTTP.

    def request(
        self, method: str, path: str, body: bytes | str = b"", *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends a request; one turn answers it. Starts the framework if need be."""
        self.start()
        self._world.agents_act()
        number = self._world.fresh_id()
        own = [(name.lower(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        data = body.encode() if isinstance(body, str) else body
        request = wsgi.Request(number, method, path, own, data, "tester")
        # Open while the turn lasts, as in the master: whether it stays so is for the answer to say.
        self._world.streams[number] = StreamView()
        response = self._one_turn(Told(), lambda instance, turn: instance.request(turn, turn, self.now, request))
        if response is None or response.body is not None:
            del self._world.streams[number]
        if response is None:
            return Answer(500, [], b"{}")
        text = [(name, value.decode("latin-1")) for name, value in response.headers]
        return Answer(response.status, text, response.body or b"", number if response.body is None else None)

    def get(self, path: str) -> Answer:
        """`GET`."""
        return self.request("GET", path)

    def post(self, path: str, body: object) -> Answer:
        """`POST` with a JSON body."""
        return self.request("POST", path, json.dumps(body), headers={"content-type": "application/json"})

    def put(self, path: str, body: object) -> Answer:
        """`PUT` with a JSON body."""
        return self.request("PUT", path, json.dumps(body), headers={"content-type": "application/json"})

    def delete(self, path: str) -> Answer:
        """`DELETE`."""
        return self.request("DELETE", path)

    def stream(self, number: int) -> StreamView:
        """What a stream has sent."""
        return self._world.streams[number]

    def leave_stream(self, number: int) -> None:
        """The client of a stream goes away."""
        stream = self._world.streams[number]
        if stream.open:
            stream.open, stream.client_gone = False, True
            self._world.streams_gone.append(number)

    # Turns.

    def _start(self) -> None:
        self._world.new_instance()
        self._new_options = False
        instance = Instance(self._make())
        turn, fault = self._new_turn([])
        refusal: Error | None = None
        try:
            with self._logging(turn):
                instance.start(turn, turn, self.now, Setup(**_fields(self._setup)))
        except Error as error:
            refusal = error
        except (Exception, InjectedFault) as error:
            self._note_fault(error)
            return
        if refusal is not None and fault is None:
            raise refusal
        if self._fault_after(turn, fault):
            return
        self._world.commit(turn.effects)
        self._setup.upgraded_from = None
        self._instance = instance

    def _one_turn(self, told: Told, call: Callable[[Instance[F], Turn], R]) -> R | None:
        """Runs one turn of the live instance and commits it, or undoes it and drops the instance."""
        assert self._instance is not None
        turn, fault = self._new_turn(told.offers)
        try:
            with self._logging(turn):
                result = call(self._instance, turn)
        except (Exception, InjectedFault) as error:
            self._note_fault(error)
            return None
        if self._fault_after(turn, fault):
            return None
        self._faults_in_a_row = 0
        self._new_options = self._new_options and not told.options
        offers.handled(self._world, told, turn.effects)
        # Its effects come after: a list of demands that it changed lets it see every agent again.
        self._world.commit(turn.effects)
        return result

    def _new_turn(self, leases: Sequence[Any]) -> tuple[Turn, int | None]:
        fault, self._fault = self._fault, None
        return Turn(self._world, leases, fault, lambda level, line: self.records.append((level, line))), fault

    def _fault_after(self, turn: Turn, fault: int | None) -> bool:
        """Whether the turn came to its end and yet must not commit."""
        text = "injected fault" if fault is not None else turn.overrun()
        if text is not None:
            self._note_fault(InjectedFault(text))
        return text is not None

    def _note_fault(self, error: BaseException) -> None:
        if isinstance(error, InjectedFault):
            text = str(error)
        else:
            text = "".join(traceback.format_exception(error))
            self.records.append((logging.ERROR, text))
        self._faults_in_a_row += 1
        self.faults.append(text)
        self._drop_instance()
        if self._faults_in_a_row >= FAULTS_IN_A_ROW_MAX:
            raise AssertionError(f"{FAULTS_IN_A_ROW_MAX} faults in a row; the last: {text}") from error

    def _drop_instance(self) -> None:
        self._instance = None
        self._world.end_streams()

    @contextmanager
    def _logging(self, turn: Turn) -> Iterator[None]:
        """What is logged during a turn is the framework's."""
        root = logging.getLogger()
        level = root.level
        handler = log.install(turn.log)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)


def _json(options: Mapping[str, Any] | str) -> str:
    return options if isinstance(options, str) else json.dumps(options)


def _fields(setup: Setup) -> dict[str, Any]:
    return {
        "name": setup.name,
        "role": setup.role,
        "options": setup.options,
        "upgraded_from": setup.upgraded_from,
    }
