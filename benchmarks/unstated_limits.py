"""Rate limits that no header states, in virtual time: the cost of a spurious 429, and how well a real limit is kept.

Rule 1: spurious 429s go through the real `JobWatcher`, with a scripted transport and a virtual clock. 1,000 jobs are over
at their third poll and are polled each second, so they take 2 s without any 429.
Rule 2: real limits go through the real `TokenBudget`, with a caller that always has a request waiting. A request takes
50 ms, and the server counts it half-way. The first minutes, in which the budget learns, are shown apart.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from itertools import product
from typing import Any, TypeAlias

import attrs

from pollwise import JobWatcher, Pacing, Succeeded
from pollwise.core.header_hints import RateHints
from pollwise.core.token_budget import TokenBudget
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.model.messages import Request
from pollwise.testing import ScriptedTransport, controlled, reply, run

__all__ = ["Sent", "Server", "drive", "limited", "spurious"]

_JOBS = 1_000
_LATENCY_S = 0.05
_LIMITS = [(2, 1.0), (5, 1.0), (50, 1.0), (60, 60.0)]
_ALWAYS_WAITING = 10**9
Accepts: TypeAlias = Callable[[float], bool]
Server: TypeAlias = Callable[[float], tuple[bool, RateHints | None]]
"""Takes the time of a request; returns True if it is served, and the rate fields of the reply."""


# --- spurious refusals --------------------------------------------------------------------------


def spurious(counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """How long 1,000 jobs take if the server refuses some polls for no reason."""
    return [
        {"refused": count, "which": which, **_spurious(set(polls), by_job=by_job)}
        for count in counts
        for which, by_job, polls in (
            ("first poll of the first jobs", True, range(count)),
            ("any of the first 1,000 polls", False, random.Random(7).sample(range(_JOBS), count)),
        )
    ]


def _spurious(refused: set[int], *, by_job: bool) -> dict[str, Any]:
    left, sent, polls = set(refused), 0, dict.fromkeys(range(_JOBS), 0)

    def answer(request: Request) -> Any:
        nonlocal sent
        job = int(str(request.url).rpartition("J")[2])
        number, sent = (job if by_job else sent), sent + 1
        if number in left:
            left.remove(number)
            return 429
        polls[job] += 1
        return reply(_status("SUCCEEDED" if polls[job] == 3 else "PROCESSING"))

    transport = ScriptedTransport(answer)

    async def main() -> int:
        endpoint = ExtractionEndpoint("https://bench.example")
        watcher = JobWatcher(endpoint, timeout_s=3600, transport=transport, pacing=Pacing.fixed(1.0))
        controlled(watcher, dice=lambda: 0.5)
        async with watcher:
            outcomes = await watcher.gather([ExtractionJob("F", f"J{n}") for n in range(_JOBS)])
        return sum(not isinstance(outcome, Succeeded) for outcome in outcomes)

    abandoned = run(main())
    return {"seconds": transport.times[-1], "requests": sent, "abandoned": abandoned}


def _status(progress: str) -> dict[str, str]:
    counts = ("Created", "Ignored", "NameAdjusted", "Overwritten", "Processed", "Skipped", "Versioned")
    return {
        **{f"files{count}": "0" for count in counts},
        "completed": str(progress == "SUCCEEDED").lower(),
        "completedPercentage": "10",
        "errorCode": "0",
        "message": "",
        "progress": progress,
        "type": "file",
    }


# --- real limits --------------------------------------------------------------------------------


def _fixed(limit: int, per_s: float) -> Accepts:
    begun, count = -math.inf, 0

    def accepts(now: float) -> bool:
        nonlocal begun, count
        if now >= begun + per_s:
            begun, count = now, 0
        count += 1
        return count <= limit

    return accepts


def _sliding(limit: int, per_s: float) -> Accepts:
    log: deque[float] = deque()

    def accepts(now: float) -> bool:
        while log and log[0] <= now - per_s:
            log.popleft()
        if len(log) < limit:
            log.append(now)
            return True
        return False

    return accepts


def _bucket(limit: int, per_s: float) -> Accepts:
    tokens, filled_at = float(limit), 0.0

    def accepts(now: float) -> bool:
        nonlocal tokens, filled_at
        tokens, filled_at = min(limit, tokens + (now - filled_at) * limit / per_s), now
        if tokens >= 1.0:
            tokens -= 1.0
            return True
        return False

    return accepts


_WINDOWS = {"fixed window": _fixed, "sliding window": _sliding, "token bucket": _bucket}


@attrs.frozen
class Sent:
    at: float
    served: bool


def limited(*, settled_s: float) -> list[dict[str, Any]]:
    """The used share of an unstated limit, and the number of refused requests."""
    rows = []
    for (limit, per_s), (name, window) in product(_LIMITS, _WINDOWS.items()):
        warm_s = max(60.0, 10 * per_s)
        sent = drive(TokenBudget(), _without_fields(window(limit, per_s)), warm_s + settled_s)
        settled = [request for request in sent if request.at >= warm_s]
        refused = sum(not request.served for request in settled)
        rows.append(
            {
                "limit": f"{limit} in {per_s:g} s",
                "window": name,
                "refused_at_first": sum(not request.served for request in sent) - refused,
                "requests": len(settled),
                "refused": refused,
                "used": (len(settled) - refused) / (settled_s * limit / per_s),
            }
        )
    return rows


def _without_fields(accepts: Accepts) -> Server:
    """A server whose replies have no fields about the limit."""
    return lambda now: (accepts(now), None)


def drive(
    budget: TokenBudget,
    server: Server,
    until_s: float,
    *,
    most: int | None = None,
    every_s: float = 0.0,
    latency_s: float = _LATENCY_S,
    flights: int = 64,
) -> list[Sent]:
    """Send at most `most` requests, one each `every_s` seconds, as soon as the budget allows it.

    The server counts a request after half of `latency_s`.
    """
    sent: list[Sent] = []
    now, flying, begun, coming = 0.0, 0, 0, list[tuple[float, int, bool]]()
    replies: dict[int, tuple[bool, RateHints | None]] = {}
    while now < until_s and (most is None or len(sent) < most):
        wanted_at = begun * every_s if most is None or begun < most else math.inf
        available_at = max(wanted_at, budget.available_at(now, waiting=_ALWAYS_WAITING))
        if available_at <= now and flying < flights:
            heapq.heappush(coming, (now + latency_s / 2, budget.acquire(now), False))
            flying, begun = flying + 1, begun + 1
            continue
        wake_at = available_at if available_at > now else math.inf
        if not coming or coming[0][0] > wake_at:
            now = wake_at
            continue
        now, permit, counted = heapq.heappop(coming)
        if not counted:
            replies[permit] = server(now)
            sent.append(Sent(now, replies[permit][0]))
            heapq.heappush(coming, (now + latency_s / 2, permit, True))
            continue
        flying -= 1
        served, hints = replies.pop(permit)
        if served:
            budget.release(permit, now, hints)
        else:
            budget.on_429(permit, now, None, hints)
    return sent
