"""The rate ledger: never more than the limit in any window, all of it used, and learnt without a storm of refusals."""

from __future__ import annotations

import heapq
import math
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.budget import Lane, RateBudget
from pollwise.core.hints import RateHints
from pollwise.errors import ConfigurationError


class Server:
    """A rate limiter as vendors build them, told the times."""

    def __init__(self, limit: int, per_s: float, window: str, told: str) -> None:
        self.limit, self.per_s, self.window, self.told = limit, per_s, window, told
        self.begun = -math.inf
        self.count = 0
        self.log: deque[float] = deque()
        self.accepted = self.refused = 0

    def ask(self, now: float) -> tuple[bool, RateHints | None]:
        if self.window == "fixed":
            if now >= self.begun + self.per_s:
                self.begun, self.count = now, 0
            good, resets = self.count < self.limit, self.begun + self.per_s - now
            self.count += good
            left = self.limit - self.count
        else:
            while self.log and self.log[0] <= now - self.per_s:
                self.log.popleft()
            good = len(self.log) < self.limit
            if good:
                self.log.append(now)
            left, resets = self.limit - len(self.log), self.log[0] + self.per_s - now
        self.accepted += good
        self.refused += not good
        if self.told == "nothing":
            return good, None
        if self.told == "remaining" and good:
            return good, RateHints(remaining=left)
        return good, RateHints(limit=self.limit, remaining=left, reset_s=resets)


def drive(budget: RateBudget, server: Server, until: float, latency: float = 0.05, flights: int = 16) -> None:
    """Somebody is always waiting; each request reaches the server half-way."""
    now = 0.0
    coming: list[tuple[float, int, int]] = []
    arrivals: dict[int, tuple[bool, RateHints | None]] = {}
    while now < until:
        free_at = budget.free_at(now, waiting=10**9)
        if free_at <= now and len([entry for entry in coming if entry[1] == 1]) < flights:
            serial = budget.take(now)
            heapq.heappush(coming, (now + latency / 2, 0, serial))
            heapq.heappush(coming, (now + latency, 1, serial))
            continue
        wake = max(free_at, math.nextafter(now, math.inf)) if free_at > now else math.inf
        if coming and coming[0][0] <= wake:
            now, kind, serial = heapq.heappop(coming)
            if kind == 0:
                arrivals[serial] = server.ask(now)
            else:
                good, hints = arrivals.pop(serial)
                if good:
                    budget.settle(serial, now, hints)
                else:
                    budget.refuse(serial, now, None, hints)
        else:
            now = wake


