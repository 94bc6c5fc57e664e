"""A server that fails for every watch is asked by one request at a time, and all watches go on when it is back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import JobWatcher, Pacing, RateBudget, Request, Retry
from pollwise.core import host_health
from pollwise.errors import (
    CertificateRejected,
    ConnectFailed,
    DeadlineExceeded,
    PollError,
    ProxyFailed,
    RetriesExhausted,
    SetupError,
    UnknownHost,
)
from pollwise.model.events import Retrying
from pollwise.testing import Answer, ScriptedTransport, Slow, controlled
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob

REFUSED = ConnectFailed("cannot connect to toy.example:443: Connection refused")
SET_UP = [
    CertificateRejected("certificate has expired", 10),
    UnknownHost("cannot connect to toy.example:443: Name or service not known", "toy.example"),
    ProxyFailed("the proxy answered with HTTP 407", 407),
]
UP_S, LATENCY_S = 55.0, 0.02
PACING = Pacing(min_s=20.0, max_s=20.0, jitter=1.0, adaptive=False)  # spreads the polls over the time


@attrs.define
class Server:
    """Runs for `UP_S`, is down for `down_s`, and is back then. Counts the requests while it is down."""

    down_s: float
    answer: Callable[[float], Answer] = lambda _down_s: REFUSED
    healthy: Callable[[Request], Answer] = lambda _request: Slow(RUNNING, LATENCY_S)
    up_s: float = UP_S
    began: float = 0.0
    asked: int = 0
    back: dict[str, float] = attrs.field(factory=dict)  # seconds after its return, by job
    paths: list[str] = attrs.field(factory=list)

    def __call__(self, request: Request) -> Answer:
        down_s = self.now - self.up_s
        if 0.0 <= down_s < self.down_s:
            self.asked += 1
            self.paths.append(request.url.path)
            return self.answer(down_s)
        if down_s > 0.0:
            self.back.setdefault(request.url.path, down_s - self.down_s)
        return self.healthy(request)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    def watcher(self, **options: Any) -> JobWatcher[ToyJob, Any]:
        self.began = asyncio.get_running_loop().time()
        options = {"timeout_s": None, "pacing": PACING, "transport": ScriptedTransport(self), **options}
        return controlled(JobWatcher(ToyEndpoint(), **options), dice=random.Random(1).random)


def jobs(count: int) -> list[ToyJob]:
    return [ToyJob(str(n)) for n in range(count)]


@pytest.mark.looptime
async def test_a_thousand_watches_ask_a_dead_server_forty_times_in_two_minutes() -> None:
    """All of them go on within five seconds of its return, and none is abandoned."""
    server = Server(120.0)
    async with server.watcher(pacing=Pacing(min_s=40.0, max_s=40.0, jitter=1.0, adaptive=False)) as watcher:
        watches = [watcher.watch(job) for job in jobs(1_000)]
        await asyncio.sleep(UP_S + 60.0)
        (outage,) = watcher.hosts_down
        assert outage.origin == "https://toy.example"
        assert outage.waiting > 800
        assert 59.0 < outage.down_s <= 60.0
        await asyncio.sleep(60.0 + 5.0)
        assert server.asked <= 40
        assert len(server.back) == 1_000
        assert watcher.hosts_down == ()
        assert not any(watch.outcome for watch in watches)


@pytest.mark.looptime
async def test_a_server_that_is_down_at_first_is_asked_no_oftener() -> None:
    """Watches that begin in an outage behave like those that run."""
    server = Server(120.0, lambda _: 503, up_s=0.0)
    async with server.watcher() as watcher:
        for job in jobs(120):
            watcher.watch(job)
        await asyncio.sleep(125.0)
    assert server.asked <= 40
    assert len(server.back) == 120


@pytest.mark.looptime
async def test_a_server_that_is_back_is_not_flooded() -> None:
    """Few watches go at first, and more with each answer; the concurrency limit holds."""
    in_flight, most, early = 0, 0, 0

    class Counting(ScriptedTransport):
        async def send(self, request: Request, /) -> Any:
            nonlocal in_flight, most, early
            in_flight += 1
            try:
                return await super().send(request)
            finally:
                back = server.now - server.up_s - server.down_s
                most = max(most, in_flight) if back > 0.0 else 0
                early = max(early, in_flight) if len(server.back) <= 2 and back > 0.0 else early
                in_flight -= 1

    server = Server(60.0, up_s=0.0)
    async with server.watcher(transport=Counting(server)) as watcher:
        for job in jobs(120):
            watcher.watch(job)
        await asyncio.sleep(66.0)
    assert len(server.back) == 120
    assert early <= 2
    assert 16 <= most <= 64


@pytest.mark.looptime
async def test_every_watch_reports_the_failures() -> None:
    """Also one that was not asked: it has the error of the probe, and no poll of its own is counted."""
    server = Server(120.0)
    async with server.watcher() as watcher:
        watches = [watcher.watch(job) for job in jobs(50)]
        await asyncio.sleep(UP_S + 100.0)
        retries = [watch.last for watch in watches]
    assert all(isinstance(event, Retrying) and event.error == REFUSED for event in retries)
    assert max(event.failures for event in retries if isinstance(event, Retrying)) > 3
    assert max(event.polls for event in retries if isinstance(event, Retrying)) < 20
    assert server.asked < 40


@pytest.mark.looptime
@pytest.mark.parametrize(
    "retry", [Retry(outage_s=60.0), Retry(outage_s=60.0, base_s=0.25, max_s=0.25)], ids=["usual", "impatient"]
)
async def test_a_watch_is_abandoned_when_its_own_outage_has_lasted_long_enough(retry: Retry) -> None:
    """Neither earlier nor later, counted from when it was due first; also if it was never asked."""
    server = Server(300.0)
    async with server.watcher(retry=retry) as watcher:
        watches = [watcher.watch(job) for job in jobs(50)]
        outcomes = await watcher.gather([watch.job for watch in watches])
    for outcome in outcomes:
        assert isinstance(outcome.error, RetriesExhausted)
        assert outcome.error.outage_s == pytest.approx(60.0, abs=0.2)
        assert UP_S + 60.0 <= outcome.elapsed_s <= UP_S + 60.0 + 40.5
    assert server.asked < 80


@pytest.mark.looptime
@pytest.mark.parametrize("error", SET_UP, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("latency_s", [0.0, 0.3])
async def test_a_wrong_set_up_ends_many_watches_within_seconds(error: PollError, latency_s: float) -> None:
    """Also those that were never asked, because the host was down for all of them."""
    server = Server(300.0, lambda _: Slow(error, latency_s), up_s=0.0)
    async with server.watcher() as watcher:
        outcomes = await watcher.gather(jobs(50))
    for outcome in outcomes:
        assert isinstance(outcome.error, SetupError)
        assert outcome.error.last_error == error
        assert outcome.elapsed_s < 4.0
    assert min(outcome.polls for outcome in outcomes) == 0
    assert server.asked < 20


@pytest.mark.looptime
@pytest.mark.parametrize("error", SET_UP, ids=lambda error: type(error).__name__)
async def test_a_set_up_that_has_worked_is_waited_for_by_many_watches(error: PollError) -> None:
    """A certificate that has expired is an outage of the host like any other, and all watches go on after it."""
    server = Server(60.0, lambda _: error)
    async with server.watcher() as watcher:
        watches = [watcher.watch(job) for job in jobs(50)]
        await asyncio.sleep(UP_S + 55.0)
        assert [outage.error for outage in watcher.hosts_down] == [error]
        await asyncio.sleep(10.0)
        assert len(server.back) == 50
        assert not any(watch.outcome for watch in watches)


@pytest.mark.looptime
async def test_a_proxy_that_wants_credentials_is_an_outage_of_the_host() -> None:
    """With plain http its 407 comes like a reply of the server, and is none."""
    server = Server(60.0, lambda _: 407)
    async with server.watcher() as watcher:
        watches = [watcher.watch(job) for job in jobs(50)]
        await asyncio.sleep(UP_S + 55.0)
        (outage,) = watcher.hosts_down
        assert isinstance(outage.error, ProxyFailed)
        await asyncio.sleep(10.0)
        assert not any(watch.outcome for watch in watches)
    assert server.asked <= 30
    assert len(server.back) == 50


@pytest.mark.looptime
async def test_the_fewest_failures_are_counted_in_probes() -> None:
    """`min_failures` neither ends a watch that was not asked, nor keeps it for ever."""
    server = Server(300.0)
    retry = Retry(outage_s=2.0, min_failures=12, base_s=0.25, max_s=0.25)
    async with server.watcher(retry=retry) as watcher:
        outcomes = await watcher.gather(jobs(50))
    for outcome in outcomes:
        assert isinstance(outcome.error, RetriesExhausted)
        assert outcome.error.failures >= 12
        assert 20.0 < outcome.elapsed_s - UP_S < 90.0
    assert Counter(server.paths).most_common(1)[0][1] < 30


@pytest.mark.looptime
async def test_an_outage_before_an_answer_does_not_count_for_a_watch_that_was_not_asked() -> None:
    """The server answers for ten seconds after each half a minute, so no watch has met 45 s of failures."""
    server = Server(300.0, lambda down_s: Slow(RUNNING, LATENCY_S) if down_s % 40.0 > 30.0 else REFUSED)
    async with server.watcher(retry=Retry(outage_s=45.0)) as watcher:
        watches = [watcher.watch(job) for job in jobs(40)]
        await asyncio.sleep(UP_S + 125.0)
        assert not any(watch.outcome for watch in watches)


@pytest.mark.looptime
async def test_deadlines_win() -> None:
    """During an outage each watch ends at its deadline, after a last probe that counts for all of them."""
    server = Server(300.0)
    async with server.watcher(timeout_s=UP_S + 30.0) as watcher:
        outcomes = await watcher.gather(jobs(50))
    assert all(isinstance(outcome.error, DeadlineExceeded) for outcome in outcomes)
    assert all(outcome.elapsed_s == pytest.approx(UP_S + 30.0, abs=0.1) for outcome in outcomes)
    assert server.asked < 25


@pytest.mark.looptime
async def test_a_watch_is_polled_once_more_before_its_deadline_if_the_server_is_back() -> None:
    """The job that ended in the outage is reported as such, though the next probe would have come too late."""
    server = Server(298.5, healthy=lambda _: SUCCEEDED if server.now > 70.0 else RUNNING)
    async with server.watcher(timeout_s=UP_S + 300.0, retry=Retry(outage_s=None)) as watcher:
        outcomes = await watcher.gather(jobs(20))
    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Succeeded": 20}


@pytest.mark.looptime
async def test_a_job_that_fails_alone_is_asked_at_its_own_pace() -> None:
    """A gateway that cannot reach the job of one watch, or of two, says nothing about the others."""

    def healthy(request: Request) -> Answer:
        return 504 if request.url.path in {"/0", "/1"} else Slow(RUNNING, LATENCY_S)

    server = Server(0.0, healthy=healthy)
    async with server.watcher(pacing=Pacing.fixed(5.0), retry=Retry(outage_s=60.0)) as watcher:
        watches = [watcher.watch(job) for job in jobs(20)]
        await asyncio.sleep(120.0)
        assert watcher.hosts_down == ()
        assert [type(watch.outcome).__name__ for watch in watches] == ["Abandoned"] * 2 + ["NoneType"] * 18


@pytest.mark.looptime
async def test_a_server_that_fails_half_of_its_requests_is_not_down() -> None:
    """Nearly as many polls are answered as if hosts were not watched, and no watch is abandoned."""
    dice, good = random.Random(2), 0

    def healthy(_request: Request) -> Answer:
        nonlocal good
        if dice.random() < 0.5:
            return Slow(502, LATENCY_S)
        good += 1
        return Slow(RUNNING, LATENCY_S)

    server = Server(0.0, healthy=healthy)
    async with server.watcher(pacing=Pacing.fixed(10.0)) as watcher:
        watches = [watcher.watch(job) for job in jobs(40)]
        await asyncio.sleep(80.0)
        assert not any(watch.outcome for watch in watches)
    assert good > 0.7 * 40 * 80.0 / 12.0  # half of the polls are answered, so a round takes some 12 s


async def good_polls() -> int:
    """How many polls of 60 watches are answered in a minute, by a server that fails nine of ten at random."""
    dice, good = random.Random(2), 0

    def healthy(_request: Request) -> Answer:
        nonlocal good
        if dice.random() < 0.9:
            return Slow(502, LATENCY_S)
        good += 1
        return Slow(RUNNING, LATENCY_S)

    async with Server(0.0, healthy=healthy).watcher() as watcher:
        watches = [watcher.watch(job) for job in jobs(60)]
        await asyncio.sleep(60.0)
        assert not any(watch.outcome for watch in watches)
    return good


@pytest.mark.looptime
async def test_a_server_that_fails_nine_of_ten_requests_at_random_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least seven of ten polls are answered that were answered if hosts were not watched."""
    good = await good_polls()
    monkeypatch.setattr(host_health, "_WATCHES", 1_000_000)
    assert good > 0.7 * await good_polls()


