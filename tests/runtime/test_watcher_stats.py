"""`JobWatcher.stats()`: what it counts, for every result of a poll and every end of a watch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConnectFailed, PollTimeout, StaleConnection, TlsFailed
from pollwise.model.stats import WatcherStats
from pollwise.runtime.watcher_stats import states_of
from pollwise.testing import Answer, Hang, Slow, reply, run
from pollwise.watcher import JobWatcher
from toy import CANCELLED, FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, by_job, events_of, running, settle, watching

pytestmark = pytest.mark.looptime


async def after(script: Any, **options: Any) -> WatcherStats:
    """The stats after one watch, while the watcher is open."""
    async with watching(script, **options) as (watcher, _):
        await events_of(watcher.watch(ToyJob()))
        await settle()  # a request that was cut ends after its watch
        return watcher.stats()


async def test_a_watcher_that_did_nothing_has_zeros() -> None:
    """Before it is opened, too."""
    stats = JobWatcher(ToyEndpoint(), timeout_s=1.0).stats()
    assert stats.polls == {"read": 0, "unchanged": 0}
    assert (stats.in_flight, stats.started, stats.watches, stats.outcomes) == (0, 0, {}, {})
    assert stats.ledger is None
    assert stats.budget.remaining is None


async def test_each_poll_is_counted_by_its_result() -> None:
    """A poll has one result, and the sum is the number of polls."""
    script = [
        RUNNING,
        RUNNING,
        503,
        429,
        404,
        reply("odd"),
        PollTimeout(1.0),
        ConnectFailed("x"),
        TlsFailed("y"),
        FAILED,
    ]
    stats = await after(script)
    assert stats.polls == {
        "read": 2,
        "unchanged": 1,
        "refused_5xx": 1,
        "throttled": 1,
        "not_visible": 1,
        "malformed": 1,
        "timed_out": 1,
        "connection_failed": 2,
    }
    assert stats.errors["refused_5xx", "ServerUnavailable"] == 1
    assert sum(stats.errors.values()) == 7
    assert stats.outcomes == {("failed", "JobFailed"): 1}


async def test_hosts_that_are_down_are_in_it() -> None:
    """The same values as in `hosts_down`; none while the watcher is closed."""
    async with watching([ConnectFailed("x")]) as (watcher, _):
        for name in "abcd":
            watcher.watch(ToyJob(name))
        await asyncio.sleep(30.0)
        (outage,) = watcher.stats().hosts_down
        assert (outage.origin, str(outage.error)) == ("https://toy.example", str(ConnectFailed("x")))
        assert watcher.hosts_down == (outage,)
    assert watcher.stats().hosts_down == ()


async def test_durations_are_counted_by_status_code_or_error() -> None:
    """How long the server took, to the bucket. A request that was cut has the class of its error."""
    stats = await after([Slow(RUNNING, 0.3), Slow(503, 2.0), Hang(), SUCCEEDED], request_timeout_s=5.0)
    assert {key: found.count for key, found in stats.requests.items()} == {200: 2, 503: 1, "PollTimeout": 1}
    assert stats.requests[503].sum_s == pytest.approx(2.0, abs=0.1)
    assert stats.requests["PollTimeout"].sum_s == pytest.approx(5.0, abs=0.1)
    bounds = stats.requests[200].bounds
    assert stats.requests[200].counts[bounds.index(0.5)] == 1


async def test_a_request_that_a_deadline_cuts_is_no_time_out() -> None:
    """Nor is one that `stop` cuts: the server was not slow, the watch was over."""
    stats = await after([Hang()], timeout_s=2.0)
    assert (stats.polls, list(stats.requests)) == ({"read": 0, "unchanged": 0, "cancelled": 1}, ["CancelledError"])
    async with watching([Hang()]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(1.0)
        watch.stop()
        await settle()
        assert watcher.stats().errors == {("cancelled", "CancelledError"): 1}


@given(st.lists(st.sampled_from([RUNNING, 304, 404, 429, 500, 502, StaleConnection("x"), ConnectFailed("y"), Hang()])))
def test_each_poll_has_one_result(script: list[Answer]) -> None:
    """Whatever happens, the results of the polls are as many as the polls."""

    async def main() -> tuple[int, int, int]:
        async with watching([*script, SUCCEEDED], request_timeout_s=3.0) as (watcher, _):
            (outcome,) = await watcher.gather([ToyJob()])
            stats = watcher.stats()
        return outcome.polls, sum(stats.polls.values()), sum(found.count for found in stats.requests.values())

    polls, results, requests = run(main())
    assert polls == results == requests


async def test_the_wait_for_the_budget_is_no_duration() -> None:
    """A request's duration begins when it may go."""
    budget = RateBudget(1, per_s=60)
    script = by_job({"a": [SUCCEEDED], "b": [SUCCEEDED]})
    async with watching(script, budget=budget) as (watcher, _):
        await watcher.gather([ToyJob("a"), ToyJob("b")])
        assert watcher.stats().requests[200].sum_s < 1.0


