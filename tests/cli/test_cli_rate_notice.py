"""A batch in a pipe says once why it is slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pollwise.cli.rate_notice import notice_of_rate, notice_text
from pollwise.core.pacing import Pacing
from pollwise.core.rate_budget import RateBudget
from pollwise.model.limits import Limits, RateLimit
from pollwise.testing import Answer, ScriptedTransport, Slow, reply
from pollwise.watcher import JobWatcher
from toy import RUNNING, ToyEndpoint, ToyJob

MINUTE = RateLimit(60, per_s=60.0)


async def said(
    capsys: pytest.CaptureFixture[str],
    answer: Answer = RUNNING,
    *,
    jobs: int = 200,
    budget: RateBudget | None = None,
    concurrency: int = 64,
    seconds: float = 30.0,
    **more: Any,
) -> str:
    """What is on stderr after these jobs were watched for so long."""
    budget = RateBudget.documented(MINUTE) if budget is None else budget
    watcher: JobWatcher[Any, Any] = JobWatcher(
        ToyEndpoint(),
        timeout_s=None,
        transport=ScriptedTransport([answer]),
        pacing=Pacing(min_s=10.0, max_s=60.0),
        budget=budget,
        limits=Limits(concurrency=concurrency),
    )
    options = {"documented": MINUTE, "is_option": False, **more}
    async with watcher, notice_of_rate(watcher, budget, **options):
        for number in range(jobs):
            watcher.watch(ToyJob(str(number)))
        await asyncio.sleep(seconds)
    return capsys.readouterr().err


@pytest.mark.looptime
async def test_it_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With the limit, the number of jobs, how often each is asked about, and what can be done."""
    assert await said(capsys) == (
        "pollwise: waiting for the rate limit of toy: 60 requests a minute for 200 jobs, so each is asked about every"
        " 3 min 20 s. The vendor documents this limit; add --rate if the token may send more.\n"
    )


@pytest.mark.looptime
async def test_other_waits_are_not_the_rate_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """A few jobs, a slow server, few places in flight, and a wait of a moment say nothing."""
    assert await said(capsys, jobs=5) == ""
    assert await said(capsys, Slow(RUNNING, 60.0), concurrency=4, budget=RateBudget(600, per_s=60.0)) == ""
    assert await said(capsys, seconds=9.0) == ""


@pytest.mark.looptime
async def test_a_limit_that_the_server_does_not_state(capsys: pytest.CaptureFixture[str]) -> None:
    """Its refusals are what is known."""
    refused = reply({}, status=429, headers={"Retry-After": "600"})
    err = await said(capsys, refused, budget=RateBudget())
    assert err.startswith("pollwise: waiting for the rate limit of toy: the server has refused ")
    assert err.endswith("200 jobs open. Nothing is lost by waiting.\n")


@pytest.mark.parametrize(
    ("budget", "is_option", "states"),
    [
        (
            RateBudget(60, per_s=60.0),
            True,
            "60 requests a minute for 5,000 jobs, so each is asked about every 1 h 23 min.",
        ),
        (RateBudget(60, per_s=60.0), True, "--rate sets this limit; raise it if the token may send more."),
        (RateBudget(5000, per_s=3600.0), False, "5,000 requests an hour for"),
        (
            RateBudget(5000, per_s=3600.0),
            False,
            "The server states this limit; only a token with a higher one is faster.",
        ),
        (RateBudget(1, per_s=90.0), False, "1 request in 1 min 30 s for"),
    ],
)
def test_what_is_said_of_a_limit(budget: RateBudget, is_option: bool, states: str) -> None:
    """In words, with who sets it."""
    assert budget.limit is not None
    assert budget.per_s is not None
    spacing_s = budget.per_s / budget.limit
    assert states in notice_text(budget, 5_000, spacing_s, MINUTE, is_option=is_option)
