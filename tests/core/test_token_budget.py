"""The rate ledger: never more than the limit in any window, all of it used, and learnt without a storm of refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.header_hints import RateHints
from pollwise.core.token_budget import TokenBudget
from pollwise.errors import ConfigurationError
from pollwise.model.limits import RateLimit
from rate_servers import Server, drive


@given(st.integers(1, 8), st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(limit: int, steps: list[tuple[float, float]]) -> None:
    """In any span of per_s seconds, counted from whenever the server may have counted, at most `limit` go."""
    budget = TokenBudget(limit, per_s=5.0)
    now, sent = 0.0, []
    for wait, latency in steps:
        now += wait
        if budget.available_at(now) <= now:
            permit = budget.acquire(now)
            sent.append((now, now + latency))
            now += latency
            budget.release(permit, now)
    for counted in (0, 1):  # the server may count at the sending or at the answering
        stamps = [pair[counted] for pair in sent]
        for start in stamps:
            assert sum(start <= stamp < start + 5.0 for stamp in stamps) <= limit


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("states", ["everything", "remaining", "nothing"])
def test_a_known_budget_is_spent_whole_and_never_refused(window: str, states: str) -> None:
    """Whatever the kind of the server's window, and whatever its replies state."""
    server = Server(60, 60.0, window, states)
    drive(TokenBudget(60, per_s=60.0), server, 3600.0)
    assert server.refused == 0
    assert server.accepted >= 0.97 * 3600


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("states", ["everything", "remaining"])
@pytest.mark.parametrize("flights", [1, 16])
def test_an_unknown_budget_is_learnt_at_the_price_of_a_few_refusals(window: str, states: str, flights: int) -> None:
    """From `Remaining` as it falls and refills, and from one refusal."""
    server = Server(60, 60.0, window, states)
    budget = TokenBudget()
    drive(budget, server, 3600.0, flights=flights)
    assert server.refused <= 0.005 * (server.accepted + server.refused)
    assert server.accepted >= 0.97 * 3600
    assert budget.limit == 60


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("states", ["everything", "remaining"])
def test_a_first_burst_is_no_burst_of_refusals(window: str, states: str) -> None:
    """Sixty-four may be in flight and sixty are allowed: the first replies say so before the last is sent."""
    server = Server(60, 60.0, window, states)
    drive(TokenBudget(), server, 59.0, flights=64)
    assert server.accepted == 60
    assert server.refused <= 1


@pytest.mark.parametrize("latency", [0.01, 0.1, 2.0])
def test_without_a_limit_the_start_is_slow_for_a_moment_only(latency: float) -> None:
    """After the second round of replies all connections are busy, and they stay so."""
    server = Server(10**9, 1.0, "sliding", "nothing")
    drive(TokenBudget(), server, 40 * latency, latency=latency, flights=64)
    assert server.refused == 0
    assert server.accepted >= 64 * 37


def test_a_first_request_that_hangs_does_not_hold_up_the_others() -> None:
    """With no reply at all more and more are let go as time passes."""
    budget = TokenBudget()
    taken, now = 0, 0.0
    while now < 1.1:
        available_at = budget.available_at(now)
        if available_at <= now:
            budget.acquire(now)
            taken += 1
        else:
            assert available_at < now + 0.1
            now = available_at
    assert 64 <= taken <= 100


def test_a_budget_that_was_told_does_not_start_slowly() -> None:
    """Nor does one that a vendor documents."""
    for budget in (TokenBudget(50, per_s=1.0), TokenBudget.documented(RateLimit(50, per_s=1.0))):
        for _ in range(50):
            assert budget.available_at(0.0) == 0.0
            budget.acquire(0.0)


def test_a_documented_budget_gives_way_to_the_servers_word() -> None:
    """A plan that allows more than the guess is used; one that allows less is respected."""
    budget = TokenBudget.documented(RateLimit(60, per_s=60.0))
    budget.release(budget.acquire(0.0), 0.0, RateHints(limit=100, remaining=99))
    assert budget.limit == 100
    budget = TokenBudget(60, per_s=60.0)
    budget.release(budget.acquire(0.0), 0.0, RateHints(limit=100, remaining=99))
    assert budget.limit == 60
    budget.release(budget.acquire(0.0), 0.0, RateHints(limit=10, remaining=9))
    assert budget.limit == 10