async def test_jobs_and_detection_have_durations() -> None:
    """From the beginning of the watch to its outcome, and from the last reply that showed the job going on."""
    stats = await after([RUNNING, running(3), SUCCEEDED])
    assert stats.jobs["succeeded"].sum_s == pytest.approx(2.0, abs=0.1)
    assert stats.detection_delay.sum_s == pytest.approx(1.0, abs=0.1)
    stats = await after([CANCELLED])
    assert stats.jobs["cancelled"].count == 1
    assert stats.detection_delay.count == 0


async def test_open_watches_are_counted_by_state() -> None:
    """A watch is unseen, in a phase, or failing."""
    script = by_job({"new": [Hang()], "on": [RUNNING], "odd": [503], "end": [{"state": "maybe-failed"}]})
    async with watching(script) as (watcher, _):
        for name in ("new", "on", "odd", "end"):
            watcher.watch(ToyJob(name))
        await asyncio.sleep(0.1)
        stats = watcher.stats()
        assert stats.watches == {"unseen": 1, "running": 1, "failing": 1, "failed": 1}
        assert (stats.in_flight, stats.started) == (1, 4)
    closed = watcher.stats()
    assert (closed.watches, closed.in_flight) == ({}, 0)
    assert closed.outcomes == {("abandoned", "WatcherClosed"): 4}


async def test_the_budget_is_shown_as_it_is() -> None:
    """Limit, what may go now, and how many watches wait. Looking changes nothing."""
    async with watching([RUNNING], budget=RateBudget(2, per_s=60)) as (watcher, transport):
        for number in range(5):
            watcher.watch(ToyJob(str(number)))
        await asyncio.sleep(0.1)
        budget = watcher.stats().budget
        assert (budget.limit, budget.per_s, budget.remaining, budget.waiting) == (2, 60.0, 0, 3)
        sent = len(transport.times)
        for _ in range(10):
            watcher.stats()
        await settle()
        assert len(transport.times) == sent
        await asyncio.sleep(59.0)
        assert watcher.stats().budget.remaining == 0
        await asyncio.sleep(1.2)
        assert len(transport.times) > sent


async def test_counts_go_on_when_the_watcher_is_opened_again() -> None:
    """A counter never falls."""
    async with watching([SUCCEEDED]) as (watcher, _):
        await watcher.watch(ToyJob())
    async with watcher:
        await watcher.watch(ToyJob())
        stats = watcher.stats()
    assert (stats.started, stats.polls["read"], stats.outcomes) == (2, 2, {("succeeded", None): 2})


async def test_any_thread_may_ask() -> None:
    """An exporter reads from its own thread, while watches come and go."""
    jobs = [ToyJob(str(number)) for number in range(300)]
    async with watching(by_job({job.id: [RUNNING, SUCCEEDED] for job in jobs}), budget=RateBudget(10_000)) as (
        watcher,
        _,
    ):

        async def ask() -> list[WatcherStats]:
            return [await asyncio.to_thread(watcher.stats) for _ in range(30)]

        asked = asyncio.create_task(ask())
        await watcher.gather(jobs)
        found = await asked
    assert all(sum(stats.watches.values()) <= len(jobs) for stats in found)
    assert watcher.stats().outcomes == {("succeeded", None): 300}


def test_no_watches_have_no_states() -> None:
    """A state without watches is left out."""
    assert states_of([]) == {}