@pytest.mark.looptime
async def test_a_server_that_failed_at_random_and_is_down_now_gets_a_hundred_more_requests() -> None:
    """So many failures in a row show an outage in any case; then there are probes only."""
    dice = random.Random(2)
    server = Server(120.0, healthy=lambda _: Slow(502 if dice.random() < 0.8 else RUNNING, LATENCY_S), up_s=10.0)
    async with server.watcher() as watcher:
        for job in jobs(60):
            watcher.watch(job)
        await asyncio.sleep(10.0 + 119.0)
        assert len(watcher.hosts_down) == 1
    assert server.asked <= 100 + 40


@pytest.mark.looptime
async def test_a_server_that_hangs_gets_the_requests_in_flight_and_forty_probes() -> None:
    """All watches go on within five seconds of its return, but for those whose probe still hangs."""
    server = Server(120.0, lambda _: Slow(RUNNING, 1e6))
    async with server.watcher() as watcher:
        for job in jobs(80):
            watcher.watch(job)
        await asyncio.sleep(UP_S + 120.0 + 5.0)
        assert watcher.stats().in_flight <= 8
    assert server.asked <= 64 + 40
    assert len(server.back) >= 80 - 8


@pytest.mark.looptime
async def test_a_server_that_comes_and_goes_is_used_while_it_is_there() -> None:
    """Five seconds up, five seconds down: all jobs are seen to end, with few requests in vain."""
    server = Server(100.0, lambda down_s: Slow(RUNNING, LATENCY_S) if down_s % 10.0 > 5.0 else 503)
    server.healthy = lambda _: SUCCEEDED if server.now > UP_S + 100.0 else Slow(RUNNING, LATENCY_S)
    async with server.watcher() as watcher:
        outcomes = await watcher.gather(jobs(25))
    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Succeeded": 25}
    assert server.asked < 200


