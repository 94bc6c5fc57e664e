"""Prints once on stderr that the rate limit makes a batch slow, and what can be done.

Rule 1: the notice is printed only if jobs are due and the budget has no permit for them, at two looks in a row. Jobs that wait
for replies, for a free place in flight or for their own delays do not count.
Rule 2: there is one notice for each endpoint, and only in a pipe. A terminal shows the limit all the time, and JSON has nothing
else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from pollwise.cli.safe_text import counted, duration, safe
from pollwise.cli.terminal import print_note
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.model.limits import RateLimit
from pollwise.watcher import JobWatcher

__all__ = ["notice_of_rate", "notice_text"]

_LOOK_S: Final = 5.0
_LOOKS: Final = 2
_SPANS: Final = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}


@asynccontextmanager
async def notice_of_rate(
    watcher: JobWatcher[Any, Any, Any], budget: RateBudget, documented: RateLimit | None, *, is_option: bool
) -> AsyncIterator[None]:
    """Print the notice if jobs wait for the rate limit while the block runs.

    Args:
        watcher: The open watcher of one endpoint.
        budget: Its budget.
        documented: The limit that the vendor documents.
        is_option: Whether the limit is that of `--rate`.
    """
    task = asyncio.create_task(_look(watcher, budget, documented, is_option=is_option), name="pollwise rate notice")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()  # raises an error of this file


async def _look(
    watcher: JobWatcher[Any, Any, Any], budget: RateBudget, documented: RateLimit | None, *, is_option: bool
) -> None:
    engine, now, looks, stats = engine_of(budget), asyncio.get_running_loop().time, 0, watcher.stats()
    while looks < _LOOKS:
        await asyncio.sleep(_LOOK_S)
        stats = watcher.stats()
        held = stats.budget.waiting
        looks = looks + 1 if held and not engine.starting and engine.available_at(now(), waiting=held) > now() else 0
    name = safe(stats.endpoint if not stats.account else f"{stats.endpoint} ({stats.account})", 200)
    text = notice_text(budget, sum(stats.watches.values()), engine.spacing_s, documented, is_option=is_option)
    print_note(f"pollwise: waiting for the rate limit of {name}: {text}")


def notice_text(
    budget: RateBudget, jobs: int, spacing_s: float, documented: RateLimit | None, *, is_option: bool
) -> str:
    """How slow it is, why, and what can be done. `spacing_s` is the time between two requests, 0 if it is not known."""
    if budget.limit is None or budget.per_s is None:
        states = f"the server has refused {counted(budget.refused, 'request')} (HTTP 429) and states no limit"
        return f"{states}; {counted(jobs, 'job')} open. Nothing is lost by waiting."
    rate = _rate_text(budget.limit, budget.per_s)
    each = f", so each is asked about every {duration(jobs * spacing_s)}" if jobs * spacing_s >= 1 else ""
    if is_option:
        advice = "--rate sets this limit; raise it if the token may send more."
    elif documented is not None and (budget.limit, budget.per_s) == (documented.requests, documented.per_s):
        advice = "The vendor documents this limit; add --rate if the token may send more."
    else:
        advice = "The server states this limit; only a token with a higher one is faster."
    return f"{rate} for {counted(jobs, 'job')}{each}. {advice}"


def _rate_text(limit: int, per_s: float) -> str:
    span = _SPANS.get(per_s)
    return f"{counted(limit, 'request')} {span or f'in {duration(per_s)}'}"
