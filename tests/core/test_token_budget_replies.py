"""What the replies of a server teach a budget: limits, windows, pauses and rates, and how long each of them counts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pollwise.core.header_hints import RateHints
from pollwise.core.token_budget import TokenBudget
from pollwise.model.limits import RateLimit

Make = Callable[[], TokenBudget]


def learning() -> TokenBudget:
    return TokenBudget()


def documented() -> TokenBudget:
    return TokenBudget.documented(RateLimit(60, per_s=60.0))


def configured() -> TokenBudget:
    return TokenBudget(60, per_s=60.0)


def burst(budget: TokenBudget, now: float, most: int = 200) -> int:
    """How many requests go at once."""
    for count in range(most):
        if budget.available_at(now) > now:
            return count
        budget.acquire(now)
    return most


def reply(budget: TokenBudget, now: float, hints: RateHints | None = None) -> None:
    budget.release(budget.acquire(now), now, hints)


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "believed"), [(10_000_000, True), (10_000_001, False)])
def test_a_limit_of_more_than_ten_million_is_not_believed(limit: int, *, believed: bool) -> None:
    """Neither as a limit nor as what remains of it."""
    budget = learning()
    reply(budget, 0.0, RateHints(limit=limit))
    assert budget.limit == (limit if believed else None)
    budget = learning()
    reply(budget, 0.0, RateHints(remaining=limit))
    assert budget.limit == (limit + 1 if believed else None)


def test_what_remains_shows_a_limit_that_is_not_stated() -> None:
    """One more than remained after the first request. A stated lower limit counts until more remains than ever."""
    budget = learning()
    limits = []
    for remaining, limit in ((1, None), (9, None), (8, None), (None, 5), (9, None), (10, None)):
        reply(budget, 0.0, RateHints(limit=limit, remaining=remaining))
        limits.append(budget.limit)
    assert limits == [2, 10, 10, 5, 5, 11]


def test_what_remains_does_not_raise_a_configured_limit() -> None:
    """The server has stated a lower limit, and what remains is no statement of a higher one."""
    budget = configured()
    reply(budget, 0.0, RateHints(limit=10, remaining=9))
    reply(budget, 0.0, RateHints(remaining=29))
    assert budget.limit == 10


def test_each_place_that_is_freed_adds_one_request_to_what_the_server_left() -> None:
    """Two remained at first and were used a second later."""
    budget = configured()
    reply(budget, 0.0, RateHints(remaining=2))
    reply(budget, 1.0)
    reply(budget, 1.0)
    assert [budget.left(now) for now in (1.0, 59.9, 60.0, 61.0)] == [0, 0, 1, 3]


# --- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [learning, documented, lambda: TokenBudget(60)])
def test_a_stated_window_counts_unless_one_is_configured(make: Make) -> None:
    """With a learnt, a documented and a configured limit."""
    budget = make()
    reply(budget, 0.0, RateHints(window_s=5.0))
    assert budget.per_s == 5.0
    budget = configured()
    reply(budget, 0.0, RateHints(window_s=5.0))
    assert budget.per_s == 60.0


@pytest.mark.parametrize(
    ("window_s", "believed"), [(0.0009, False), (0.001, True), (100.0, True), (math.nextafter(100.0, 101.0), False)]
)
def test_a_stated_window_is_at_least_a_millisecond_and_at_most_the_longest_hint(
    window_s: float, *, believed: bool
) -> None:
    """Both ends are believed."""
    budget = TokenBudget(longest_hint_s=100.0)
    reply(budget, 0.0, RateHints(limit=60, window_s=window_s))
    assert budget.per_s == (window_s if believed else None)


@pytest.mark.parametrize(("reset_s", "per_s"), [(100.0, 100.0), (101.0, None)])
def test_a_window_that_is_learnt_is_at_most_the_longest_hint(reset_s: float, per_s: float | None) -> None:
    """A reset that is later shows nothing."""
    budget = TokenBudget(1, longest_hint_s=100.0)
    reply(budget, 0.0, RateHints(remaining=0, reset_s=reset_s))
    assert budget.per_s == per_s


@pytest.mark.parametrize(("hints", "per_s"), [(RateHints(reset_s=60.0), 60.0), (RateHints(), 5.0), (None, 5.0)])
def test_a_refusal_shows_the_window_by_its_reset_and_without_one_by_its_wait(
    hints: RateHints | None, per_s: float
) -> None:
    """The wait says when one request may go, so the reset is the better word."""
    budget = TokenBudget(1)
    budget.on_429(budget.acquire(0.0), 0.0, 5.0, hints)
    assert budget.per_s == per_s


def test_a_window_of_more_than_ten_thousand_requests_is_learnt() -> None:
    """All its places are filled then."""
    budget = TokenBudget(10_001)
    for _ in range(10_000):
        reply(budget, 0.0)
    reply(budget, 0.0, RateHints(remaining=0, reset_s=60.0))
    assert budget.per_s == 60.0
    assert budget.left(0.0) == 0


def test_a_window_that_is_learnt_is_filled_by_as_many_requests_as_the_limit() -> None:
    """The requests before these were counted in the window before."""
    budget = TokenBudget(2)
    for _ in range(3):
        reply(budget, 0.0)
    reply(budget, 1.0)
    reply(budget, 1.0, RateHints(remaining=0, reset_s=9.5))
    assert budget.per_s == 9.5
    assert budget.available_at(1.0) == 10.5


@pytest.mark.parametrize(("now", "per_s"), [(11.9, 3.0), (12.0, 2.0)])
def test_a_learnt_window_is_tried_shorter_after_four_of_it(now: float, per_s: float) -> None:
    """Its reset may have been rounded up."""
    budget = TokenBudget(2)
    reply(budget, 0.0)
    reply(budget, 0.0, RateHints(remaining=0, reset_s=3.0))
    assert budget.available_at(0.0) == 3.0
    for _ in range(2):
        reply(budget, 3.0)
    assert budget.available_at(3.0) == 6.0  # more requests wait
    reply(budget, now, RateHints(remaining=1))
    assert budget.per_s == per_s


# --- nothing remains --------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "used"), [(60, 54), (65, 59), (5, 4), (1, 1)])
def test_a_window_that_our_requests_have_filled_is_counted_here(limit: int, used: int) -> None:
    """Others used a tenth of it at most. Our count is more exact than a reset in whole seconds, so there is no pause."""
    for ours, pauses in ((used, False), (used - 1, True)):
        budget = TokenBudget(limit, per_s=60.0)
        for _ in range(ours - 1):
            reply(budget, 0.0)
        if ours:
            reply(budget, 0.0, RateHints(remaining=0, reset_s=30.0))
            assert (budget.available_at(0.0) == 30.0) is pauses


def test_requests_in_flight_fill_the_window_too() -> None:
    """The server has counted them before it said that nothing remains."""
    budget = TokenBudget(10, per_s=60.0)
    permits = [budget.acquire(0.0) for _ in range(10)]
    for permit in permits[:5]:
        budget.release(permit, 0.0)
    budget.release(permits[5], 0.0, RateHints(remaining=0, reset_s=30.0))
    assert budget.available_at(0.0) == 60.0


def test_after_a_reset_that_was_waited_for_all_go() -> None:
    """No request needs to try it."""
    budget = configured()
    reply(budget, 0.0, RateHints(remaining=0, reset_s=10.0))
    assert budget.available_at(0.0) == 10.0
    assert burst(budget, 10.0) == 59


@pytest.mark.parametrize(
    ("hints", "longest_hint_s", "wait_s"),
    [
        (RateHints(remaining=0), 3600.0, 1.0),
        (RateHints(remaining=0), 0.5, 0.5),
        (RateHints(limit=60, remaining=0, window_s=6.0), 3600.0, 0.1),
        (RateHints(limit=1, remaining=0, window_s=60.0), 3600.0, 1.0),
    ],
)
def test_one_request_tries_whether_anything_remains_again(
    hints: RateHints, longest_hint_s: float, wait_s: float
) -> None:
    """The server does not say until when: after one place at an even rate, and after a second at most."""
    budget = TokenBudget(longest_hint_s=longest_hint_s)
    reply(budget, 0.0, hints)
    assert budget.available_at(0.0) == pytest.approx(wait_s)
    assert burst(budget, 2.0) == 1


def test_nothing_goes_at_its_even_rate_while_nothing_remains() -> None:
    """The server's word wins at the very moment when the next request would be due."""
    budget = TokenBudget(2, per_s=10.0)
    reply(budget, 0.0)
    reply(budget, 0.0)
    assert budget.available_at(0.0) == 10.0
    assert budget.available_at(10.0) == 10.0
    reply(budget, 10.0, RateHints(remaining=0))
    assert budget.available_at(14.0, waiting=2) == 15.0
    assert budget.available_at(15.0, waiting=2) == 20.0


