from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `(\w+\.\w+)` \| ([^|]+) \|", re.MULTILINE)


@pytest.fixture
def constants(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `benchmarks.constants`; the benchmarks are no part of the package."""
    monkeypatch.syspath_prepend(str(_ROOT))
    return import_module("benchmarks.constants")


def test_every_tuned_constant_has_its_row(constants: Any) -> None:
    """docs/scheduling.md names each constant of the scheduler and the budget with the value of the code."""
    rows = _ROW.findall((_ROOT / "docs" / "scheduling.md").read_text())
    assert {name: float(value) for name, value in rows} == pytest.approx(constants.committed(), rel=1e-9)


def test_the_constants_of_the_time_left_are_those_of_the_code() -> None:
    """docs/scheduling.md names the constants on which a range depends most."""
    text = (_ROOT / "docs" / "scheduling.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(\w+)` \| ([\d.]+) \|", text, re.MULTILINE)
    assert len(rows) == 10
    for name, module, value in rows:
        assert getattr(import_module(f"pollwise.core.{module}"), name) == float(value), name


def test_no_number_of_the_core_is_left_out(constants: Any) -> None:
    """The list is read from the source: each number with an UPPER_CASE name at the top of a module is in it."""
    named = {
        f"{module}.{name}"
        for module in constants.MODULES
        for name in re.findall(
            r"^([A-Z_]+)(?:: Final)? = -?[\d(]", (_ROOT / f"src/pollwise/core/{module}.py").read_text(), re.MULTILINE
        )
    }
    assert named <= constants.committed().keys()


def test_the_catalogue_names_constants_and_simulations_that_exist(constants: Any) -> None:
    """A renamed constant or simulation needs its new name in the catalogue."""
    assert constants.CATALOGUE.keys() <= constants.committed().keys()
    simulations = import_module("benchmarks.simulations").SIMULATIONS
    assert {simulation for simulation, _ in constants.CATALOGUE.values()} <= simulations.keys()


def test_every_simulated_constant_is_tried_with_other_values(constants: Any) -> None:
    """The committed value alone shows nothing."""
    values = constants.committed()
    assert not [name for name, (_, tried) in constants.CATALOGUE.items() if values[name] in tried or not tried]


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.constants", *arguments]
    return subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_run_uses_the_changed_value() -> None:
    """A longer first pause after a 429 makes the end of a short outage seen later."""
    short, long = (json.loads(_run("--run", "outage", "pauses._FIRST_S", value)) for value in ("0.25", "5.0"))
    assert short["late s, 1 s"] < long["late s, 1 s"]


def test_the_committed_value_is_marked() -> None:
    """The table has a row for the committed value and one for each other value."""
    lines = _run("slow_start.FIRST_IN_FLIGHT", "64").splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("* ")] == [["*", "4"]]
    assert [line.split()[0] for line in lines if line.startswith("  64")] == ["64"]
