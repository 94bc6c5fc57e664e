"""`pollwise batch` is killed with SIGKILL at any moment, and run again: no outcome is lost, and none is there twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pollwise.ledger import SqliteLedger
from pollwise.simulator import Faults, SimulatedJob, Simulator

Start = Callable[..., Any]
OPTIONS = ("--ledger", "ledger", "--out", "out.jsonl", "--json", "--interval", "0.1", "--rate", "100000/s")
JOBS = 150
LONG_S = 1e6


def populate(simulator: Simulator) -> list[dict[str, str]]:
    """Jobs of both vendors and all outcomes, which run until the test ends them. Returns their rows."""
    rows: list[dict[str, str]] = []
    for n in range(JOBS):
        outcome: Any = ("succeeded", "failed", "succeeded", "cancelled")[n % 4]
        if n % 2:
            outcome = "failed" if n % 4 == 1 else "succeeded"
            simulator.add_extraction(f"F{n}", f"J{n}", outcome=outcome, duration_s=LONG_S)
            rows.append({"endpoint": "oracle-content", "file_id": f"F{n}", "job_id": f"J{n}"})
        else:
            simulator.add_delete(f"T{n}", outcome="cancelled" if n % 4 == 2 else "succeeded", duration_s=LONG_S)
            rows.append({"endpoint": "document360", "task_id": f"T{n}"})
    return rows


def finish(simulator: Simulator, jobs: Sequence[SimulatedJob]) -> None:
    for job in jobs:
        simulator.finish(*job.keys)


async def ended_in(ledger: Path) -> dict[tuple[str, ...], str]:
    """The outcomes that the ledger has, by the keys of the job. No job has two rows."""
    if not ledger.exists():
        return {}
    async with SqliteLedger(ledger, read_only=True) as opened:
        lines = [json.loads(line) async for page in opened.export(include_open=True) for line in page.splitlines()]
        assert opened.damaged == []
    counts = Counter(tuple(line["job"].values()) for line in lines)
    assert not counts or max(counts.values()) == 1
    return {tuple(line["job"].values()): line["outcome"] for line in lines if line["outcome"] is not None}


async def killed_batch(simulator: Simulator, start: Start, folder: Path, kills: int, seed: int) -> None:
    """Kill the command so often while jobs end, let it finish, and look at everything."""
    asyncio.get_running_loop().slow_callback_duration = 60.0  # many connections keep the simulator's loop busy
    dice = random.Random(seed)
    simulator.faults = Faults(rate=0.03, retry_after_s=0)
    rows = populate(simulator)
    (folder / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    jobs: Sequence[SimulatedJob] = list(simulator.jobs.values())
    truth = {job.keys: str(job.outcome) for job in jobs}
    polls: dict[tuple[str, ...], int] = {}
    shown: dict[tuple[str, ...], str] = {}
    for life in range(kills):
        finish(simulator, jobs[life * JOBS // (kills + 1) : (life + 1) * JOBS // (kills + 1)])
        child = await start("batch", "jobs.jsonl", *OPTIONS)
        until = simulator.requests.total + dice.choice((0, 1, dice.randrange(50), dice.randrange(400)))
        while simulator.requests.total < until:
            assert child.process.returncode is None
            await asyncio.sleep(0.001)
        for _ in range(dice.randrange(60)):  # a moment that is no reply's
            await asyncio.sleep(0)
        child.process.kill()
        status, out, _ = await child.end()
        assert status == -9
        ended = await ended_in(folder / "ledger")
        assert ended.items() <= truth.items()
        assert shown.items() <= ended.items()
        for line in (json.loads(text) for text in out.splitlines(keepends=True) if text.endswith("\n")):
            shown[tuple(line["job"].values())] = line["event"]
        assert shown.items() <= ended.items()  # no outcome is shown before it is in the ledger
        for keys in ended:
            # it was not polled again after its outcome was in the ledger
            assert polls.setdefault(keys, simulator.polls(*keys)) == simulator.polls(*keys)
        assert not (folder / "out.jsonl").exists()
    finish(simulator, jobs[kills * JOBS // (kills + 1) :])
    child = await start("batch", "jobs.jsonl", *OPTIONS)
    status, out, _ = await child.end()
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert Counter(tuple(line["job"].values()) for line in lines) == Counter(truth.keys())
    results = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [(tuple(line["job"].values()), line["event"]) for line in results] == list(truth.items())
    assert await ended_in(folder / "ledger") == truth
    assert {keys: simulator.polls(*keys) for keys in polls} == polls


@pytest.fixture
def addresses(simulator: Simulator, environment: pytest.MonkeyPatch) -> Simulator:
    """The simulator, with its URL in the environment as that of both vendors."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    environment.setenv("ORACLE_CONTENT_BASE_URL", simulator.oracle_content_url)
    return simulator


@pytest.mark.parametrize(
    ("kills", "seed"), [(2, 1), *(pytest.param(10, seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
async def test_a_batch_that_is_killed(
    addresses: Simulator, start: Start, tmp_path: Path, kills: int, seed: int
) -> None:
    """Each job has its own outcome once, in the ledger and in the result file, and no job is polled after it.

    With `--slow` there are sixty more kills.
    """
    await killed_batch(addresses, start, tmp_path, kills, seed)
