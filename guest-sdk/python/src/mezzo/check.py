"""What the boundary of a component cannot carry is refused here, as the master refuses what breaks its rules.

Numbers that do not fit and texts that are no Unicode would otherwise end the instance without a word of where.
"""

from __future__ import annotations

import struct

from mezzo.errors import Invalid
from mezzo.resources import Resources
from mezzo.task import Demand, Placement, Process, Task

_RESOURCES = struct.Struct("QQQII")
U16, U32, U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1


def resources(what: str, own: Resources) -> None:
    """Amounts are integers that fit."""
    try:
        _RESOURCES.pack(own.cpu_milli, own.memory_bytes, own.disk_bytes, own.gpus, own.ports)
    except struct.error:
        for name, value, most in (
            ("cpu-milli", own.cpu_milli, U64),
            ("memory-bytes", own.memory_bytes, U64),
            ("disk-bytes", own.disk_bytes, U64),
            ("gpus", own.gpus, U32),
            ("ports", own.ports, U32),
        ):
            number(f"{what}: {name}", value, most)
        raise
    for custom, milli in own.custom.items():
        text(f"{what}: custom", custom)
        number(f"{what}: {custom}", milli)


def number(what: str, value: object, most: int = U64, least: int = 0) -> None:
    """An integer in a range."""
    if not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{what}: an integer from {least} to {most}, not {value!r}")


def text(what: str, *values: str) -> None:
    """Unicode without lone surrogates."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        raise Invalid(f"{what}: a text is no Unicode: it has half of a surrogate pair") from None
    except TypeError:
        wrong = next(value for value in values if not isinstance(value, str))
        raise Invalid(f"{what}: a text, not {wrong!r}") from None


def data(what: str, value: object) -> None:
    """Exactly `bytes`."""
    if not isinstance(value, bytes):
        raise Invalid(f"{what}: bytes, not a {type(value).__name__}")


def demand(own: Demand) -> None:
    """A whole demand."""
    what = f"demand {own.name}"
    text(what, own.name)
    resources(what, own.each)
    number(f"{what}: count", own.count, U32)
    number(f"{what}: priority", own.priority, (1 << 31) - 1, -(1 << 31))
    for port in own.fixed_ports:
        number(f"{what}: fixed-ports", port, U16)
    for reservation in own.reservations:
        number(f"{what}: reservations", reservation)
    for condition in own.conditions:
        text(f"{what}: conditions", condition.attribute, condition.value)


def placement(own: Placement) -> None:
    """A whole placement."""
    number("placement: offer", own.offer)
    if own.demand is not None:
        text("placement: demand", own.demand)
    task(own.task)


def task(own: Task) -> None:
    """A whole task."""
    what = f"task {own.id}"
    work = own.workload
    texts = [own.id, own.name]
    if isinstance(work.argv, str):
        raise Invalid(f"{what}: argv: a list of texts, not one text")
    texts += work.argv
    if not isinstance(work, Process):
        texts.append(work.component if not hasattr(work, "image") else work.image)
    for pairs in (own.env, own.labels, own.extra):
        texts += pairs
        texts += pairs.values()
    resources(what, own.resources)
    number(f"{what}: kill-grace-ms", own.kill_grace_ms)
    if own.runtime_max_ms is not None:
        number(f"{what}: runtime-max-ms", own.runtime_max_ms)
    for port in own.ports:
        texts.append(port.name)
        if port.fixed is not None:
            number(f"{what}: port {port.name}", port.fixed, U16)
    for file in own.files:
        texts.append(file.path)
        data(f"{what}: file {file.path}", file.content)
    for mount in own.mounts:
        texts += (mount.volume, mount.path)
    text(what, *texts)
