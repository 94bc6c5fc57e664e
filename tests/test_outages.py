"""A short outage ends no watch. A long one is reported as an outage."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from multidict import CIMultiDict

from pollwise import JobWatcher, Reply
from pollwise.errors import ConnectFailed, JobNotFound, RetriesExhausted
from pollwise.testing import Answer, ScriptedTransport, controlled, reply
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob

BEGINS_S = 100.0
PAGE = CIMultiDict({"Content-Type": "text/html"})
KINDS: Mapping[str, Callable[[], Answer]] = {
    "502": lambda: 502,
    "504": lambda: 504,
    "503, come back in 30 s": lambda: reply(status=503, headers={"Retry-After": "30"}),
    "refused connection": lambda: ConnectFailed("refused"),
    "broken JSON": lambda: Reply(200, CIMultiDict({"Content-Type": "application/json"}), b'{"state": '),
    "empty 200": lambda: Reply(200, CIMultiDict(), b""),
    "maintenance page with 200": lambda: Reply(200, PAGE, b"<html>back soon</html>"),
    "404 of an empty gateway": lambda: 404,
}


async def outcomes(kind: str, outage_s: float, jobs: int = 40) -> list[Any]:
    """The outcomes of jobs that run for 800 s, with an outage that begins after 100 s."""

    def script(_request: object) -> Answer:
        now = asyncio.get_running_loop().time()
        if BEGINS_S <= now < BEGINS_S + outage_s:
            return KINDS[kind]()
        return SUCCEEDED if now > BEGINS_S + 700.0 else RUNNING

    transport = ScriptedTransport(script)
    watcher = JobWatcher(ToyEndpoint(), timeout_s=3600.0, transport=transport)
    async with controlled(watcher, dice=random.Random(1).random):
        return await watcher.gather([ToyJob(str(n)) for n in range(jobs)])


@pytest.mark.looptime
@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_of_minutes_abandons_no_watch(kind: str) -> None:
    """With any kind of outage, every job is watched to its end."""
    found = await outcomes(kind, 300.0)
    assert Counter(type(outcome).__name__ for outcome in found) == {"Succeeded": 40}


@pytest.mark.looptime
@pytest.mark.parametrize("outage_s", [60.0, 120.0, 300.0])
async def test_hundreds_of_watches_survive_an_outage(outage_s: float) -> None:
    """300 watches of one token behave like one watch."""
    found = await outcomes("502", outage_s, jobs=300)
    assert Counter(type(outcome).__name__ for outcome in found) == {"Succeeded": 300}


@pytest.mark.looptime
@pytest.mark.parametrize("kind", ["502", "404 of an empty gateway", "empty 200"])
async def test_an_outage_that_stays_is_told_with_its_length(kind: str) -> None:
    """After ten minutes of failures the watch is abandoned, with the reason and the duration."""
    found = await outcomes(kind, 661.0)
    assert {type(outcome).__name__ for outcome in found} == {"Abandoned"}
    for outcome in found:
        if kind.startswith("404"):
            assert isinstance(outcome.error, JobNotFound)
            continue
        assert isinstance(outcome.error, RetriesExhausted)
        assert outcome.error.outage_s == pytest.approx(600.0, abs=1.0)
        assert "polls within 600 s failed" in str(outcome.error)