@pytest.mark.looptime
async def test_a_learnt_rate_survives_the_outage() -> None:
    """What the server allows is no news after it: the same rate goes on, and nothing is refused."""
    budget = RateBudget(120, per_s=60.0)
    server = Server(120.0)
    async with server.watcher(budget=budget) as watcher:
        for job in jobs(150):
            watcher.watch(job)
        await asyncio.sleep(UP_S + 120.0 + 35.0)
    assert (budget.limit, budget.per_s) == (120, 60.0)
    assert server.asked <= 45
    assert 50 < len(server.back) <= 120


@pytest.mark.looptime
async def test_watchers_of_one_token_share_what_they_know_of_a_host() -> None:
    """Together they ask a dead server no oftener than one of them would, and both go on when it is back."""
    server, budget = Server(120.0), RateBudget()
    async with server.watcher(budget=budget) as first, server.watcher(budget=budget) as second:
        for n, job in enumerate(jobs(80)):
            (first if n % 2 else second).watch(job)
        await asyncio.sleep(UP_S + 60.0)
        assert len(first.hosts_down) == len(second.hosts_down) == 1
        await asyncio.sleep(66.0)
    assert server.asked <= 45
    assert len(server.back) == 80


class TwoServers(ToyEndpoint):
    """Jobs with an even number are at another server."""

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL(f"https://{'even' if int(job.id) % 2 == 0 else 'odd'}.example/{job.id}"))


