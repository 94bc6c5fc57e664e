"""How much of its window a shard's token has used, for the next owner of the shard.

Rule 1: the next owner counts the requests of the one before it, so that both together keep the limit.
Rule 2: after an orderly end all requests are known. After a crash the last seconds are not, so a tenth of the limit is added, or twice what
the rate before was if that is more. A window of up to half a second is as short as the time between two writings, so all of it is.
Rule 3: times are seconds from the moment of writing, so no two clocks are compared. They are rounded up to a 32nd of the window.
Rule 4: without a known limit there is nothing to say. The next owner begins slowly and learns the limit as the first one did.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import orjson

from pollwise.core.rate_budget import RateBudget, engine_of

__all__ = ["Spending", "spend", "spending_of"]

_STEPS = 32  # of a window
_UNKNOWN_SHARE = 10  # after a crash a tenth of the limit is taken to be used
_SHORT_S = 0.5  # in such a window all of the limit


class Spending:
    """Says when the spending of a budget is to be written.

    Args:
        budget: The budget.
    """

    def __init__(self, budget: RateBudget) -> None:
        self._budget = budget
        self._engine = engine_of(budget)
        self._written = 0

    def is_due(self) -> bool:
        """Whether the budget has sent so much since the last writing that a crash would hide it."""
        limit = self._budget.limit
        return limit is not None and (self._engine.sent - self._written) * _UNKNOWN_SHARE >= limit

    def text(self, now: float, *, is_whole: bool) -> str | None:
        """What to write, or None without a known limit. It counts as written."""
        self._written = self._engine.sent
        return spending_of(self._budget, now, is_whole=is_whole)


def spending_of(budget: RateBudget, now: float, *, is_whole: bool) -> str | None:
    """The used places of this budget. None if its limit is not known.

    Args:
        budget: The budget.
        now: Monotonic seconds.
        is_whole: Whether nothing more is sent.
    """
    per_s = budget.per_s
    if budget.limit is None or per_s is None:
        return None
    step_s = per_s / _STEPS
    free_in = Counter(math.ceil(free_s / step_s) for free_s in engine_of(budget).spent(now))
    return orjson.dumps({"per_s": per_s, "steps": sorted(free_in.items()), "whole": is_whole}).decode()


def spend(budget: RateBudget, text: str | None, age_s: float, now: float) -> None:
    """Count what another process has used. Does nothing if the limit is not known, or if the text cannot be read.

    Args:
        budget: The budget, which has sent nothing yet.
        text: What that process has written. None for nothing.
        age_s: Seconds since then.
        now: Monotonic seconds.
    """
    limit, per_s = budget.limit, budget.per_s
    if limit is None or per_s is None or text is None:
        return
    try:
        known: Any = orjson.loads(text)
        written_s = float(known["per_s"])
        used = [(written_s * step / _STEPS, int(count)) for step, count in known["steps"]]
        is_whole = bool(known["whole"])
    except (ValueError, TypeError, KeyError):
        return
    if not is_whole and per_s <= _SHORT_S:
        engine_of(budget).spend([per_s] * limit, now)
        return
    free_in = [free_s - age_s for free_s, count in used for _ in range(min(count, limit)) if free_s > age_s]
    if not is_whole and age_s < per_s:
        rate = sum(count for _, count in used) / written_s
        unknown = max(math.ceil(limit / _UNKNOWN_SHARE), math.ceil(2.0 * rate * age_s))
        unknown = max(0, min(unknown, limit - len(free_in)))
        free_in += [per_s - age_s * (n + 0.5) / unknown for n in range(unknown)]
    engine_of(budget).spend(free_in, now)
