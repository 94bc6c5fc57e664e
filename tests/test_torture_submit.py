"""No job is started twice and none is lost: a process that starts jobs is killed at any moment.

The part that runs with the suite is short. All of it, with fifty kills:  ./dev test --slow -k torture_submit
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

import attrs
import pytest

from pollwise import SqliteLedger
from raw_server import Line, RawServer, raw_server, reply

CHILD = Path(__file__).with_name("submit_child.py")
STATUS_PAGES = 5
RESULT_PAGES = 3
PATIENCE_S = 120.0  # for a machine that does much else


@attrs.define
class Vendor:
    """Starts jobs, one for each POST, and one for each idempotency key. Some replies are late, and some are lost.

    Every third job is over in the reply to its start.

    Attributes:
        posts: How many requests came to start each order.
        jobs: The order of each job, by ID.
    """

    server: RawServer
    dice: random.Random
    posts: Counter[str] = attrs.field(factory=Counter)
    jobs: dict[str, str] = attrs.field(factory=dict)

    def __call__(self, line: Line) -> None:
        head, *_ = self.server.requests[-1].split(b"\r\n")
        parts = head.split(b" ")[1].decode().split("/")[1:]
        match parts:
            case ["start", order]:
                self._start(line, order)
            case ["status", job, page]:
                n = int(page)
                assert job in self.jobs
                self._say(line, {"next": n + 1} if n < STATUS_PAGES else {"pages": RESULT_PAGES})
            case ["result", job, page]:
                n = int(page)
                self._say(line, {"rows": [f"{self.jobs[job]}/{n}"], "next": n + 1 if n + 1 < RESULT_PAGES else None})

    def _start(self, line: Line, order: str) -> None:
        self.posts[order] += 1
        known = [job for job, started in self.jobs.items() if started == order and order.startswith("keyed")]
        job = known[0] if known else str(len(self.jobs))
        self.jobs[job] = order
        late_s = self.dice.uniform(0.0, 0.1)
        if self.dice.random() < 0.05:
            asyncio.get_running_loop().call_later(late_s, line.hang_up)
        else:
            at_once = {"pages": RESULT_PAGES} if int(job) % 3 == 0 else {}
            asyncio.get_running_loop().call_later(late_s, self._say, line, {"id": job, **at_once})

    def _say(self, line: Line, document: object) -> None:
        if not line.transport.is_closing():
            line.say(reply(json.dumps(document).encode()))

    def job_of(self, order: str) -> str | None:
        return next((job for job, started in self.jobs.items() if started == order), None)


async def _life(path: Path, url: str, orders: int, truth: object, kill_after_s: float | None) -> list[list[str]]:
    """What the child said. It is killed this long after it has opened its ledger."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, CHILD, path, url, str(orders), stdin=pipe, stdout=pipe)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(truth).encode() + b"\n")
    said: list[list[str]] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for line in child.stdout:
                if line.endswith(b"\n"):
                    said.append(line.decode().split())
                if kill_after_s is not None and said == [["open"]]:
                    asyncio.get_running_loop().call_later(kill_after_s, _kill, child)
            code = await child.wait()
    finally:
        _kill(child)
        await child.wait()
    assert code == 0 or (code == -9 and kill_after_s is not None), said
    return said


def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()


async def _outcomes(path: Path) -> Counter[str]:
    """The outcome of each job in the ledger."""
    async with SqliteLedger(path, read_only=True) as ledger:
        assert list(await ledger.unfinished_submits()) == []
        lines = b"".join([chunk async for chunk in ledger.export(include_open=True)]).splitlines()
    return Counter(json.loads(line)["outcome"] for line in lines)


async def _torture(path: Path, kills: int, orders: int, seed: int) -> None:
    """Kill it so often, let it go on, say what became of the doubts, and look at everything."""
    dice = random.Random(seed)
    names = {f"{kind}-{n}" for kind in ("plain", "keyed") for n in range(orders)}
    named: dict[str, set[str]] = {order: set() for order in names}
    results: dict[str, set[tuple[str, ...]]] = {order: set() for order in names}
    killed = 0
    async with raw_server() as server:
        server.answer = vendor = Vendor(server, random.Random(seed))
        for life in range(kills + 2):
            last = life > kills  # the one before is not killed either, and shows what is in doubt
            truth = {order: vendor.job_of(order) for order in names} if last else None
            kill_after_s = dice.uniform(0.0, 0.4) if life < kills else None
            begun = min(orders, -(-orders * (life + 1) // max(1, kills)))  # so that each life has new orders
            said = await _life(path, server.url, begun, truth, kill_after_s)
            killed += ["over"] not in said
            for word, *rest in said:
                if word == "job":
                    named[rest[0]].add(rest[1])
                elif word == "result":
                    results[rest[0]].add(tuple(rest[1:]))
            doubts = {rest[0] for word, *rest in said if word == "doubt"}
            assert all(order.startswith("plain") for order in doubts)
            assert max([count for order, count in vendor.posts.items() if order.startswith("plain")], default=1) == 1
            if life == kills:  # each order has its result, or a told doubt
                assert {order for order in names if not results[order]} == doubts
            if last:
                assert doubts == {order for order in doubts if vendor.posts[order] == 1}
        if doubts:  # of orders that were forgotten, because there was no job, and whose reply was lost now
            truth = {order: vendor.job_of(order) for order in names}
            said = await _life(path, server.url, orders, truth, None)
            for word, *rest in said:
                if word == "result":
                    results[rest[0]].add(tuple(rest[1:]))
    whole = {order: {tuple(f"{order}/{n}" for n in range(RESULT_PAGES))} for order in names}
    assert killed > kills / 2
    assert results == whole
    assert all(len(jobs) <= 1 for jobs in named.values())
    assert sorted(vendor.jobs.values()) == sorted(names)  # one job for each order
    assert await _outcomes(path) == {"succeeded": len(names)}


async def test_a_killed_process_starts_each_job_once(tmp_path: Path) -> None:
    """Eight kills: each order has one job and its whole result, or its doubt is told, and can be settled."""
    await _torture(tmp_path / "jobs.ledger", kills=8, orders=12, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
async def test_a_process_that_is_killed_fifty_times_starts_each_job_once(tmp_path: Path, seed: int) -> None:
    """The same for longer."""
    await _torture(tmp_path / "jobs.ledger", kills=50, orders=60, seed=seed)