def test_the_end_of_a_pause_frees_no_place() -> None:
    """The window is full until its own end."""
    budget = TokenBudget(1, per_s=10.0)
    budget.on_429(budget.acquire(0.0), 0.0, 5.0, None)
    assert budget.available_at(4.0) == 5.0
    assert budget.available_at(5.0) == 10.0


@pytest.mark.parametrize("limit", [None, RateLimit(60, per_s=60.0)])
def test_the_longest_hint_of_a_documented_budget_is_an_hour(limit: RateLimit | None) -> None:
    """As it is with every other budget."""
    assert TokenBudget.documented(limit).longest_hint_s == TokenBudget().longest_hint_s == 3600.0


# --- what one reply alone has said ------------------------------------------------------------


def older(budget: TokenBudget, permit: int) -> None:
    """A good reply to a request that was sent before."""
    budget.release(permit, 0.2)


def refused(budget: TokenBudget, permit: int) -> None:
    budget.on_429(permit, 0.2, None, None)


def out_of_service(budget: TokenBudget, permit: int) -> None:
    budget.on_unavailable(permit, 0.2, 1.0)


def test_the_third_newer_reply_without_rate_headers_ends_a_lone_statement() -> None:
    """Two do not. The next lone statement ends in the same way."""
    budget = documented()
    for _ in range(2):
        reply(budget, 0.0, RateHints(limit=30))
        limits = []
        for _ in range(3):
            reply(budget, 0.0)
            limits.append(budget.limit)
        assert limits == [30, 30, 60]


