"""Nothing is lost: a process that watches jobs with a ledger is killed, starved of disk and misled by its clock.

The part that runs with the suite is short. All of it, with fifty kills:  ./dev test --slow -k torture
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise import SqliteLedger
from pollwise.simulator import Faults, SimulatedJob, Simulator

CHILD = Path(__file__).with_name("torture_child.py")
DAY_S = 86_400.0
LONG_S = 1e6
PATIENCE_S = 120.0  # for a machine that does much else


@attrs.define
class Run:
    """One life of the child.

    Attributes:
        said: What it said, word by word.
        code: How it ended, negative for a signal.
    """

    said: list[list[str]]
    code: int

    def named(self, word: str) -> list[list[str]]:
        return [words[1:] for words in self.said if words[0] == word]


@attrs.frozen
class Scene:
    """The jobs, their truth, and the ledger that outlives the processes."""

    sim: Simulator
    jobs: Sequence[SimulatedJob]
    path: Path

    async def finish(self, share: float, *, over_s: float) -> None:
        """End jobs one after another, until this share of all has ended."""
        running = [job for job in self.jobs if job.plan.duration_s == LONG_S]
        count = len(running) - round((1 - share) * len(self.jobs))
        for job in running[: max(0, count)]:
            self.sim.finish(*job.keys)
            await asyncio.sleep(over_s / count)

    async def run(self, mode: str, *, kill_after_s: float | None = None, shift_s: float = 0.0) -> Run:
        """Let a child live, for so long after it has opened the ledger if a time is given."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            CHILD,
            mode,
            self.path,
            self.sim.oracle_content_url,
            str(shift_s),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"".join(json.dumps(job.keys).encode() + b"\n" for job in self.jobs))
        child.stdin.close()
        said: list[list[str]] = []

        async def listen() -> None:
            async for line in child.stdout:  # type: ignore[union-attr]  # it is a pipe
                if line.endswith(b"\n"):
                    said.append(line.decode().split())
                if kill_after_s is not None and said == [["open"]]:
                    asyncio.get_running_loop().call_later(kill_after_s, _kill, child)

        try:
            async with asyncio.timeout(PATIENCE_S):
                await listen()
                return Run(said, await child.wait())
        finally:
            _kill(child)
            await child.wait()

    async def rows(self) -> dict[str, dict[str, Any]]:
        """What the ledger has, by job."""
        async with SqliteLedger(self.path, read_only=True) as ledger:
            lines = b"".join([chunk async for chunk in ledger.export(include_open=True)]).splitlines()
        return {row["job"]["job_id"]: row for row in map(json.loads, lines)}

    def truth(self) -> dict[str, str]:
        return {job.keys[1]: str(job.outcome) for job in self.jobs}

    def polls(self) -> dict[str, int]:
        return {job.keys[1]: job.polls for job in self.jobs}


def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()


@asynccontextmanager
async def scene(path: Path, jobs: int) -> AsyncIterator[Scene]:
    """This number of jobs of all kinds. They run until `finish`, and some of their replies are faulty."""
    async with Simulator(seed=11, faults=Faults(rate=0.03, retry_after_s=0)) as sim:
        found = sim.populate(document360=0, oracle_content=jobs, duration_s=(LONG_S, LONG_S))
        yield Scene(sim, found, path)


