"""What a turn is told, in the order of the contract: one class for each case."""

from __future__ import annotations

from dataclasses import dataclass

from mezzo.cluster import Agent, AgentId, Notice, Offer, TaskStatus


@dataclass(slots=True)
class Agents:
    value: list[Agent]


@dataclass(slots=True)
class AgentsGone:
    value: list[AgentId]


@dataclass(slots=True)
class Statuses:
    value: list[TaskStatus]


@dataclass(slots=True)
class Timer:
    value: str


@dataclass(slots=True)
class Options:
    value: str


@dataclass(slots=True)
class StreamsClosed:
    value: list[int]


@dataclass(slots=True)
class Noticed:
    value: Notice


@dataclass(slots=True)
class Offers:
    value: list[Offer]


Event = Agents | AgentsGone | Statuses | Timer | Options | StreamsClosed | Noticed | Offers
