"""The budget as a caller sees it: it reads what the engine has learnt."""

from __future__ import annotations

import math

import pytest

from pollwise.core.header_hints import RateHints
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.errors import ConfigurationError
from pollwise.model.limits import RateLimit


def test_a_budget_shows_what_its_engine_has_learnt() -> None:
    """The limit of the replies, and how many requests were refused."""
    budget = RateBudget()
    engine = engine_of(budget)
    engine.release(engine.acquire(0.0), 0.0, RateHints(limit=100, remaining=99))
    engine.on_429(engine.acquire(0.0), 0.0, 1.0, None)
    assert (budget.limit, budget.refused) == (100, 1)


def test_what_is_configured_stays() -> None:
    """A higher limit of the server does not raise it; the documented limit follows the server."""
    for budget, limit in ((RateBudget(60, per_s=60.0), 60), (RateBudget.documented(RateLimit(60, per_s=60.0)), 100)):
        engine = engine_of(budget)
        engine.release(engine.acquire(0.0), 0.0, RateHints(limit=100, remaining=99))
        assert (budget.limit, budget.per_s) == (limit, 60.0)
    assert RateBudget.documented(None).limit is None


def test_the_longest_hint_is_an_hour_unless_it_is_given() -> None:
    """Of a configured and of a documented limit."""
    documented = RateLimit(60, per_s=60.0)
    for budget in (RateBudget(60, per_s=60.0), RateBudget(), RateBudget.documented(documented)):
        assert budget.longest_hint_s == 3600.0
    assert RateBudget(longest_hint_s=7.0).longest_hint_s == 7.0
    assert RateBudget.documented(documented, longest_hint_s=7.0).longest_hint_s == 7.0


def test_a_budget_says_in_its_repr_what_it_allows() -> None:
    """One line for logs."""
    assert repr(RateBudget(60, per_s=60.0)) == "RateBudget(60, per_s=60.0)"


def test_a_budget_of_nothing_is_refused() -> None:
    """The error says what was passed."""
    with pytest.raises(ConfigurationError, match="at least 1 request"):
        RateBudget(0, per_s=60.0)
    with pytest.raises(ConfigurationError, match="longest_hint_s"):
        RateBudget(longest_hint_s=0.0)


# --- a budget that closes -----------------------------------------------------------------------


def test_a_budget_that_closes_gives_no_permit_from_then_on() -> None:
    """Not at that time, and not later. Moving the time opens it again."""
    budget = RateBudget(60, per_s=60.0)
    engine = engine_of(budget)
    assert engine.available_at(1e12) == 1e12
    budget.close_at(100.0)
    assert engine.available_at(99.9) == 99.9
    assert engine.available_at(100.0) == math.inf
    assert engine.available_at(5_000.0) == math.inf
    budget.close_at(6_000.0)
    assert engine.available_at(5_000.0) == 5_000.0
    assert engine.available_at(6_000.0) == math.inf
    budget.close_at(None)
    assert engine.available_at(6_000.0) == 6_000.0


def test_closing_comes_before_every_other_reason() -> None:
    """A pause of the server, the slow start and a full window have times of their own. None of them opens a closed budget."""
    for budget in (RateBudget(), RateBudget(1, per_s=60.0)):
        engine = engine_of(budget)
        engine.on_429(engine.acquire(0.0), 0.0, 5.0, None)
        budget.close_at(1.0)
        for now in (1.0, 5.0, 7_200.0):
            assert engine.available_at(now) == math.inf


def test_what_is_under_way_when_a_budget_closes() -> None:
    """Its permit is released as ever, so its place is free when the budget opens."""
    budget = RateBudget(1, per_s=10.0)
    engine = engine_of(budget)
    permit = engine.acquire(0.0)
    budget.close_at(1.0)
    engine.release(permit, 2.0)
    budget.close_at(None)
    assert engine.available_at(12.0) == 12.0


def test_a_budget_closes_at_a_number() -> None:
    """No comparison with nan is true, so the budget would stay open."""
    with pytest.raises(ConfigurationError, match="got nan"):
        RateBudget().close_at(math.nan)


def test_who_waits_is_called_when_the_time_is_moved() -> None:
    """A listener may leave while it is called."""
    budget = RateBudget()
    on_moved, calls = engine_of(budget).on_moved, []

    def once() -> None:
        calls.append(1)
        on_moved.discard(once)

    on_moved.add(once)
    budget.close_at(5.0)
    budget.close_at(6.0)
    assert calls == [1]