async def torture(stage: Scene, kills: int, seed: int, shifts_s: Sequence[float] = (0.0,)) -> None:
    """Kill it so often while jobs end, let it finish, and look at everything."""
    dice = random.Random(seed)
    acknowledged: Counter[str] = Counter()
    took: set[tuple[str, ...]] = set()
    known: dict[str, int] = {}
    for n in range(kills + 1):
        last = n == kills
        kill_after_s = None if last else dice.expovariate(1 / 0.4)
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.finish((n + 1) / (kills + 1), over_s=1.0))
            life = group.create_task(
                stage.run("deliver", kill_after_s=kill_after_s, shift_s=shifts_s[n % len(shifts_s)])
            )
        run = life.result()
        assert run.code == (0 if last else -9), run.said
        took |= {tuple(words) for words in run.named("took")}
        acknowledged.update(words[0] for words in run.named("acknowledged"))
        rows, polls = await stage.rows(), stage.polls()
        if run.named("recorded"):
            assert rows.keys() == stage.truth().keys()  # no watch is lost that was promised
        for job, row in rows.items():
            if row["outcome"] is not None:
                # it was not asked again after its outcome was written down
                assert known.setdefault(job, polls[job]) == polls[job]
        assert all(rows[words[0]]["acknowledged"] for words in run.named("acknowledged"))
    assert {job: row["outcome"] for job, row in rows.items()} == stage.truth()
    assert all(row["acknowledged"] and row["elapsed_s"] >= 0 for row in rows.values())
    assert dict(took) == stage.truth()  # each was delivered, and never with another outcome
    assert len(took) == len(stage.jobs)
    assert max(acknowledged.values()) == 1
    assert len(acknowledged) >= len(stage.jobs) - kills  # one may have been killed before it could say so


async def test_torture_killed_at_random_moments(tmp_path: Path) -> None:
    """Three hundred jobs, six kills: every outcome is right, none is lost, each is acknowledged once."""
    async with scene(tmp_path / "jobs.ledger", 300) as stage:
        await torture(stage, kills=6, seed=1)


async def test_torture_with_a_clock_that_jumps_by_a_day(tmp_path: Path) -> None:
    """Back and forth between lives: it does not matter."""
    async with scene(tmp_path / "jobs.ledger", 60) as stage:
        await torture(stage, kills=3, seed=2, shifts_s=(0.0, DAY_S, -DAY_S, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
async def test_torture_killed_fifty_times(tmp_path: Path, seed: int) -> None:
    """The same for much longer, with a clock that jumps."""
    async with scene(tmp_path / "jobs.ledger", 300) as stage:
        await torture(stage, kills=50, seed=seed, shifts_s=(0.0, 0.0, 0.0, DAY_S, -DAY_S))


async def test_torture_with_a_full_disk(tmp_path: Path) -> None:
    """What could not be written is not published; with room again, the true outcome is."""
    async with scene(tmp_path / "jobs.ledger", 40) as stage, asyncio.TaskGroup() as group:
        group.create_task(stage.finish(1.0, over_s=3.0))
        run = await stage.run("run_out_of_room")
        assert (run.code, run.said[-1]) == (0, ["over"])
        truth = stage.truth()
        reported = [(job, end) for job, end in run.named("reported") if end != "abandoned-LedgerWriteFailed"]
        assert dict(reported).items() <= truth.items()
        assert len(run.named("reported")) == 40
        assert int(run.named("troubled")[0][0]) >= 10
        assert {job: end for _, job, end in run.named("at")} == truth
        assert {job: row["outcome"] for job, row in (await stage.rows()).items()} == truth


@pytest.mark.parametrize("harm", ["truncated", "garbage"])
async def test_torture_with_a_spoiled_file(tmp_path: Path, harm: str) -> None:
    """A ledger that is not whole is refused and left as it is, never begun anew; restored, it goes on."""
    path = tmp_path / "jobs.ledger"
    async with scene(path, 30) as stage:
        await stage.finish(0.5, over_s=0.0)
        killed = await stage.run("deliver", kill_after_s=0.7)
        assert killed.code == -9
        async with SqliteLedger(path):
            pass  # closing it brings what the crash left in the log beside it into the file
        copies = {found: found.read_bytes() for found in tmp_path.iterdir()}
        whole = path.read_bytes()
        spoiled = whole[: len(whole) // 2] if harm == "truncated" else random.Random(5).randbytes(len(whole))
        path.write_bytes(spoiled)
        refused = await stage.run("deliver")
        assert refused.code == 3
        assert refused.named("refused") in ([["LedgerCorrupt"]], [["NotALedger"]])
        assert path.read_bytes() == spoiled
        for found, content in copies.items():
            found.write_bytes(content)
        await stage.finish(1.0, over_s=0.0)
        went_on = await stage.run("deliver")
        assert went_on.code == 0
        assert {job: row["outcome"] for job, row in (await stage.rows()).items()} == stage.truth()
