"""The budget as a caller sees it: it reads what the engine has learnt."""

from __future__ import annotations

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
