"""The owners of a token keep its limit together."""

from __future__ import annotations

import pytest
from fleet_toy import FleetToy, Vendor, jobs, until, working
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.fleet import Client, PostgresLedger
from pollwise.fleet.spending import Spending, spend, spending_of
from real_postgres import needs_postgres


def sent(budget: RateBudget, count: int, now: float, *, answered: bool = True) -> None:
    engine = engine_of(budget)
    for _ in range(count):
        permit = engine.acquire(now)
        if answered:
            engine.release(permit, now)


@given(first=st.integers(0, 60), age_s=st.floats(0, 120), limit=st.integers(1, 60), whole=st.booleans())
def test_two_owners_never_use_more_than_the_limit(first: int, age_s: float, limit: int, *, whole: bool) -> None:
    """Whatever the first one has sent in a window, the second one sends at most the rest."""
    used = min(first, limit)
    one, two = RateBudget(limit, per_s=60), RateBudget(limit, per_s=60)
    sent(one, used, 1_000.0)
    spend(two, spending_of(one, 1_000.0, is_whole=whole), age_s, 5.0)
    left = engine_of(two).left(5.0)
    assert left is not None
    if age_s < 60:
        assert left <= limit - used
    else:
        assert left >= limit - used
    assert engine_of(two).left(5.0 + 60.0 + 60.0 / 32 + 1e-6) == limit


def test_after_a_crash_some_more_counts_as_used() -> None:
    """A tenth of the limit, or twice what the rate was. After an orderly end nothing is added."""
    one = RateBudget(100, per_s=60)
    sent(one, 30, 1_000.0)
    for age_s, is_whole, left in ((1.0, True, 70), (1.0, False, 60), (30.0, False, 40)):
        two = RateBudget(100, per_s=60)
        spend(two, spending_of(one, 1_000.0, is_whole=is_whole), age_s, 5.0)
        assert engine_of(two).left(5.0) == left


@pytest.mark.parametrize("age_s", [0.01, 3.0])
def test_after_a_crash_all_of_a_short_window_counts_as_used(age_s: float) -> None:
    """What was sent in the last quarter of a second is not known, and may be all of it."""
    one = RateBudget(20, per_s=0.25)
    sent(one, 3, 1_000.0)
    for is_whole, left in ((False, 0), (True, 17 if age_s < 0.25 else 20)):
        two = RateBudget(20, per_s=0.25)
        spend(two, spending_of(one, 1_000.0, is_whole=is_whole), age_s, 5.0)
        assert engine_of(two).left(5.0) == left
        assert engine_of(two).left(5.26) == 20


def test_requests_in_flight_fill_a_whole_window() -> None:
    """Only the server knows when it counts them."""
    one, two = RateBudget(10, per_s=60), RateBudget(10, per_s=60)
    sent(one, 4, 1_000.0, answered=False)
    spend(two, spending_of(one, 1_030.0, is_whole=True), 0.0, 5.0)
    assert engine_of(two).left(60.0) == 6
    assert engine_of(two).left(65.1) == 10


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"per_s": 1, "steps": 7, "whole": true}'])
def test_what_cannot_be_read_is_nothing(text: str | None) -> None:
    """The text of another version ends no takeover."""
    budget = RateBudget(10, per_s=60)
    spend(budget, text, 0.0, 5.0)
    assert engine_of(budget).left(5.0) == 10


def test_an_unknown_limit_has_no_spending() -> None:
    """The next owner begins slowly."""
    unknown = RateBudget()
    assert spending_of(unknown, 0.0, is_whole=True) is None
    spend(unknown, '{"per_s": 60, "steps": [[32, 60]], "whole": true}', 0.0, 0.0)
    assert engine_of(unknown).left(0.0) is None


def test_much_is_written_in_between() -> None:
    """A tenth of the limit since the last writing."""
    budget = RateBudget(20, per_s=60)
    spending = Spending(budget)
    sent(budget, 1, 0.0)
    assert not spending.is_due()
    sent(budget, 1, 0.0)
    assert spending.is_due()
    assert spending.text(0.0, is_whole=False) == '{"per_s":60,"steps":[[32,2]],"whole":false}'
    assert not spending.is_due()


@needs_postgres
async def test_a_handover_sends_no_window_twice(store: PostgresLedger) -> None:
    """The limit is used up by the first worker, so the second one waits for the next window."""
    first, second = Vendor(), Vendor()
    await Client(store, FleetToy()).submit_many(jobs(*"abcdefgh"), timeout_s=600)
    limit = {"budget_for": lambda _: RateBudget(4, per_s=3600.0)}
    async with working(store, first, **limit) as one:
        await until(lambda: len(first.asked) == 4, store=store)
        async with working(store, second, **limit) as two:
            one.drain()
            await until(lambda: two.shards and two.stats().shards[0].watches == 8, store=store)
            await until(lambda: two.stats().shards[0].waiting > 0, store=store)
            assert second.asked == []