@pytest.mark.parametrize("later", [older, refused, out_of_service])
def test_only_newer_good_replies_end_a_lone_statement(later: Callable[[TokenBudget, int], None]) -> None:
    """Refusals often have no rate headers, and a server that is out of service has none."""
    budget = documented()
    permits = [budget.acquire(0.0) for _ in range(9)]
    lone = permits.pop(8 if later is older else 0)
    budget.release(lone, 0.1, RateHints(limit=30))
    for permit in permits:
        later(budget, permit)
    assert budget.limit == 30


def test_a_statement_of_two_replies_or_of_a_refusal_does_not_lapse() -> None:
    """A server that states its limit more than once means it."""
    budget = documented()
    for limit in (40, 30):
        reply(budget, 0.0, RateHints(limit=limit))
    for _ in range(5):
        reply(budget, 0.0)
    assert budget.limit == 30
    budget = documented()
    budget.on_429(budget.acquire(0.0), 0.0, None, RateHints(limit=30, remaining=0))
    for _ in range(5):
        reply(budget, 1.0)
    assert budget.limit == 30


@pytest.mark.parametrize("hints", [RateHints(remaining=0), RateHints(limit=2, remaining=0, reset_s=10.0)])
def test_after_a_lone_statement_has_lapsed_a_budget_learns_as_a_new_one(hints: RateHints) -> None:
    """Nothing of it is left, also not that it stated a window."""
    budget, new = learning(), learning()
    reply(budget, 0.0, RateHints(limit=9, remaining=8, window_s=5.0))
    for _ in range(4):
        reply(budget, 0.0)
        reply(new, 0.0)
    for one in (budget, new):
        reply(one, 20.0, hints)
    assert (budget.limit, budget.per_s) == (new.limit, new.per_s)
    assert budget.limit is not None


