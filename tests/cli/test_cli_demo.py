from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pollwise.cli import demo
from pollwise.cli.demo_jobs import DEMO_JOBS, DemoJob
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.options import EventOptions

Run = Callable[..., Any]
Start = Callable[..., Any]
ENDS = Counter(job.outcome for job in DEMO_JOBS)


async def test_the_demo_as_plain_lines(start: Start) -> None:
    """The demo shows both vendors, skipped files, a failure, a cancellation, retries and a summary. Its status is 0."""
    status, out, err = await (await start("demo", "--seconds", "1")).end()
    assert (status, err) == (0, "")
    for states in ("document360 ", "oracle-content ", " retrying (", "3 skipped", " failed (", " cancelled ("):
        assert states in out
    *_, total = out.splitlines()
    assert total.startswith("12 jobs in ")
    assert "8 succeeded, 2 failed, 1 cancelled, 1 abandoned. " in total
    assert total.endswith(" failed and were repeated.")
    assert all(line.isprintable() for line in out.splitlines())
    assert sum(line.startswith(("✓ ", "✗ ", "⊘ ", "! ")) for line in out.splitlines()) == len(DEMO_JOBS)


async def test_the_demo_as_json(command: Run) -> None:
    """Each job has exactly one outcome, as planned; stdout has only JSON objects."""
    status, out, err = await command("demo", "--seconds", "1", "--seed", "3", "--json")
    assert (status, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    kinds = Counter(event["event"] for event in events)
    assert {kind: kinds[kind] for kind in ENDS} == ENDS
    assert kinds["retrying"] >= 3
    ended = [tuple(event["job"].values()) for event in events if event["event"] in ENDS]
    assert sorted(ended) == sorted(job.keys for job in DEMO_JOBS)


async def test_a_demo_reports_an_outcome_that_was_not_planned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a watch reports another outcome than the plan, the demo prints both and its status is 1."""
    job = DemoJob(("wrong",), "abandoned", 0.1, {"outcome": "succeeded"})
    monkeypatch.setattr(demo, "DEMO_JOBS", (job,))
    assert await demo.run_demo(seed=0, seconds=0.3, options=EventOptions(json=True)) is ExitStatus.FAILED
    assert capsys.readouterr().err == "pollwise: wrong: planned outcome abandoned, watched outcome succeeded\n"


async def test_a_demo_that_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """After Ctrl-C the demo says that it was stopped and how to see it again."""
    task = asyncio.create_task(demo.run_demo(seed=0, seconds=60, options=EventOptions(json=False)))
    while "running" not in capsys.readouterr().out:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    words = "stopped before the end of the demo. Run the same command to see it from the beginning."
    assert capsys.readouterr().err == f"pollwise: {words}\n"
