"""Servers with a rate limit in virtual time, and a caller that always has a request waiting."""

from __future__ import annotations

import heapq
import math
from collections import deque

from pollwise.core.header_hints import RateHints
from pollwise.core.token_budget import TokenBudget


class Server:
    """A rate limiter as vendors build them: its window is fixed, aligned, sliding, or a token bucket.

    Args:
        limit: Requests in a window; the refill of a bucket in that time.
        per_s: Length of the window in seconds.
        window: Its kind.
        states: What the replies say: everything, remaining, whole seconds, nothing.
        burst: Most tokens in the bucket.
    """

    def __init__(self, limit: int, per_s: float, window: str, states: str = "nothing", burst: int = 0) -> None:
        self.limit, self.per_s, self.window, self.states = limit, per_s, window, states
        self.burst = burst or limit
        self.tokens, self.filled_at = float(self.burst), 0.0
        self.begun = -math.inf
        self.count = 0
        self.log: deque[float] = deque()
        self.accepted = self.refused = 0
        self.stated = False

    def ask(self, now: float) -> tuple[bool, RateHints | None]:
        counts = {"bucket": self._bucket, "aligned": self._aligned, "fixed": self._fixed, "sliding": self._sliding}
        good, left, resets = counts[self.window](now)
        self.accepted += good
        self.refused += not good
        if self.states == "nothing":
            return good, None
        if self.states == "remaining" and good:
            return good, RateHints(remaining=left)
        if self.states == "whole seconds":
            window_s = self.per_s if self.stated else None
            whole = float(max(1, math.ceil(resets)))
            return good, RateHints(limit=self.limit, remaining=left, reset_s=whole, window_s=window_s)
        return good, RateHints(limit=self.limit, remaining=left, reset_s=resets)

    def _bucket(self, now: float) -> tuple[bool, int, float]:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.limit / self.per_s)
        self.filled_at = now
        good = self.tokens >= 1 - 1e-9
        self.tokens -= good
        return good, int(self.tokens), 0.0

    def _aligned(self, now: float) -> tuple[bool, int, float]:
        shifted = now + 0.4 * self.per_s
        begun = shifted // self.per_s
        if begun != self.begun:
            self.begun, self.count = begun, 0
        good = self.count < self.limit
        self.count += good
        return good, self.limit - self.count, (begun + 1) * self.per_s - shifted

    def _fixed(self, now: float) -> tuple[bool, int, float]:
        if now >= self.begun + self.per_s:
            self.begun, self.count = now, 0
        good = self.count < self.limit
        self.count += good
        return good, self.limit - self.count, self.begun + self.per_s - now

    def _sliding(self, now: float) -> tuple[bool, int, float]:
        while self.log and self.log[0] <= now - self.per_s:
            self.log.popleft()
        good = len(self.log) < self.limit
        if good:
            self.log.append(now)
        return good, self.limit - len(self.log), self.log[0] + self.per_s - now


def drive(
    budget: TokenBudget, server: Server, until: float, latency: float = 0.05, flights: int = 16, start: float = 0.0
) -> None:
    """A request is always waiting. Each one reaches the server after half of its duration."""
    now = start
    coming: list[tuple[float, int, int]] = []
    arrivals: dict[int, tuple[bool, RateHints | None]] = {}
    while now < until:
        available_at = budget.available_at(now, waiting=10**9)
        if available_at <= now and len([entry for entry in coming if entry[1] == 1]) < flights:
            permit = budget.acquire(now)
            heapq.heappush(coming, (now + latency / 2, 0, permit))
            heapq.heappush(coming, (now + latency, 1, permit))
            continue
        wake = max(available_at, math.nextafter(now, math.inf)) if available_at > now else math.inf
        if coming and coming[0][0] <= wake:
            now, kind, permit = heapq.heappop(coming)
            if kind == 0:
                arrivals[permit] = server.ask(now)
            else:
                good, hints = arrivals.pop(permit)
                if good:
                    budget.release(permit, now, hints)
                else:
                    budget.on_429(permit, now, None, hints)
        else:
            now = wake
