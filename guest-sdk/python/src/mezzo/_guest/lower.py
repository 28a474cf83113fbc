"""From the SDK's types to the bindings'. What they cannot carry has been refused by `mezzo.check`."""

from __future__ import annotations

from typing import Any

from wit_world.imports import driver
from wit_world.imports import types as wit

from mezzo.resources import Resources
from mezzo.task import Comparison, Container, Demand, Placement, Preference, Process, Task, Workload

_COMPARISONS: dict[Comparison, Any] = {own: wit.Comparison[own.name] for own in Comparison}
_PREFERENCES: dict[Preference, Any] = {own: wit.Preference[own.name] for own in Preference}


def resources(own: Resources) -> Any:
    custom = [wit.CustomAmount(name, milli) for name, milli in own.custom.items()] if own.custom else []
    return wit.Resources(own.cpu_milli, own.memory_bytes, own.disk_bytes, own.gpus, own.ports, custom)


def labels(own: dict[str, str]) -> list[Any]:
    return [wit.Label(key, value) for key, value in own.items()]


def demand(own: Demand) -> Any:
    return wit.Demand(
        name=own.name,
        each=resources(own.each),
        count=own.count,
        conditions=[wit.Condition(one.attribute, _COMPARISONS[one.test], one.value) for one in own.conditions],
        fixed_ports=list(own.fixed_ports),
        prefer=_PREFERENCES[own.prefer],
        reservations=list(own.reservations),
        together=own.together,
        priority=own.priority,
    )


def placement(own: Placement) -> Any:
    return driver.Placement(offer=own.offer, demand=own.demand, task=task(own.task))


def task(own: Task) -> Any:
    return wit.Task(
        id=own.id,
        name=own.name,
        workload=_workload(own.workload),
        resources=resources(own.resources),
        env=[wit.EnvVar(name, value) for name, value in own.env.items()],
        labels=labels(own.labels),
        ports=[wit.Port(port.name, port.fixed) for port in own.ports],
        files=[wit.File(file.path, file.content, file.executable) for file in own.files],
        kill_grace_ms=own.kill_grace_ms,
        runtime_max_ms=own.runtime_max_ms,
        mounts=[wit.Mount(mount.volume, mount.path) for mount in own.mounts],
        preemptible=own.preemptible,
        extra=labels(own.extra),
    )


def _workload(own: Workload) -> Any:
    argv = list(own.argv)
    if isinstance(own, Process):
        return wit.Workload_Process(wit.Process(argv))
    if isinstance(own, Container):
        return wit.Workload_Container(wit.Container(own.image, argv))
    return wit.Workload_Module(wit.Module(own.component, argv))