# --- the slow start ---------------------------------------------------------------------------


def test_the_start_is_slow_until_sixteen_replies_have_stated_nothing() -> None:
    """At first four requests go, and each reply lets four more go."""
    budget = learning()
    assert burst(budget, 0.0) == 4
    budget.release(1, 0.0)
    assert burst(budget, 0.0) == 5
    for permit in range(2, 16):
        budget.release(permit, 0.0)
        assert budget.starting
    budget.release(16, 0.0)
    assert not budget.starting
    assert burst(budget, 0.0) == 200


def test_the_first_rate_headers_end_the_slow_start() -> None:
    """They say how many may go."""
    budget = learning()
    assert burst(budget, 0.0) == 4
    budget.release(1, 0.0, RateHints(limit=60, remaining=59))
    assert burst(budget, 0.0) == 56


@pytest.mark.parametrize(("width", "first"), [(20, 10), (21, 10), (9, 4), (3, 4)])
def test_after_a_probe_half_of_the_refused_burst_goes_first(width: int, first: int) -> None:
    """At least four. The rest goes as replies come."""
    budget = learning()
    permits = [budget.acquire(40.0) for _ in range(width)]
    for permit in permits:
        budget.on_429(permit, 40.0, None, None)
    assert budget.available_at(40.0) == 40.25
    reply(budget, 40.25)
    assert budget.starting
    assert burst(budget, 40.25) == first


@pytest.mark.parametrize(("make", "hints"), [(configured, None), (learning, RateHints(limit=1_000, remaining=999))])
def test_the_start_is_not_slow_again_where_the_limit_is_known(make: Make, hints: RateHints | None) -> None:
    """It was configured, or the reply to the probe has stated it."""
    budget = make()
    budget.on_unavailable(budget.acquire(0.0), 0.0, 1.0)
    reply(budget, 1.0, hints)
    assert not budget.starting
    assert burst(budget, 1.0) > 50


def test_the_start_is_not_slow_again_after_a_contradicted_refusal() -> None:
    """No probe was needed, and nothing is wrong with a burst."""
    budget = learning()
    permits = [budget.acquire(0.0) for _ in range(3)]
    budget.on_429(permits[0], 0.0, None, None)
    for permit in permits[1:]:
        budget.release(permit, 0.0)
    assert not budget.starting
    assert burst(budget, 0.0) == 200


# --- the rate that refusals show --------------------------------------------------------------


def refused_probes(budget: TokenBudget, count: int, hints: RateHints | None = None, good: int = 4) -> float:
    """Good replies in four seconds, a refusal, a refused quick probe, and so many slow ones. When the next is due."""
    for n in range(good):
        reply(budget, n * 4 / good)
    now = 4.0
    for _ in range(2 + count):
        budget.on_429(budget.acquire(now), now, None, hints)
        now = budget.available_at(now)
    return now


@pytest.mark.parametrize(("count", "shown"), [(5, False), (6, True)])
def test_six_refused_probes_show_a_rate(count: int, *, shown: bool) -> None:
    """It is that of the good replies, pauses included. The quick probe is not counted."""
    budget = learning()
    now = refused_probes(budget, count)
    reply(budget, now)
    assert budget.refused == 2 + count
    assert budget.spacing_s == pytest.approx(now / 5 if shown else 0.0)


