"""The rate that a server does not state: a spurious refusal costs little, a real limit is found and kept."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pollwise import JobWatcher, Pacing, Succeeded
from pollwise.core.rate_limiter import Limiter
from pollwise.core.token_budget import TokenBudget
from pollwise.model.messages import Request
from pollwise.testing import ScriptedTransport, controlled, run
from rate_servers import Server, drive
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob

JOBS = 1_000
Refuses = Callable[[int, str], bool]
"""Whether the request with this number, for this URL, is refused."""


def each_once(refused: set[int]) -> Refuses:
    """Each of these jobs is refused once."""
    left = {f"/{n}" for n in refused}

    def refuses(_number: int, url: str) -> bool:
        path = url[url.rindex("/") :]
        if path in left:
            left.remove(path)
            return True
        return False

    return refuses


def each_nth(n: int, count: int) -> Refuses:
    """Each n-th request is refused, until so many were."""
    return lambda number, _url: number % n == 0 and number <= n * count


def scattered(count: int) -> Refuses:
    """So many of the first thousand requests are refused."""
    numbers = set(random.Random(7).sample(range(1, JOBS + 1), count))
    return lambda number, _url: number in numbers


def seconds(refuses: Refuses) -> float:
    """How long a thousand jobs take that are over at their third poll and are asked each second. None is abandoned."""
    polls: dict[str, int] = {}
    sent = 0

    def answer(request: Request) -> object:
        nonlocal sent
        sent += 1
        url = str(request.url)
        if refuses(sent, url):
            return 429
        polls[url] = polls.get(url, 0) + 1
        return SUCCEEDED if polls[url] == 3 else RUNNING

    transport = ScriptedTransport(answer)  # type: ignore[arg-type]

    async def main() -> None:
        made = JobWatcher(ToyEndpoint(), timeout_s=3600, transport=transport, pacing=Pacing.fixed(1.0))
        async with controlled(made, dice=lambda: 0.5) as watcher:
            outcomes = await watcher.gather([ToyJob(str(n)) for n in range(JOBS)])
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)

    run(main())
    return transport.times[-1] - transport.times[0]


@pytest.mark.parametrize("refuses", [each_once({0}), each_once({3}), each_once({500}), each_nth(100, 1), scattered(1)])
def test_one_spurious_refusal_costs_next_to_nothing(refuses: Refuses) -> None:
    """It takes 2 s without it. The refused watch waits for half a second, as `Retry` says; nothing else waits longer."""
    assert seconds(refuses) <= 1.2 * 2.0 + 0.5


@pytest.mark.parametrize("count", [10, 64, 300])
@pytest.mark.parametrize("kind", [scattered, lambda count: each_nth(2, count), lambda count: each_nth(3, count)])
def test_scattered_spurious_refusals_cost_little(count: int, kind: Callable[[int], Refuses]) -> None:
    """At most three times as long, and nothing is abandoned."""
    assert seconds(kind(count)) <= 3 * 2.0


@pytest.mark.parametrize(("count", "pauses_s"), [(10, 2.0), (64, 5.0), (300, 9.0)])
def test_refusals_of_the_first_in_line_cost_their_pauses(count: int, pauses_s: float) -> None:
    """Each new job is refused once, so most probes are: each of their pauses is short."""
    assert seconds(each_once(set(range(count)))) <= 3 * 2.0 + pauses_s


@pytest.mark.parametrize("number", [1, 100, 2_000])
def test_nothing_is_abandoned_by_refusals_in_a_row(number: int) -> None:
    """Sixty-four requests in a row are refused, whichever they are."""
    assert seconds(lambda sent, _url: number <= sent < number + 64) < 600


@pytest.mark.parametrize("window", ["fixed", "aligned", "sliding", "bucket", "small bucket"])
@pytest.mark.parametrize(("limit", "per_s"), [(2, 1.0), (5, 1.0), (50, 1.0), (60, 60.0), (100, 10.0)])
@pytest.mark.parametrize("flights", [4, 64])
def test_an_unstated_limit_is_found_and_kept(window: str, limit: int, per_s: float, flights: int) -> None:
    """Once settled at least 95 % of it are used, and at most 0.5 % of the requests are refused."""
    burst = max(1, limit // 10) if window == "small bucket" else limit
    server = Server(limit, per_s, window.rpartition(" ")[2], burst=burst)
    budget = TokenBudget()
    warm_s = max(60.0, 10 * per_s)
    drive(budget, server, warm_s, flights=flights)
    accepted, refused = server.accepted, server.refused
    seconds_s = max(600.0, 30 * per_s)
    drive(budget, server, warm_s + seconds_s, flights=flights, start=warm_s)
    accepted, refused = server.accepted - accepted, server.refused - refused
    assert accepted >= 0.95 * limit * seconds_s / per_s
    assert refused <= 0.005 * (accepted + refused) + 1


def test_a_limit_that_is_lifted_is_forgotten() -> None:
    """After long success the rate is probed upwards, and in the end there is none."""
    server = Server(10, 1.0, "sliding")
    budget = TokenBudget()
    drive(budget, server, 60.0)
    assert budget.spacing_s == pytest.approx(0.1, rel=0.1)
    server.limit = 10**9
    drive(budget, server, 700.0, start=60.0, flights=8)
    assert budget.spacing_s == 0.0


def test_a_lower_limit_is_found_again() -> None:
    """Others use the token, too, from now on."""
    server = Server(50, 1.0, "sliding")
    budget = TokenBudget()
    drive(budget, server, 120.0)
    server.limit = 5
    drive(budget, server, 240.0, start=120.0)
    asked, refused = server.accepted + server.refused, server.refused
    drive(budget, server, 840.0, start=240.0)
    assert server.accepted + refused - asked >= 0.9 * 5 * 600 - refused
    assert server.refused - refused <= 0.01 * 5 * 600


def test_few_requests_prove_no_higher_rate() -> None:
    """While less is wanted than the rate allows, the rate stays."""
    limiter = Limiter()
    now = 0.0
    for _ in range(5):
        for _ in range(20):
            limiter.on_reply(now)
            now += 0.05
        limiter.on_refusal(now)
        now += 1.0
        limiter.on_recovery(now, probes=0, contradicted=False)
    rate = limiter.rate
    assert rate == pytest.approx(10, rel=0.1)
    for _ in range(1_000):
        now += 1.0
        limiter.acquire(now)
        limiter.on_reply(now)
    assert limiter.rate == rate


def test_a_bare_refusal_counts_for_a_configured_budget_too() -> None:
    """Others use up half of the token: the rest is found, and the configured limit never exceeded."""
    server = Server(30, 60.0, "sliding")
    budget = TokenBudget(60, per_s=60.0)
    drive(budget, server, 1_200.0)
    refused = server.refused
    drive(budget, server, 4_800.0, start=1_200.0)
    assert server.refused - refused <= 0.01 * 1_800
    assert budget.limit == 60