def test_others_who_use_the_token_are_respected() -> None:
    """The server says that less is left than we think: it wins."""
    budget = TokenBudget(60, per_s=60.0)
    budget.release(budget.acquire(0.0), 0.1, RateHints(remaining=2))
    budget.acquire(0.2)
    budget.acquire(0.2)
    assert budget.left(0.2) == 0
    assert budget.available_at(0.2) > 0.2


def test_retry_after_wins_over_a_reset() -> None:
    """Retry-After says when one request may go, a reset when all are back: one goes after Retry-After."""
    budget = TokenBudget(60, per_s=60.0)
    budget.on_429(budget.acquire(0.0), 1.0, 1.0, RateHints(limit=60, remaining=0, reset_s=300.0))
    assert budget.available_at(1.0) == 2.0
    budget.acquire(2.0)
    assert budget.available_at(2.0) == math.inf
    assert budget.refused == 1


def test_a_refusal_that_says_nothing_remains_is_no_limit_of_one() -> None:
    """The hour's quota is used up by others, and Retry-After is short: the window is not one request an hour."""
    budget = TokenBudget()
    budget.on_429(budget.acquire(0.0), 0.0, 2.0, RateHints(remaining=0, reset_s=3500.0))
    assert budget.available_at(0.0) == 2.0
    budget.release(budget.acquire(2.0), 2.0)
    assert budget.limit is None
    assert budget.available_at(2.0) == 2.0


def test_without_retry_after_the_reset_is_the_pause() -> None:
    """It is the only word there is."""
    budget = TokenBudget(60, per_s=60.0)
    budget.on_429(budget.acquire(0.0), 1.0, None, RateHints(reset_s=20.0))
    assert budget.available_at(1.0) == 21.0


