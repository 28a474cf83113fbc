"""That the SDK still fits the contract: its conversions, tried on the bindings that `componentize-py` makes of `wit/`,
and checked against them by mypy."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mezzo import (
    Comparison,
    Condition,
    Container,
    Cx,
    Demand,
    File,
    Framework,
    Module,
    Mount,
    Placement,
    Port,
    Preference,
    Process,
    Resources,
    Setup,
    Task,
    TaskState,
    errors,
    events,
)

HERE = Path(__file__).resolve().parent
WIT = HERE.parents[2] / "wit"
TOOL = Path(sys.executable).parent / "componentize-py"

pytestmark = pytest.mark.skipif(
    not (WIT.is_dir() and (TOOL.exists() or shutil.which("componentize-py"))),
    reason="needs the contract and `pip install componentize-py`",
)


@pytest.fixture(scope="module")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bindings")
    tool = str(TOOL) if TOOL.exists() else "componentize-py"
    subprocess.run([tool, "-q", "-d", str(WIT), "-w", "web-framework", "bindings", str(folder)], check=True)
    return folder


@pytest.fixture
def guest(bindings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A way to import what otherwise is there only inside of a component."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(bindings))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def same(own: Any, theirs: Any) -> bool:
    """Whether a value of the bindings says what one of the SDK does, field by field."""
    if type(theirs).__name__.startswith("Workload_"):
        return type(theirs).__name__ == f"Workload_{type(own).__name__}" and same(own, theirs.value)
    if isinstance(own, dict):
        return dict(map(pair, theirs)) == own
    if isinstance(own, list):
        return len(own) == len(theirs) and all(map(same, own, theirs))
    if dataclasses.is_dataclass(theirs):
        names = {field.name for field in dataclasses.fields(theirs)}
        assert names == {field.name for field in dataclasses.fields(own)}, type(theirs).__name__
        return all(same(getattr(own, name), getattr(theirs, name)) for name in names)
    if hasattr(own, "name") and hasattr(own, "value"):
        return bool((own.name, own.value) == (theirs.name, theirs.value))
    return bool(own == theirs)


def pair(theirs: Any) -> tuple[Any, Any]:
    first, second = (getattr(theirs, field.name) for field in dataclasses.fields(theirs))
    return first, getattr(second, "value", second)


FULL = Task(
    id="t",
    workload=Process(["a", "é"]),
    resources=Resources(1, 2, 3, 4, 5, {"licence": 6}),
    name="n",
    env={"A": "1", "B": ""},
    labels={"k": "v"},
    ports=[Port("http"), Port("admin", 80)],
    files=[File("f", b"\0", True)],
    kill_grace_ms=7,
    runtime_max_ms=8,
    mounts=[Mount("v", "p")],
    preemptible=True,
    extra={"x": "y"},
)


def test_what_is_asked_for_arrives_field_by_field(guest: Any) -> None:
    lower = guest("mezzo._guest.lower")
    for workload in (Process(["a"]), Container("image", ["b"]), Module("sha256:0", [])):
        own = Placement(2**64 - 1, dataclasses.replace(FULL, workload=workload), "d")
        assert same(own, lower.placement(own))
    for test in Comparison:
        for prefer in Preference:
            demand = Demand("d", Resources(1), 2, [Condition("a", test, "v")], [80], prefer, [3], True, -4)
            assert same(demand, lower.demand(demand))


def test_what_is_told_arrives_field_by_field(guest: Any) -> None:
    lift, wit = guest("mezzo._guest.lift"), guest("wit_world.imports.types")
    scheduler, driver = guest("wit_world.exports.scheduler"), guest("wit_world.imports.driver")
    lift.check()
    amount = wit.Resources(1, 2, 3, 4, 5, [wit.CustomAmount("licence", 6)])
    attributes = [
        wit.Attribute("rack", wit.AttributeValue_Text("r7")),
        wit.Attribute("cores", wit.AttributeValue_NumberMilli(-8_000)),
    ]
    agent = wit.Agent(1, "h", "a", "r", None, attributes, amount, ["process"], 9)
    offer = wit.Offer(2, 1, amount, 3, ["v"])
    ports = [wit.AssignedPort("http", 80)]
    for state in wit.TaskState:
        status = wit.TaskStatus("t", 4, "g", [wit.Label("k", "v")], 1, state, "r", "m", -5, "a", ports, 6)
        (told,) = lift.event(scheduler.Event_Statuses([status])).value
        assert same(told, status) and isinstance(told.state, TaskState)
    volumes = [wit.Volume("v", 1, True, False)]
    reservation = wit.Reservation(1, 2, "r", "m", amount, amount, volumes, [wit.Label("k", "v")], None, True)
    assert same(lift.reservation(reservation), reservation)
    assert same(lift.launched(driver.Launched("t", 1, ports)), driver.Launched("t", 1, ports))
    assert same(lift.reserved(driver.Reserved(1, 2)), driver.Reserved(1, 2))
    setup = scheduler.Setup("n", "r", "{}", "sha256:0")
    assert same(lift.setup(setup), setup)
    for theirs, kind in (
        (scheduler.Event_Agents([agent]), events.Agents),
        (scheduler.Event_AgentsGone([1]), events.AgentsGone),
        (scheduler.Event_Timer("t"), events.Timer),
        (scheduler.Event_Options("{}"), events.Options),
        (scheduler.Event_StreamsClosed([1]), events.StreamsClosed),
        (scheduler.Event_Notice(scheduler.Notice("k", "b")), events.Noticed),
        (scheduler.Event_Offers([offer]), events.Offers),
    ):
        own = lift.event(theirs)
        assert type(own) is kind and same(own.value, theirs.value)


def test_every_case_of_the_contract_is_known(guest: Any) -> None:
    lift, driver = guest("mezzo._guest.lift"), guest("wit_world.imports.driver")
    cases = {case.__name__ for case in guest("wit_world.exports.scheduler").Event.__args__}
    assert cases == set(lift._EVENTS)
    for case in driver.Refusal.__args__:
        own = lift.refusal(case("why"))
        assert str(own) == "why" and type(own).__name__ == case.__name__.removeprefix("Refusal_")
    assert isinstance(lift.refusal(driver.Refusal_Other("why")), errors.Other)


def test_calls_and_exports_have_the_contracts_shape(bindings: Path, tmp_path: Path) -> None:
    environment = os.environ | {"MYPYPATH": str(bindings)}
    for package in ("mezzo", "mezzo._guest"):
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "-p", package]
        # Of the bindings themselves nothing is expected; they are not ours.
        command += ["--follow-imports=silent", "--config-file", str(HERE.parent / "pyproject.toml")]
        done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


class Asking(Framework):
    def start(self, cx: Cx, setup: Setup) -> None:
        cx.want([Demand("d", Resources(1))])

    def timer(self, cx: Cx, name: str) -> None:
        raise KeyError(name)


def test_what_start_refuses_with_is_its_error(guest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    component, driver = guest("mezzo._guest.component"), guest("wit_world.imports.driver")
    err = guest("mezzo._guest.err").Err
    setup = guest("wit_world.exports.scheduler").Setup("n", "r", "{}", None)

    def refuse(demands: list[Any]) -> None:
        raise err(driver.Refusal_Limit(f"demands-max: {demands[0].name}"))

    monkeypatch.setattr(driver, "want", refuse)
    with pytest.raises(err) as caught:
        component.Component(Asking, None).start(0, setup)
    assert caught.value.value == "demands-max: d"


def test_the_end_of_an_instance_is_told_from_the_frameworks_own_code_on(
    guest: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    component, driver = guest("mezzo._guest.component"), guest("wit_world.imports.driver")
    scheduler, log = guest("wit_world.exports.scheduler"), guest("wit_world.imports.log")
    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(driver, "want", lambda demands: None)
    monkeypatch.setattr(log, "write", lambda level, message: lines.append((level.name, message)))
    own = component.Component(Asking, None)
    own.start(0, scheduler.Setup("n", "r", "{}", None))
    with pytest.raises(KeyError) as caught:
        own.handle(1, [scheduler.Event_Timer("é")])
    component._report(caught.type, caught.value, caught.tb.tb_next)
    ((level, text),) = lines
    assert level == "ERROR" and "raise KeyError(name)" in text and "framework.py" not in text
    assert text.endswith("KeyError: 'é'") and capsys.readouterr().err == "KeyError: 'é'\n"