@pytest.mark.parametrize(("good", "least_s", "most_s"), [(4, 1.0, 9.0), (100, 0.1, 1.0)])
def test_requests_keep_the_distance_of_the_rate(good: int, least_s: float, most_s: float) -> None:
    """Above and below one request a second."""
    budget = learning()
    now = refused_probes(budget, 6, good=good)
    reply(budget, now)
    assert least_s < budget.spacing_s < most_s
    assert budget.available_at(now) == pytest.approx(now + budget.spacing_s)
    at = budget.available_at(now)
    budget.acquire(at)
    assert budget.available_at(at) == pytest.approx(at + budget.spacing_s)


def test_a_rate_is_raised_after_eight_good_replies() -> None:
    """The first trial has passed then, and not before."""
    budget = learning()
    now = refused_probes(budget, 6)
    reply(budget, now)
    found_s = budget.spacing_s
    for count in range(1, 9):
        now = budget.available_at(now)
        reply(budget, now)
        assert budget.spacing_s == pytest.approx(found_s / 1.25 if count == 8 else found_s)


def test_a_rate_does_not_overrule_that_nothing_remains() -> None:
    """The next request would be due, and the server says that there is none."""
    budget = learning()
    now = refused_probes(budget, 6)
    reply(budget, now)
    at = budget.available_at(now)
    permit = budget.acquire(at)
    due = budget.available_at(at)
    budget.release(permit, at, RateHints(remaining=0))
    assert budget.available_at(due) == pytest.approx(due + 1.0)


@pytest.mark.parametrize(
    ("make", "hints", "explained"),
    [
        (configured, RateHints(remaining=0), True),
        (configured, RateHints(limit=60), True),
        (configured, RateHints(limit=60, remaining=0), True),
        (configured, None, False),
        (configured, RateHints(), False),
        (configured, RateHints(remaining=5), False),
        (configured, RateHints(limit=60, remaining=5), False),
        (learning, RateHints(remaining=0), False),
        (learning, RateHints(limit=60, remaining=0), False),
        (lambda: TokenBudget(None, per_s=60.0), RateHints(remaining=0), False),
    ],
)
def test_refusals_that_the_known_window_explains_show_no_rate(
    make: Make, hints: RateHints | None, *, explained: bool
) -> None:
    """Others have used the token up. A refusal though requests remain is of another limit, which is searched for."""
    budget = make()
    now = refused_probes(budget, 6, hints)
    even_s = budget.spacing_s
    reply(budget, now)
    assert (budget.spacing_s == even_s) is explained


@pytest.mark.parametrize("contradicted", [True, False])
def test_refusals_that_other_replies_contradict_show_no_rate_soon(*, contradicted: bool) -> None:
    """A refusal every other second and as many good replies in between: a limit, unless later requests succeeded."""
    budget = learning()
    now = 0.0
    for _ in range(6):
        for _ in range(20):
            now += 0.1
            reply(budget, now)
        permits = [budget.acquire(now) for _ in range(3)]
        for permit in permits[: 1 if contradicted else 3]:
            budget.on_429(permit, now, None, None)
        if contradicted:
            for permit in permits[1:]:
                budget.release(permit, now)
        now = budget.available_at(now)
    reply(budget, now)
    assert (budget.spacing_s == 0.0) is contradicted


# --- shares -----------------------------------------------------------------------------------


def test_the_shares_of_a_budget_know_each_other() -> None:
    """And their turns are as long as its requests are apart, within bounds."""
    budget = TokenBudget(1_200, per_s=60.0)
    one, other = budget.share(), budget.share()
    one.size = 3
    assert (one.others, other.others) == (0, 3)
    assert other.wait(5.0, 0.0) == 5.0
    one.served = 1.0
    assert one.wait(5.05, 5.05) > 5.05
    assert one.wait(5.06, 5.06) == 5.06