def test_refusals_without_a_wait_are_probed_more_and_more_slowly() -> None:
    """One request at a time. The first probe goes almost at once, and each next one twice as late, up to 10 s."""
    assert _waits(None, None, refusals=10) == [1 / 64, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


@pytest.mark.parametrize("retry_after_s", [None, 0.0])
@pytest.mark.parametrize(
    "hints", [None, RateHints(remaining=59), RateHints(reset_s=0.0), RateHints(limit=60, remaining=59, reset_s=0.0)]
)
def test_no_header_of_a_refusal_makes_the_next_request_sooner(
    retry_after_s: float | None, hints: RateHints | None
) -> None:
    """Our own pause is the floor under zero, past dates and requests that are said to remain."""
    assert all(hinted >= own for hinted, own in zip(_waits(retry_after_s, hints), _waits(None, None), strict=True))


def _waits(retry_after_s: float | None, hints: RateHints | None, refusals: int = 6) -> list[float]:
    """Seconds from each refusal to the next probe."""
    budget = TokenBudget()
    waits, now = [], 0.0
    for _ in range(refusals):
        permit = budget.acquire(now)
        budget.on_429(permit, now, retry_after_s, hints)
        waits.append(budget.available_at(now) - now)
        now = budget.available_at(now)
    return waits


hints_of_any_kind = st.builds(
    RateHints,
    limit=st.none() | st.integers(1, 10**15),
    remaining=st.none() | st.integers(0, 10**15),
    reset_s=st.none() | st.floats(0, 1e14),
    window_s=st.none() | st.floats(1e-9, 1e14),
)


@pytest.mark.parametrize("make", [TokenBudget, lambda **k: TokenBudget.documented(RateLimit(60, per_s=60.0), **k)])
@given(
    lies=st.lists(
        st.tuples(st.sampled_from(["good", "refused", "suspended"]), hints_of_any_kind, st.none() | st.floats(0, 1e14)),
        max_size=6,
    )
)
def test_no_header_delays_a_request_by_more_than_the_longest_hint(
    make: Callable[..., TokenBudget], lies: list[tuple[str, RateHints, float | None]]
) -> None:
    """Whatever a server says: after `longest_hint_s` one request goes."""
    budget, now = make(longest_hint_s=100.0), 0.0
    for kind, hints, wait_s in lies:
        permit = budget.acquire(now)
        if kind == "good":
            budget.release(permit, now + 0.1, hints)
        elif kind == "refused":
            budget.on_429(permit, now + 0.1, wait_s, hints)
        else:
            budget.on_unavailable(permit, now + 0.1, wait_s or 0.0)
        asked = 0
        while (available_at := budget.available_at(now)) > now:
            assert available_at <= now + 100.2
            now, asked = available_at, asked + 1
            assert asked < 10


@pytest.mark.parametrize("wrong", [0, -1, math.inf, math.nan])
def test_the_longest_hint_is_a_positive_number_of_seconds(wrong: float) -> None:
    """Else no pause would end, or none begin."""
    with pytest.raises(ConfigurationError, match="longest_hint_s must be a positive number of seconds"):
        TokenBudget(longest_hint_s=wrong)


def test_after_a_pause_that_was_cut_one_request_goes_first() -> None:
    """The others go when it was answered."""
    budget = TokenBudget(60, per_s=60.0)
    budget.release(budget.acquire(0.0), 0.0, RateHints(limit=60, remaining=0, reset_s=60_000.0))
    assert budget.available_at(0.0) == 3600.0
    probe = budget.acquire(3600.0)
    assert budget.available_at(3600.0) == math.inf
    budget.release(probe, 3600.5)
    assert budget.available_at(3600.5) == 3600.5


def test_a_newer_reply_that_contradicts_a_lie_ends_the_pause() -> None:
    """Not one to a request that was sent before."""
    budget = TokenBudget(60, per_s=60.0)
    older, lying, newer = (budget.acquire(0.0) for _ in range(3))
    budget.release(lying, 0.1, RateHints(remaining=0, reset_s=900.0))
    budget.release(older, 0.2, RateHints(remaining=59))
    assert budget.available_at(0.2) == pytest.approx(900.1)
    budget.release(newer, 0.3, RateHints(remaining=58))
    assert budget.available_at(0.3) == 0.3


def test_a_good_reply_does_not_end_a_pause_that_a_refusal_asked_for() -> None:
    """The ban counts for every request of the token."""
    budget = TokenBudget(60, per_s=60.0)
    refused, newer = budget.acquire(0.0), budget.acquire(0.0)
    budget.on_429(refused, 0.1, 30.0, None)
    budget.release(newer, 0.2, RateHints(remaining=58))
    assert budget.available_at(0.2) == pytest.approx(30.1)


def test_a_refusal_without_headers_does_not_shorten_a_pause_that_the_server_asked_for() -> None:
    """A good reply said that nothing remains for ten seconds, and a request that was on its way was refused."""
    budget = TokenBudget()
    good, refused = budget.acquire(0.0), budget.acquire(0.0)
    budget.release(good, 0.1, RateHints(limit=60, remaining=0, reset_s=10.0))
    budget.on_429(refused, 0.2, None, None)
    assert budget.available_at(0.2) == pytest.approx(10.1)


@pytest.mark.parametrize(
    "lie", [RateHints(limit=1), RateHints(remaining=0), RateHints(limit=10**15), RateHints(remaining=0, reset_s=3000.0)]
)
def test_what_one_reply_alone_has_said_lapses(lie: RateHints) -> None:
    """Three newer replies have no rate headers: what is configured or documented holds again."""
    budget = TokenBudget.documented(RateLimit(60, per_s=60.0))
    permits = [budget.acquire(0.0) for _ in range(5)]
    budget.release(permits[0], 0.1, lie)
    for permit in permits[1:]:
        budget.release(permit, 0.2)
    assert budget.limit == 60
    assert budget.left(0.2) == 55
    assert budget.available_at(0.2) == 0.2


@pytest.mark.parametrize("window_s", [1e-9, 999_999_999.0])
def test_a_window_that_cannot_be_is_not_learnt(window_s: float) -> None:
    """Neither a freeze nor a hot loop."""
    budget = TokenBudget()
    budget.release(budget.acquire(0.0), 0.1, RateHints(limit=60, window_s=window_s))
    assert budget.per_s is None


def test_a_server_out_of_service_stops_every_request_but_one() -> None:
    """A 503 with Retry-After: nothing goes, then one, then the others. It is no refusal."""
    budget = TokenBudget()
    first, second = budget.acquire(0.0), budget.acquire(0.0)
    budget.on_unavailable(first, 1.0, 120.0)
    budget.release(second, 1.5)
    assert budget.available_at(1.5) == 121.0
    probe = budget.acquire(121.0)
    assert budget.available_at(121.0) == math.inf
    budget.on_unavailable(probe, 121.0, 10**9)
    assert budget.available_at(121.0) == 121.0 + 3600.0
    probe = budget.acquire(3721.0)
    budget.release(probe, 3722.0)
    assert budget.available_at(3722.0) == 3722.0
    assert budget.refused == 0
    assert budget.spacing_s == 0.0


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize(("allowed", "guess"), [(100, 60), (60, 60), (30, 60)])
def test_remaining_corrects_a_documented_limit(window: str, allowed: int, guess: int) -> None:
    """An Enterprise token uses its 100 a minute at once, the others theirs."""
    server = Server(allowed, 60.0, window, "remaining")
    budget = TokenBudget.documented(RateLimit(guess, per_s=60.0))
    drive(budget, server, 121.0)
    assert server.accepted >= 0.98 * 2 * allowed
    assert server.refused <= 2
    assert budget.limit == allowed


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("per_s", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("limit", [2, 5, 50])
@pytest.mark.parametrize("stated", [True, False])
def test_a_short_window_is_used_whole_though_its_reset_is_in_whole_seconds(
    window: str, per_s: float, limit: int, *, stated: bool
) -> None:
    """Stated or learnt: at least 95 % of it are used, and 0.5 % refused at most."""
    server = Server(limit, per_s, window, "whole seconds")
    server.stated = stated
    warm, until = 20 * per_s, 420 * per_s
    budget = TokenBudget()
    drive(budget, server, warm, latency=0.01)
    refused = server.refused
    server = Server(limit, per_s, window, "whole seconds")
    server.stated = stated
    drive(TokenBudget() if stated else budget, server, until, latency=0.01, start=warm)
    assert refused <= max(4, 0.02 * limit)
    assert server.refused <= 0.005 * (server.accepted + server.refused) + 1
    assert server.accepted >= 0.95 * limit * 400


def test_requests_in_flight_count() -> None:
    """With everything in flight only a reply can free a place."""
    budget = TokenBudget(2, per_s=10)
    permit = budget.acquire(0.0)
    budget.acquire(0.0)
    assert budget.available_at(0.0) == math.inf
    budget.release(permit, 3.0)
    assert budget.available_at(3.0) == 13.0


def test_under_pressure_requests_are_spread() -> None:
    """What was saved up goes at once; from then on they come evenly, not in a burst a window."""
    budget = TokenBudget(60, per_s=60.0)
    now = 0.0
    sent = []
    while len(sent) < 200:
        available_at = budget.available_at(now, waiting=10**9)
        if available_at > now:
            now = available_at
            continue
        budget.release(budget.acquire(now), now)
        sent.append(now)
    assert sent[:60] == [0.0] * 60
    assert sent[60] == 60.0
    assert all(later - earlier == pytest.approx(1.0) for earlier, later in pairwise(sent[60:]))


def test_no_more_wait_than_may_go_is_no_pressure() -> None:
    """One request is left in the window and one watch waits, as without a word on how many wait."""
    budget = spent(2, limit=2, per_s=10.0)
    assert budget.available_at(0.0) == 10.0
    budget.acquire(10.0)
    assert budget.available_at(10.0) == budget.available_at(10.0, waiting=1) == 10.0
    assert budget.available_at(10.0, waiting=2) == 15.0


def spent(count: int, *, limit: int | None = 60, per_s: float | None = 60.0) -> TokenBudget:
    """A budget of which so many were used at the time 0."""
    budget = TokenBudget(limit, per_s=per_s)
    for _ in range(count):
        budget.release(budget.acquire(0.0), 0.0)
    return budget


def test_what_is_left_is_rationed() -> None:
    """Waits that grow by a half each, as many as there are requests left for each, last until the first is free again."""
    wait = spent(20).ration_s(0.0, 10)
    assert sum(wait * 1.5**n for n in range(4)) == pytest.approx(60)
    assert spent(0).ration_s(0.0, 30) == pytest.approx(60 / (1 + 1.5))
    assert spent(50).ration_s(55.0, 10) == pytest.approx(5.0)  # the fifty come back after five seconds


def test_no_ration_is_less_than_an_even_rate() -> None:
    """At one in as many seconds as there are watches a budget of one a second lasts for ever."""
    assert spent(59).ration_s(0.0, 30) == 30.0
    assert spent(60).ration_s(0.0, 30) == 30.0
    assert spent(60).ration_s(60.0, 30) < 30.0  # all are free again
    assert spent(60, per_s=120.0).ration_s(0.0, 30) == 60.0


@pytest.mark.parametrize("budget", [spent(3), spent(40, limit=10_000), spent(9, limit=None), spent(9, per_s=None)])
def test_plenty_and_the_unknown_are_not_rationed(budget: TokenBudget) -> None:
    """Where more than twenty requests are left for each watch, or it is not known how many, each may ask at once."""
    assert budget.ration_s(0.0, 2) == 0.0


@pytest.mark.parametrize(("requests", "rationed"), [(19, False), (20, True)])
def test_twenty_requests_for_each_watch_are_not_plenty(requests: int, *, rationed: bool) -> None:
    """Forty are left for two, or forty-one."""
    assert (spent(requests).ration_s(0.0, 2) > 0.0) is rationed


def test_more_watches_than_requests_are_not_rationed() -> None:
    """Some of them get no permit in any case, and the ready queue decides which."""
    assert spent(60).ration_s(0.0, 61) == 0.0
    assert spent(60).ration_s(0.0, 60) == 60.0


def test_what_the_server_leaves_is_rationed() -> None:
    """Others have used the token: two of sixty are left, says the server, for the four of us."""
    budget = TokenBudget(60, per_s=60.0)
    budget.release(budget.acquire(0.0), 0.0, RateHints(remaining=2))
    assert budget.ration_s(0.0, 4) == pytest.approx(4.0)


def test_those_in_flight_are_rationed_too() -> None:
    """They will want to be asked again as soon as they are answered."""
    budget = TokenBudget(60, per_s=60.0)
    permits = [budget.acquire(0.0) for _ in range(20)]
    budget.release(permits.pop(), 0.0)
    assert budget.ration_s(0.0, 1) == pytest.approx(TokenBudget.ration_s(_after(20), 0.0, 20))


def _after(requests: int) -> TokenBudget:
    budget = TokenBudget(60, per_s=60.0)
    for _ in range(requests):
        budget.release(budget.acquire(0.0), 0.0)
    return budget


@pytest.mark.parametrize(("limit", "per_s"), [(0, 1), (1, 0), (5, float("inf")), (5, -1)])
def test_an_impossible_budget_is_refused(limit: int, per_s: float) -> None:
    """At least one request in a positive, finite time."""
    with pytest.raises(ConfigurationError, match="at least 1 request"):
        TokenBudget(limit, per_s=per_s)


def test_a_pause_that_the_server_asks_for_is_stated() -> None:
    """It counts down, and is over while a probe is under way."""
    budget = TokenBudget(60, per_s=60.0)
    assert budget.pause_s(0.0) == 0.0
    budget.on_429(budget.acquire(0.0), 1.0, 30.0, None)
    assert budget.pause_s(1.0) == pytest.approx(30.0, abs=1.0)
    assert budget.pause_s(11.0) == pytest.approx(20.0, abs=1.0)
    assert budget.pause_s(40.0) == 0.0
    budget.acquire(40.0)
    assert budget.pause_s(41.0) == 0.0
