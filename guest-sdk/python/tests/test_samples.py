"""The samples' own tests, and their types: each is a project of its own, with a module `app`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = sorted(folder.name for folder in (ROOT / "samples").iterdir() if (folder / "app.py").exists())


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=ROOT / "samples" / name, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SAMPLES)
def test_types_of_sample(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    command += ["--config-file", str(ROOT / "pyproject.toml"), "app.py", "test_app.py"]
    environment = {"MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT / "samples" / name, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_there_are_four() -> None:
    assert SAMPLES == ["batch", "hello", "service", "stateful"]
