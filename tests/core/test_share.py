"""Lanes: watchers that share a token take turns, and a turn that is not taken lapses."""

from __future__ import annotations

import math

from pollwise.core.rate_budget import RateBudget
from pollwise.core.share import Share


def test_watchers_that_share_a_budget_take_turns() -> None:
    """One with a thousand jobs waiting does not starve one with three."""
    budget = RateBudget(10, per_s=10.0)
    shares: dict[Share, int] = {budget.share(): 0, budget.share(): 0}
    now = 0.0
    while now < 300:
        wakes = []
        for share in shares:
            while (available_at := share.available_at(now, waiting=10**9)) <= now:
                budget.release(share.acquire(now), now)
                shares[share] += 1
            wakes.append(available_at)
        now = min(wakes)
    greedy, other = shares.values()
    assert abs(greedy - other) <= 0.1 * (greedy + other)
    assert greedy + other >= 0.97 * 300


def test_a_lane_whose_watcher_is_gone_holds_nobody_up() -> None:
    """A turn that is not taken lapses."""
    budget = RateBudget(1, per_s=1.0)
    gone, here = budget.share(), budget.share()
    budget.release(here.acquire(0.0), 0.0)
    gone.available_at(0.5)
    now, sent = 0.5, 0
    while now < 20:
        available_at = here.available_at(now)
        if available_at <= now:
            budget.release(here.acquire(now), now)
            sent += 1
        else:
            now = available_at
    assert sent >= 18


def test_a_lane_that_waited_for_a_reply_does_not_keep_its_turn_for_ever() -> None:
    """It was told that only a reply can help, and never came back: its turn lapses as any other does."""
    budget = RateBudget(1, per_s=1.0)
    gone, here = budget.share(), budget.share()
    permit = here.acquire(0.0)
    assert gone.available_at(0.0) == math.inf
    budget.release(permit, 0.5)
    assert any(here.available_at(1.5 + n / 16) <= 1.5 + n / 16 for n in range(16))


def test_a_lane_that_is_left_is_nobodys_turn() -> None:
    """Those who are still here need not wait for it at all."""
    budget = RateBudget(1, per_s=1.0)
    gone, here = budget.share(), budget.share()
    budget.release(here.acquire(0.0), 0.0)
    gone.size = 7
    assert gone.available_at(0.5) == here.available_at(0.5) == 1.0
    assert here.available_at(1.0) > 1.0  # it has had a turn, and the other one has not
    gone.leave()
    assert here.others == 0
    assert here.available_at(1.0) == 1.0


def test_a_lane_passes_on_that_the_server_is_out_of_service() -> None:
    """The other lanes of the token wait, too."""
    budget = RateBudget()
    one, other = budget.share(), budget.share()
    one.on_unavailable(one.acquire(0.0), 1.0, 30.0)
    assert other.available_at(1.0) == 31.0
