"""Shares: watchers with one token take turns, and a turn that is not taken lapses."""

from __future__ import annotations

import math

import pytest

from pollwise.core.share import Share
from pollwise.core.token_budget import TokenBudget


def available_at(budget: TokenBudget, share: Share, now: float, *, waiting: int = 1) -> float:
    """When this share may have a permit; as the scheduler asks."""
    return share.wait(budget.available_at(now, waiting=waiting), now)


def acquire(budget: TokenBudget, share: Share, now: float) -> int:
    """A permit for this share; as the scheduler acquires it."""
    share.served += 1
    share.stop_waiting()
    return budget.acquire(now)


def test_watchers_that_share_a_budget_take_turns() -> None:
    """One with a thousand jobs waiting does not starve one with three."""
    budget = TokenBudget(10, per_s=10.0)
    shares: dict[Share, int] = {budget.share(): 0, budget.share(): 0}
    now = 0.0
    while now < 300:
        wakes = []
        for share in shares:
            while (at := available_at(budget, share, now, waiting=10**9)) <= now:
                budget.release(acquire(budget, share, now), now)
                shares[share] += 1
            wakes.append(at)
        now = min(wakes)
    greedy, other = shares.values()
    assert abs(greedy - other) <= 0.1 * (greedy + other)
    assert greedy + other >= 0.97 * 300


def test_a_share_whose_watcher_is_gone_delays_no_other() -> None:
    """A turn that is not taken lapses."""
    budget = TokenBudget(1, per_s=1.0)
    gone, here = budget.share(), budget.share()
    budget.release(acquire(budget, here, 0.0), 0.0)
    available_at(budget, gone, 0.5)
    now, sent = 0.5, 0
    while now < 20:
        at = available_at(budget, here, now)
        if at <= now:
            budget.release(acquire(budget, here, now), now)
            sent += 1
        else:
            now = at
    assert sent >= 18


def test_a_share_that_waited_for_a_reply_does_not_keep_its_turn_for_ever() -> None:
    """Only a reply can help it, and it does not ask again: its turn lapses like any other."""
    budget = TokenBudget(1, per_s=1.0)
    gone, here = budget.share(), budget.share()
    permit = acquire(budget, here, 0.0)
    assert available_at(budget, gone, 0.0) == math.inf
    budget.release(permit, 0.5)
    assert any(available_at(budget, here, 1.5 + n / 16) <= 1.5 + n / 16 for n in range(16))


def test_a_share_that_is_left_has_no_turn() -> None:
    """The other shares need not wait for it at all."""
    budget = TokenBudget(1, per_s=1.0)
    gone, here = budget.share(), budget.share()
    budget.release(acquire(budget, here, 0.0), 0.0)
    gone.size = 7
    assert available_at(budget, gone, 0.5) == available_at(budget, here, 0.5) == 1.0
    assert available_at(budget, here, 1.0) > 1.0  # it has had a turn, and the other one has not
    gone.leave()
    assert here.others == 0
    assert available_at(budget, here, 1.0) == 1.0


def test_a_turn_is_kept_for_a_tenth_of_a_second() -> None:
    """A share that has had more permits asks again after a quarter of that."""
    budget = TokenBudget(1, per_s=1.0)
    for now, at in ((1.0, 1.025), (1.1, 1.125), (1.2, 1.2)):
        gone, here = budget.share(), budget.share()
        here.served = 1.0
        assert gone.wait(1.0, 0.5) == 1.0
        assert here.wait(now, now) == pytest.approx(at)
        gone.stop_waiting()
        here.stop_waiting()


def test_a_share_that_lets_another_one_go_keeps_its_own_turn() -> None:
    """A third one with more permits waits for both."""
    budget = TokenBudget(1, per_s=1.0)
    first, second, third = budget.share(), budget.share(), budget.share()
    first.served, second.served, third.served = 1.0, 2.0, 3.0
    assert first.wait(1.0, 0.5) == 1.0
    assert second.wait(1.0, 1.0) > 1.0
    first.stop_waiting()
    assert third.wait(1.0, 1.0) > 1.0
    second.stop_waiting()
    assert third.wait(1.0, 1.0) == 1.0


def test_all_shares_wait_while_the_server_is_out_of_service() -> None:
    """The other shares of the token wait, too."""
    budget = TokenBudget()
    one, other = budget.share(), budget.share()
    budget.on_unavailable(acquire(budget, one, 0.0), 1.0, 30.0)
    assert available_at(budget, other, 1.0) == 31.0


def test_a_new_share_has_had_nothing_and_has_nothing() -> None:
    """It begins with no watch and no permit."""
    share = TokenBudget().share()
    assert (share.served, share.size) == (0.0, 0)
