"""The programs of docs/from-a-hand-loop.md and docs/from-tenacity-and-backoff.md, before and after, against one server."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest

from pollwise.errors import DeadlineExceeded, JobFailed
from raw_server import Line, raw_server, reply

pytestmark = pytest.mark.looptime

DOCS = Path(__file__).parents[1] / "docs"
RUNNING = reply(b'{"state": "running"}')
DONE = reply(b'{"state": "done", "rows": 40}')
FAILED = reply(b'{"state": "error", "why": "no disk"}')
BUSY = reply(b"<html>", status="503 Service Unavailable")
Rows: TypeAlias = Callable[[str, str], Awaitable[int]]

needs_tenacity = pytest.mark.skipif(importlib.util.find_spec("tenacity") is None, reason="tenacity is not installed")
of_old_decorators = pytest.mark.filterwarnings(
    "ignore:.*iscoroutinefunction:DeprecationWarning"
)  # backoff, from Python 3.14


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)


def function(page: str, number: int, name: str) -> Any:
    """This function of a program of a page."""
    names: dict[str, Any] = {"__name__": page}
    exec(compile(programs(page)[number], page, "exec", dont_inherit=True), names)  # noqa: S102  # of the repository
    return names[name]


def with_session(rows_of: Any) -> Rows:
    async def rows(base_url: str, export_id: str) -> int:
        async with aiohttp.ClientSession() as session:
            found: int = await rows_of(session, base_url, export_id)
            return found

    return rows


def hand_loop() -> Rows:
    rows: Rows = function("from-a-hand-loop", 0, "rows_of")
    return rows


def after_the_loop() -> Rows:
    rows: Rows = function("from-a-hand-loop", 1, "rows_of")
    return rows


def by_tenacity() -> Rows:
    return with_session(function("from-tenacity-and-backoff", 0, "rows_by_tenacity"))


def by_backoff() -> Rows:
    return with_session(function("from-tenacity-and-backoff", 1, "rows_by_backoff"))


def by_pollwise() -> Rows:
    rows: Rows = function("from-tenacity-and-backoff", 2, "rows_by_pollwise")
    return rows


async def rows_with(program: Callable[[], Rows], *answers: bytes) -> tuple[int, list[bytes]]:
    """The rows that a program finds at a server with these answers, and the requests."""
    left = list(answers)

    def answer(line: Line) -> None:
        line.say(left.pop(0) if len(left) > 1 else left[0])

    async with raw_server(answer) as server:
        return await program()(server.url, "7"), server.requests


EVERY = [
    hand_loop,
    after_the_loop,
    pytest.param(by_tenacity, marks=needs_tenacity),
    pytest.param(by_backoff, marks=of_old_decorators),
    by_pollwise,
]


@pytest.mark.parametrize("program", EVERY)
async def test_each_program_waits_for_the_rows(program: Callable[[], Rows]) -> None:
    """By the same requests."""
    rows, requests = await rows_with(program, RUNNING, RUNNING, DONE)
    assert rows == 40
    assert [request.split(b" HTTP")[0] for request in requests] == [b"GET /exports/7"] * 3


@pytest.mark.parametrize("program", EVERY)
async def test_each_program_reports_a_failure(program: Callable[[], Rows]) -> None:
    """With the vendor's words."""
    with pytest.raises((RuntimeError, JobFailed), match="no disk"):
        await rows_with(program, RUNNING, FAILED)


@pytest.mark.parametrize("program", EVERY[1:])
async def test_an_outage_is_survived(program: Callable[[], Rows]) -> None:
    """By all but the loop."""
    rows, requests = await rows_with(program, RUNNING, BUSY, BUSY, DONE)
    assert (rows, len(requests)) == (40, 4)


async def test_the_loop_ends_with_the_first_503() -> None:
    """As its page says."""
    with pytest.raises(aiohttp.ClientResponseError, match="503"):
        await rows_with(hand_loop, RUNNING, BUSY, DONE)


def within_a_minute(program: Callable[[], Any]) -> Rows:
    return partial(program(), timeout_s=60.0)


@pytest.mark.parametrize("program", [hand_loop, after_the_loop])
async def test_both_ask_every_five_seconds(program: Callable[[], Rows]) -> None:
    """And end with their deadline."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await rows_with(program, RUNNING, RUNNING, DONE)
    assert loop.time() - began == pytest.approx(10.0, abs=0.5)
    with pytest.raises((TimeoutError, DeadlineExceeded)):
        await rows_with(partial(within_a_minute, program), RUNNING)
    assert loop.time() - began == pytest.approx(70.0, abs=6.0)