@pytest.mark.looptime
async def test_a_dead_server_does_not_hold_up_the_jobs_of_another_one() -> None:
    """Each origin of an endpoint has a health of its own."""
    asked: Counter[str] = Counter()

    def answer(request: Request) -> Answer:
        asked[request.url.host or ""] += 1
        return REFUSED if request.url.host == "even.example" else RUNNING

    watcher = JobWatcher(TwoServers(), timeout_s=None, transport=ScriptedTransport(answer), pacing=Pacing.fixed(5.0))
    async with controlled(watcher, dice=random.Random(1).random):
        for job in jobs(40):
            watcher.watch(job)
        await asyncio.sleep(60.5)
        assert [outage.origin for outage in watcher.hosts_down] == ["https://even.example"]
    assert asked["odd.example"] >= 20 * 12
    assert asked["even.example"] <= 30


@pytest.mark.looptime
async def test_a_watch_can_be_stopped_while_it_waits_for_a_host() -> None:
    """It ends at once, and the others go on waiting."""
    server = Server(60.0)
    async with server.watcher(pacing=Pacing.fixed(5.0)) as watcher:
        watches = [watcher.watch(job) for job in jobs(20)]
        await asyncio.sleep(UP_S + 30.0)
        for watch in watches[:10]:
            watch.stop()
        await asyncio.sleep(40.0)
        assert sorted(server.back) == sorted(f"/{n}" for n in range(10, 20))


@pytest.mark.looptime
async def test_a_suspension_counts_for_watches_that_wait_for_their_host() -> None:
    """Their deadlines come earlier, as those of all others."""
    slept_s = 0.0
    server = Server(10_000.0, up_s=30.0)
    watcher = server.watcher(timeout_s=2_000.0, retry=Retry(outage_s=5_000.0))
    watcher._suspended_clock = lambda: asyncio.get_running_loop().time() + slept_s
    async with watcher:
        watches = [watcher.watch(job) for job in jobs(20)]
        await asyncio.sleep(200.0)
        (outage,) = watcher.hosts_down
        assert outage.waiting > 15
        slept_s = 1_790.0
        for watch in watches:
            with pytest.raises(DeadlineExceeded):
                await watch
        assert 209.0 < server.now < 212.0
