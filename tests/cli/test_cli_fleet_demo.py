from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.fleet_demo import DemoResult
from real_postgres import needs_own_server

Run = Callable[..., Any]
Start = Callable[..., Any]


def left_behind() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("pollwise-demo-*"))


@needs_own_server
async def test_a_killed_worker_costs_nothing(start: Start) -> None:
    """Three workers, one of them killed: each job has its planned outcome once, and no request is refused. Nothing stays behind."""
    before = left_behind()
    child = await start("fleet", "demo", "--jobs", "40", "--seconds", "2", "--json")
    status, out, err = await child.end()
    result = json.loads(out)
    assert (status, err) == (0, "")
    assert result["good"]
    assert (result["jobs"], sum(result["outcomes"].values())) == (40, 40)
    assert (result["lost"], result["doubled"], result["wrong"], result["refused"]) == (0, 0, 0, 0)
    assert result["killed"].startswith("worker-")
    assert result["shards"] > 0
    assert left_behind() <= before


async def test_a_missing_server_is_named(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that brings PostgreSQL, the message says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    status, out, err = await command("fleet", "demo")
    assert (status, out) == (2, "")
    assert "pip install 'pollwise[fleet-demo]'" in err


RESULT: dict[str, Any] = {
    "jobs": 4,
    "outcomes": {"succeeded": 3, "failed": 1},
    "lost": 0,
    "doubled": 0,
    "wrong": 0,
    "requests": 1200,
    "refused": 0,
    "killed": "worker-2",
    "shards": 2,
    "takeover_s": 0.42,
    "took_s": 11.0,
}


def test_the_table_has_each_number() -> None:
    """The table says what became of the jobs, and who was killed."""
    result = DemoResult(**RESULT)
    assert result.is_good
    assert list(result.lines()) == [
        "jobs            4 in 11.0 s: 3 succeeded, 1 failed",
        "lost            0",
        "delivered twice 0",
        "wrong outcome   0",
        "refused (429)   0 of 1,200 requests",
        "killed          worker-2, which owned 2 shards",
        "taken over in   0.4 s",
    ]


@pytest.mark.parametrize(
    "wrong", [{"lost": 1}, {"doubled": 1}, {"wrong": 1}, {"refused": 1}, {"takeover_s": None}, {"shards": 0}]
)
def test_each_fault_fails_the_demo(wrong: dict[str, Any]) -> None:
    """One lost, doubled, wrong or refused job is enough, and so is a worker that owned nothing."""
    assert not DemoResult(**{**RESULT, **wrong}).is_good
