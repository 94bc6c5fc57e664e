"""No page is lost: a process that follows cursors with a ledger is killed between two pages."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

from pollwise import SqliteLedger
from raw_server import Line, RawServer, raw_server, reply

CHILD = Path(__file__).with_name("cursor_child.py")
JOBS = 20
PAGES = 25
PATIENCE_S = 120.0  # for a machine that does much else


def _page_of(request: bytes) -> tuple[str, int]:
    _, name, page = request.split(b" ")[1].decode().split("/")
    return name, int(page)


def _answer(server: RawServer, line: Line) -> None:
    _, page = _page_of(server.requests[-1])
    document = {"next": page + 1} if page < PAGES else {"items": PAGES}
    line.say(reply(json.dumps(document).encode()))


async def _life(path: Path, url: str, kill_after_s: float | None) -> list[str]:
    """What the child said. It is killed this long after a page other than the first is in its ledger."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, CHILD, path, url, str(JOBS), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    said = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for line in child.stdout:
                said.append(line.decode().strip())
                if kill_after_s is not None and said == ["recorded"]:
                    while (pages := await _cursors(path)) and not any(pages.values()):
                        await asyncio.sleep(0.02)
                    asyncio.get_running_loop().call_later(kill_after_s, child.kill)
            code = await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert code == (0 if kill_after_s is None else -9), said
    return said


async def _cursors(path: Path) -> dict[str, int]:
    """The page of each open row."""
    async with SqliteLedger(path, read_only=True) as ledger:
        lines = b"".join([chunk async for chunk in ledger.export(include_open=True)]).splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["job"]["name"]: row.get("cursor", 0) for row in rows if row["outcome"] is None}


async def test_a_killed_process_goes_on_at_its_cursors(tmp_path: Path) -> None:
    """Each job is asked first for the page of its row, goes from page to page, and reaches the last one."""
    path, dice = tmp_path / "jobs.ledger", random.Random(7)
    ended: dict[str, str] = {}
    async with raw_server() as server:
        server.answer = lambda line: _answer(server, line)
        on_disk: dict[str, int] = {}
        for life in range(4):
            begun = len(server.requests)
            said = await _life(path, server.url, None if life == 3 else dice.uniform(0.0, 0.5))
            ended.update(words.split() for words in said[1:])
            asked: dict[str, list[int]] = {}
            for name, page in map(_page_of, server.requests[begun:]):
                asked.setdefault(name, []).append(page)
            for name, found in asked.items():
                assert found[0] == on_disk.get(name, 0)
                assert found == list(range(found[0], found[0] + len(found)))
            on_disk = await _cursors(path)
            if life == 0:
                assert any(page > 0 for page in on_disk.values())  # a checkpoint was written
    assert ended == {f"l{n}": "Succeeded" for n in range(JOBS)}
