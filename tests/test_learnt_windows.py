"""What a watcher learns of a window that is not stated, from replies that state `Remaining`."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import pytest

from pollwise import JobWatcher, Pacing, RateBudget, Request
from pollwise.testing import Answer, ScriptedTransport, Slow, controlled, reply
from toy import RUNNING, ToyEndpoint, ToyJob

LIMIT, WINDOW_S, WINDOWS = 60, 10.0, 16


class Server:
    """Sixty requests in any ten seconds. Each reply states `Remaining`, and a refusal the limit and the reset, too."""

    def __init__(self, latency_s: float) -> None:
        self.accepted: deque[float] = deque()
        self.latency_s = latency_s
        self.count = self.refused = 0

    def __call__(self, _request: Request) -> Answer:
        now = asyncio.get_running_loop().time()
        while self.accepted and self.accepted[0] <= now - WINDOW_S:
            self.accepted.popleft()
        left = LIMIT - len(self.accepted)
        if left <= 0:
            self.refused += 1
            reset_s = self.accepted[0] + WINDOW_S - now
            fields = {
                "X-RateLimit-Limit": str(LIMIT),
                "X-RateLimit-Reset": f"{reset_s:.3f}",
                "X-RateLimit-Remaining": "0",
            }
            return Slow(reply({}, status=429, headers=fields), self.latency_s)
        self.accepted.append(now)
        self.count += 1
        return Slow(reply(RUNNING, headers={"X-RateLimit-Remaining": str(left - 1)}), self.latency_s)


@pytest.mark.looptime
@pytest.mark.parametrize("latency_s", [0.002, 0.05])
@pytest.mark.parametrize("jobs", [60, 300])
async def test_the_places_of_a_learnt_window_are_filled_until_a_window_after_the_replies(
    latency_s: float, jobs: int
) -> None:
    """Counted from the sending, each place would be free too soon, and a sliding window refuses every request."""
    server, dice = Server(latency_s), random.Random(1)
    transport = ScriptedTransport(server)
    pacing = Pacing(min_s=WINDOW_S / 60, max_s=WINDOW_S / 6)
    watcher = JobWatcher(ToyEndpoint(), timeout_s=None, pacing=pacing, transport=transport, budget=RateBudget())
    async with controlled(watcher, dice=dice.random):
        for n in range(jobs):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(WINDOWS * WINDOW_S)
    assert server.refused <= 0.005 * server.count
    assert server.count >= 0.98 * LIMIT * WINDOWS
