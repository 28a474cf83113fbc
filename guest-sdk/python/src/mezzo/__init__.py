"""The Python SDK for Mezzo frameworks: derive from `Framework` (or `WebFramework`, to serve HTTP), export it with
`export` or `export_web`, build a component with `componentize-py`, and upload it.

The package owns the guest's side of the contract in `wit/` and nothing of the host: the same framework code runs as a
component in the master and, natively, against the fake cluster of `mezzo.testing`.

    import logging
    import mezzo

    class Nothing(mezzo.Framework):
        def start(self, cx: mezzo.Cx, setup: mezzo.Setup) -> None:
            logging.info("%s has started", setup.name)

    Scheduler = mezzo.export(Nothing)
"""

from mezzo import condition, errors, wsgi
from mezzo.cluster import (
    Agent,
    AgentId,
    InstantMs,
    Launched,
    Notice,
    Offer,
    OfferId,
    Reservation,
    ReservationId,
    Reserved,
    Setup,
    TaskId,
    TaskState,
    TaskStatus,
    Volume,
    parse_options,
)
from mezzo.cx import Cx, Timers
from mezzo.errors import Error, Refusal, StateError
from mezzo.export import export, export_web
from mezzo.framework import Framework, WebFramework
from mezzo.plan import Plan
from mezzo.resources import GIB, MIB, Resources
from mezzo.state import State, Table, Value
from mezzo.task import (
    Comparison,
    Condition,
    Container,
    Demand,
    File,
    Module,
    Mount,
    Placement,
    Port,
    Preference,
    Process,
    Task,
    Workload,
)

__all__ = [
    "GIB",
    "MIB",
    "Agent",
    "AgentId",
    "Comparison",
    "Condition",
    "Container",
    "Cx",
    "Demand",
    "Error",
    "File",
    "Framework",
    "InstantMs",
    "Launched",
    "Module",
    "Mount",
    "Notice",
    "Offer",
    "OfferId",
    "Placement",
    "Plan",
    "Port",
    "Preference",
    "Process",
    "Refusal",
    "Reservation",
    "ReservationId",
    "Reserved",
    "Resources",
    "Setup",
    "State",
    "StateError",
    "Table",
    "Task",
    "TaskId",
    "TaskState",
    "TaskStatus",
    "Timers",
    "Value",
    "Volume",
    "WebFramework",
    "Workload",
    "condition",
    "errors",
    "export",
    "export_web",
    "parse_options",
    "wsgi",
]
