"""The master itself: the contract's imports as the SDK's `Host` and `Streams`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from wit_world.imports import driver, state, timers
from wit_world.imports import log as wit_log

from mezzo._guest import lift, lower
from mezzo._guest.err import Err
from mezzo.cluster import Agent, Launched, Reservation, Reserved, TaskStatus
from mezzo.errors import StateError, TimerError
from mezzo.resources import Resources
from mezzo.task import Demand, Placement


class Imports:
    """`mezzo.host.Host`."""

    def want(self, demands: Sequence[Demand]) -> None:
        own = [lower.demand(demand) for demand in demands]
        try:
            driver.want(own)
        except Err as error:
            raise lift.refusal(error.value) from None

    def revive(self) -> None:
        driver.revive()

    def launch(self, placements: Sequence[Placement]) -> list[Launched]:
        own = [lower.placement(placement) for placement in placements]
        try:
            return [lift.launched(one) for one in driver.launch(own)]
        except Err as error:
            raise lift.refusal(error.value) from None

    def launch_group(self, group: str, placements: Sequence[Placement]) -> list[Launched]:
        own = [lower.placement(placement) for placement in placements]
        try:
            return [lift.launched(one) for one in driver.launch_group(group, own)]
        except Err as error:
            raise lift.refusal(error.value) from None

    def kill(self, task: str, grace_ms: int | None) -> None:
        try:
            driver.kill(task, grace_ms)
        except Err as error:
            raise lift.refusal(error.value) from None

    def reserve(self, offer: int, amount: Resources, labels: dict[str, str], until: int | None) -> Reserved:
        try:
            return lift.reserved(driver.reserve(offer, lower.resources(amount), lower.labels(labels), until))
        except Err as error:
            raise lift.refusal(error.value) from None

    def unreserve(self, reservation: int) -> None:
        try:
            driver.unreserve(reservation)
        except Err as error:
            raise lift.refusal(error.value) from None

    def create_volume(self, reservation: int, name: str, size_bytes: int) -> None:
        try:
            driver.create_volume(reservation, name, size_bytes)
        except Err as error:
            raise lift.refusal(error.value) from None

    def destroy_volume(self, reservation: int, name: str) -> None:
        try:
            driver.destroy_volume(reservation, name)
        except Err as error:
            raise lift.refusal(error.value) from None

    def reservations(self, after: int | None, limit: int) -> list[Reservation]:
        return [lift.reservation(one) for one in driver.reservations(after, limit)]

    def tasks(self, after: str | None, limit: int) -> list[TaskStatus]:
        return [lift.status(one) for one in driver.tasks(after, limit)]

    def find_task(self, task: str) -> TaskStatus | None:
        found = driver.find_task(task)
        return None if found is None else lift.status(found)

    def agents(self, after: int | None, limit: int) -> list[Agent]:
        return [lift.agent(one) for one in driver.agents(after, limit)]

    def find_agent(self, agent: int) -> Agent | None:
        found = driver.find_agent(agent)
        return None if found is None else lift.agent(found)

    def state_get(self, key: str) -> bytes | None:
        value: bytes | None = state.get(key)
        return value

    def state_set(self, key: str, value: bytes) -> None:
        try:
            state.set(key, value)
        except Err as error:
            raise StateError(key, str(error.value)) from None

    def state_delete(self, key: str) -> None:
        state.delete(key)

    def state_scan(self, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        page: list[tuple[str, bytes]] = state.scan(prefix, after, limit)
        return page

    def timer_set(self, name: str, after_ms: int) -> None:
        try:
            timers.set(name, after_ms)
        except Err as error:
            raise TimerError(str(error.value)) from None

    def timer_cancel(self, name: str) -> None:
        timers.cancel(name)

    def log(self, level: int, message: str) -> None:
        wit_log.write(_level(level), message)


class StreamImports:
    """`mezzo.host.Streams`; made only in the world that has them."""

    def __init__(self) -> None:
        from wit_world.imports import streams

        self._streams = streams

    def write(self, request: int, chunk: bytes) -> bool:
        return bool(self._streams.write(request, chunk))

    def close(self, request: int) -> None:
        self._streams.close(request)


def _level(level: int) -> Any:
    if level >= logging.ERROR:
        return wit_log.Level.ERROR
    if level >= logging.WARNING:
        return wit_log.Level.WARN
    return wit_log.Level.INFO if level >= logging.INFO else wit_log.Level.DEBUG
