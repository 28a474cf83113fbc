"""From the bindings' types to the SDK's. The bindings are `Any` to a type checker unless they are generated first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wit_world.imports import types as wit

from mezzo import errors, events
from mezzo.cluster import (
    Agent,
    Launched,
    Notice,
    Offer,
    Reservation,
    Reserved,
    Setup,
    TaskState,
    TaskStatus,
    Volume,
)
from mezzo.resources import Resources
from mezzo.wsgi import Request

# By the number of the case, which is the same on both sides.
_STATES = {state.value: state for state in TaskState}


def setup(own: Any) -> Setup:
    return Setup(own.name, own.role, own.options, own.upgraded_from)


def event(own: Any) -> events.Event:
    return _EVENTS[type(own).__name__](own.value)


def resources(own: Any) -> Resources:
    custom = own.custom
    return Resources(
        own.cpu_milli,
        own.memory_bytes,
        own.disk_bytes,
        own.gpus,
        own.ports,
        {amount.name: amount.amount_milli for amount in custom} if custom else {},
    )


def offer(own: Any) -> Offer:
    return Offer(own.id, own.agent, resources(own.free), own.reservation, own.volumes)


def agent(own: Any) -> Agent:
    return Agent(
        own.id,
        own.hostname,
        own.address,
        own.region,
        own.zone,
        {attribute.name: attribute.value.value for attribute in own.attributes},
        resources(own.total),
        own.runtimes,
        own.leaving_at,
    )


def status(own: Any) -> TaskStatus:
    return TaskStatus(
        own.task,
        own.run,
        own.group,
        _labels(own.labels),
        own.agent,
        _STATES[own.state.value],
        own.reason,
        own.message,
        own.exit_code,
        own.address,
        _ports(own.ports),
        own.since,
    )


def launched(own: Any) -> Launched:
    return Launched(own.task, own.run, _ports(own.ports))


def reserved(own: Any) -> Reserved:
    return Reserved(own.reservation, own.offer)


def reservation(own: Any) -> Reservation:
    return Reservation(
        own.id,
        own.agent,
        own.role,
        own.made_by,
        resources(own.amount),
        resources(own.free),
        [Volume(volume.name, volume.size_bytes, volume.destroying, volume.in_use) for volume in own.volumes],
        _labels(own.labels),
        own.until,
        own.ending,
    )


def refusal(own: Any) -> errors.Refusal:
    kind = type(own).__name__.removeprefix("Refusal_")
    return _REFUSALS.get(kind, errors.Other)(own.value)


def request(own: Any) -> Request:
    headers = [(header.name, header.value) for header in own.headers]
    return Request(own.id, own.method, own.path, headers, own.body, own.principal)


def _labels(own: Any) -> dict[str, str]:
    return {label.key: label.value for label in own}


def _ports(own: Any) -> dict[str, int]:
    return {port.name: port.number for port in own}


_EVENTS: dict[str, Callable[[Any], events.Event]] = {
    "Event_Agents": lambda value: events.Agents([agent(one) for one in value]),
    "Event_AgentsGone": events.AgentsGone,
    "Event_Statuses": lambda value: events.Statuses([status(one) for one in value]),
    "Event_Timer": events.Timer,
    "Event_Options": events.Options,
    "Event_StreamsClosed": events.StreamsClosed,
    "Event_Notice": lambda value: events.Noticed(Notice(value.kind, value.body)),
    "Event_Offers": lambda value: events.Offers([offer(one) for one in value]),
}

_REFUSALS: dict[str, type[errors.Refusal]] = {
    "Unknown": errors.Unknown,
    "Insufficient": errors.Insufficient,
    "Invalid": errors.Invalid,
    "Forbidden": errors.Forbidden,
    "Limit": errors.Limit,
}


def check() -> None:
    """Whether the contract has the cases that this SDK knows, in its order; called while a component is built."""
    theirs = [member.name for member in wit.TaskState]
    if theirs != [state.name for state in TaskState]:
        raise TypeError(f"the contract has other task states than this SDK: {theirs}")