@given(st.integers(1, 8), st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(limit: int, steps: list[tuple[float, float]]) -> None:
    """In any span of per_s seconds, counted from whenever the server may have counted, at most `limit` go."""
    budget = RateBudget(limit, per_s=5.0)
    now, sent = 0.0, []
    for wait, latency in steps:
        now += wait
        if budget.free_at(now) <= now:
            serial = budget.take(now)
            sent.append((now, now + latency))
            now += latency
            budget.settle(serial, now)
    for counted in (0, 1):  # the server may count at the sending or at the answering
        stamps = [pair[counted] for pair in sent]
        for start in stamps:
            assert sum(start <= stamp < start + 5.0 for stamp in stamps) <= limit


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("told", ["everything", "remaining", "nothing"])
def test_a_known_budget_is_spent_whole_and_never_refused(window: str, told: str) -> None:
    """Whatever the server's kind of window, and whatever it tells."""
    server = Server(60, 60.0, window, told)
    drive(RateBudget(60, per_s=60.0), server, 3600.0)
    assert server.refused == 0
    assert server.accepted >= 0.97 * 3600


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("told", ["everything", "remaining"])
@pytest.mark.parametrize("flights", [1, 16])
def test_an_unknown_budget_is_learnt_at_the_price_of_a_few_refusals(window: str, told: str, flights: int) -> None:
    """From `Remaining` as it falls and refills, and from what one refusal tells."""
    server = Server(60, 60.0, window, told)
    budget = RateBudget()
    drive(budget, server, 3600.0, flights=flights)
    assert server.refused <= 0.005 * (server.accepted + server.refused)
    assert server.accepted >= 0.97 * 3600
    assert budget.limit == 60


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("told", ["everything", "remaining"])
def test_a_first_burst_is_no_burst_of_refusals(window: str, told: str) -> None:
    """Sixty-four may be in flight and sixty are allowed: the first replies say so before the last is sent."""
    server = Server(60, 60.0, window, told)
    drive(RateBudget(), server, 59.0, flights=64)
    assert server.accepted == 60
    assert server.refused <= 1


@pytest.mark.parametrize("latency", [0.01, 0.1, 2.0])
def test_without_a_limit_the_start_is_slow_for_a_moment_only(latency: float) -> None:
    """After the second round of replies all connections are busy, and they stay so."""
    server = Server(10**9, 1.0, "sliding", "nothing")
    drive(RateBudget(), server, 40 * latency, latency=latency, flights=64)
    assert server.refused == 0
    assert server.accepted >= 64 * 37


def test_a_first_request_that_hangs_does_not_hold_up_the_others() -> None:
    """With no reply at all more and more are let go as time passes."""
    budget = RateBudget()
    taken, now = 0, 0.0
    while now < 1.1:
        free_at = budget.free_at(now)
        if free_at <= now:
            budget.take(now)
            taken += 1
        else:
            assert free_at < now + 0.1
            now = free_at
    assert 64 <= taken <= 100


def test_a_budget_that_was_told_does_not_start_slowly() -> None:
    """Nor does one that a vendor documents."""
    for budget in (RateBudget(50, per_s=1.0), RateBudget.guessed(50, per_s=1.0)):
        for _ in range(50):
            assert budget.free_at(0.0) == 0.0
            budget.take(0.0)


def test_a_documented_budget_gives_way_to_the_servers_word() -> None:
    """A plan that allows more than the guess is used; one that allows less is respected."""
    budget = RateBudget.guessed(60, per_s=60.0)
    budget.settle(budget.take(0.0), 0.0, RateHints(limit=100, remaining=99))
    assert budget.limit == 100
    budget = RateBudget(60, per_s=60.0)
    budget.settle(budget.take(0.0), 0.0, RateHints(limit=100, remaining=99))
    assert budget.limit == 60
    budget.settle(budget.take(0.0), 0.0, RateHints(limit=10, remaining=9))
    assert budget.limit == 10


def test_others_who_use_the_token_are_respected() -> None:
    """The server says that less is left than we think: it wins."""
    budget = RateBudget(60, per_s=60.0)
    budget.settle(budget.take(0.0), 0.1, RateHints(remaining=2))
    budget.take(0.2)
    budget.take(0.2)
    assert budget.left(0.2) == 0
    assert budget.free_at(0.2) > 0.2


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    """After a 429 nothing goes before Retry-After or Reset, whichever is later."""
    budget = RateBudget(60, per_s=60.0)
    budget.refuse(budget.take(0.0), 1.0, 10.0, RateHints(reset_s=20.0))
    assert budget.free_at(1.0) == 21.0
    assert budget.refused == 1


def test_refusals_without_a_word_are_probed_more_and_more_slowly() -> None:
    """One request at a time, each twice as late."""
    budget = RateBudget()
    waits, now = [], 0.0
    for _ in range(5):
        serial = budget.take(now)
        assert budget.free_at(now) > now or budget.limit is None
        budget.refuse(serial, now, None, None)
        waits.append(budget.free_at(now) - now)
        now = budget.free_at(now)
    assert waits == [1.0, 1.5, 2.25, 3.375, 5.0625]


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize(("limit", "per_s"), [(60, 60.0), (100, 10.0), (50, 1.0)])
def test_a_server_that_tells_nothing_is_found_out_by_trying(window: str, limit: int, per_s: float) -> None:
    """Refusals stay few and most of the rate is used, though nobody ever says what it is."""
    server = Server(limit, per_s, window, "nothing")
    drive(RateBudget(), server, 40 * per_s + 120, flights=4)
    asked = server.accepted + server.refused
    assert server.refused <= 0.03 * asked
    assert server.accepted >= 0.5 * limit * (40 * per_s + 120) / per_s


def test_requests_in_flight_count() -> None:
    """With everything in flight only a reply can free a place."""
    budget = RateBudget(2, per_s=10)
    serial = budget.take(0.0)
    budget.take(0.0)
    assert budget.free_at(0.0) == math.inf
    budget.settle(serial, 3.0)
    assert budget.free_at(3.0) == 13.0


def test_under_pressure_requests_are_spread() -> None:
    """What was saved up goes at once; from then on they come evenly, not in a burst a window."""
    budget = RateBudget(60, per_s=60.0)
    now = 0.0
    sent = []
    while len(sent) < 200:
        free_at = budget.free_at(now, waiting=10**9)
        if free_at > now:
            now = free_at
            continue
        budget.settle(budget.take(now), now)
        sent.append(now)
    assert sent[:60] == [0.0] * 60
    assert sent[60] == 60.0
    assert all(later - earlier == pytest.approx(1.0) for earlier, later in pairwise(sent[60:]))


def spent(count: int, *, limit: int | None = 60, per_s: float | None = 60.0) -> RateBudget:
    """A budget of which so many were used at the time 0."""
    budget = RateBudget(limit, per_s=per_s)
    for _ in range(count):
        budget.settle(budget.take(0.0), 0.0)
    return budget


def test_what_is_left_is_rationed() -> None:
    """Waits that grow by a half each, as many as there are requests left for each, last until the first is free again."""
    wait = spent(20).ration_s(0.0, 10)
    assert sum(wait * 1.5**n for n in range(4)) == pytest.approx(60)
    assert spent(50).ration_s(55.0, 10) == pytest.approx(5.0)  # the fifty come back after five seconds


def test_nobody_is_rationed_to_less_than_an_even_rate() -> None:
    """At one in as many seconds as there are watches a budget of one a second lasts for ever."""
    assert spent(59).ration_s(0.0, 30) == 30.0
    assert spent(60).ration_s(0.0, 30) == 30.0
    assert spent(60).ration_s(60.0, 30) < 30.0  # all are free again


@pytest.mark.parametrize("budget", [spent(3), spent(40, limit=10_000), spent(9, limit=None), spent(9, per_s=None)])
def test_plenty_and_the_unknown_are_not_rationed(budget: RateBudget) -> None:
    """Where twenty requests are left for each, or nobody knows how many, everybody may ask at once."""
    assert budget.ration_s(0.0, 2) == 0.0


def test_more_watches_than_requests_are_not_rationed() -> None:
    """Some of them are held back whatever the others do, and whom is the agenda's to say."""
    assert spent(60).ration_s(0.0, 61) == 0.0


def test_what_the_server_leaves_is_rationed() -> None:
    """Others have used the token: two of sixty are left, says the server, for the four of us."""
    budget = RateBudget(60, per_s=60.0)
    budget.settle(budget.take(0.0), 0.0, RateHints(remaining=2))
    assert budget.ration_s(0.0, 4) == pytest.approx(4.0)


def test_watchers_that_share_a_budget_take_turns() -> None:
    """One with a thousand jobs waiting does not starve one with three."""
    budget = RateBudget(10, per_s=10.0)
    lanes: dict[Lane, int] = {budget.lane(): 0, budget.lane(): 0}
    now = 0.0
    while now < 300:
        wakes = []
        for lane in lanes:
            while (free_at := lane.free_at(now, waiting=10**9)) <= now:
                budget.settle(lane.take(now), now)
                lanes[lane] += 1
            wakes.append(free_at)
        now = min(wakes)
    greedy, other = lanes.values()
    assert abs(greedy - other) <= 0.1 * (greedy + other)
    assert greedy + other >= 0.97 * 300


def test_a_lane_whose_watcher_is_gone_holds_nobody_up() -> None:
    """A turn that is not taken lapses."""
    budget = RateBudget(1, per_s=1.0)
    gone, here = budget.lane(), budget.lane()
    budget.settle(here.take(0.0), 0.0)
    gone.free_at(0.5)
    now, sent = 0.5, 0
    while now < 20:
        free_at = here.free_at(now)
        if free_at <= now:
            budget.settle(here.take(now), now)
            sent += 1
        else:
            now = free_at
    assert sent >= 18


def test_a_lane_that_waited_for_a_reply_does_not_keep_its_turn_for_ever() -> None:
    """It was told that only a reply can help, and never came back: its turn lapses as any other does."""
    budget = RateBudget(1, per_s=1.0)
    gone, here = budget.lane(), budget.lane()
    ticket = here.take(0.0)
    assert gone.free_at(0.0) == math.inf
    budget.settle(ticket, 0.5)
    assert any(here.free_at(1.5 + n / 16) <= 1.5 + n / 16 for n in range(16))


def test_a_lane_that_is_left_is_nobodys_turn() -> None:
    """Those who are still here need not wait for it at all."""
    budget = RateBudget(1, per_s=1.0)
    gone, here = budget.lane(), budget.lane()
    budget.settle(here.take(0.0), 0.0)
    gone.size = 7
    assert gone.free_at(0.5) == here.free_at(0.5) == 1.0
    assert here.free_at(1.0) > 1.0  # it has had a turn, and the other one has not
    gone.leave()
    assert here.others == 0
    assert here.free_at(1.0) == 1.0


def test_those_in_flight_are_rationed_too() -> None:
    """They will want to be asked again as soon as they are answered."""
    budget = RateBudget(60, per_s=60.0)
    tickets = [budget.take(0.0) for _ in range(20)]
    budget.settle(tickets.pop(), 0.0)
    assert budget.ration_s(0.0, 1) == pytest.approx(RateBudget.ration_s(_after(20), 0.0, 20))


def _after(requests: int) -> RateBudget:
    budget = RateBudget(60, per_s=60.0)
    for _ in range(requests):
        budget.settle(budget.take(0.0), 0.0)
    return budget


@pytest.mark.parametrize(("limit", "per_s"), [(0, 1), (1, 0), (5, float("inf")), (5, -1)])
def test_an_impossible_budget_is_refused(limit: int, per_s: float) -> None:
    """At least one request in a positive, finite time."""
    with pytest.raises(ConfigurationError, match="at least 1 request"):
        RateBudget(limit, per_s=per_s)
