"""Streams, awaiting and options, as a caller's type checker sees them. Checked by mypy --strict and pyright; never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import assert_never, assert_type

from pollwise import (
    Abandoned,
    BearerAuth,
    Cancelled,
    Event,
    Failed,
    JobCancelled,
    JobFailed,
    JobWatcher,
    Outcome,
    Pacing,
    Progressed,
    RateBudget,
    Retry,
    Retrying,
    Succeeded,
    Throttled,
    Watch,
    WatchError,
)
from pollwise.endpoints.document360 import DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionOrder, ExtractionStatus
from pollwise.errors import PollError


def options_leave_the_types_alone() -> None:
    watcher = JobWatcher(
        ExtractionEndpoint("https://example.com", auth=BearerAuth("token")),
        timeout_s=600,
        pacing=Pacing(max_s=30),
        retry=Retry(outage_s=300.0, min_failures=8),
        budget=RateBudget(60, per_s=60),
        heartbeat_s=60,
    )
    assert_type(watcher, JobWatcher[ExtractionJob, ExtractionStatus, object, ExtractionOrder])
    plain: JobWatcher[ExtractionJob, ExtractionStatus] = watcher
    assert_type(plain.watch(ExtractionJob("file", "1")), Watch[ExtractionJob, ExtractionStatus])


def a_watch_can_be_looked_at(watch: Watch[ExtractionJob, ExtractionStatus]) -> None:
    assert_type(watch.job, ExtractionJob)
    assert_type(watch.outcome, Outcome[ExtractionJob, ExtractionStatus] | None)
    assert_type(watch.last, Event[ExtractionJob, ExtractionStatus] | None)
    watch.on_outcome(lambda over: assert_type(over, Watch[ExtractionJob, ExtractionStatus]))


async def a_watch_can_become_a_task(watch: Watch[ExtractionJob, ExtractionStatus]) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.wait())
    assert_type(task.result(), ExtractionStatus)


async def every_event_has_its_own_attributes(watch: Watch[ExtractionJob, ExtractionStatus]) -> None:
    async for event in watch:
        assert_type(event, Event[ExtractionJob, ExtractionStatus])
        assert_type(event.job, ExtractionJob)
        assert_type(event.polls, int)
        assert_type(event.elapsed_s, float)
        match event:
            case Progressed(status=status, fraction=fraction, eta_s=eta_s):
                assert_type(status, ExtractionStatus)
                assert_type(fraction, float | None)
                assert_type(eta_s, float | None)
            case Retrying(error=error, failures=failures):
                assert_type(error, PollError)
                assert_type(failures, int)
            case Throttled(delay_s=delay_s):
                assert_type(delay_s, float)
            case outcome:
                assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])


def only_what_was_abandoned_may_lack_a_status(outcome: Outcome[ExtractionJob, ExtractionStatus]) -> Exception | None:
    match outcome:
        case Succeeded(status=status):
            assert_type(status, ExtractionStatus)
            return None
        case Failed(status=status, error=failure):
            assert_type(status, ExtractionStatus)
            assert_type(failure, JobFailed)
            return failure
        case Cancelled(status=status, error=cancellation):
            assert_type(status, ExtractionStatus)
            assert_type(cancellation, JobCancelled)
            return cancellation
        case Abandoned(status=seen, error=why):
            assert_type(seen, ExtractionStatus | None)
            assert_type(why, WatchError)
            return why
        case never:
            assert_never(never)


async def lazy() -> AsyncIterator[ExtractionJob]:
    yield ExtractionJob("file", "job")


async def any_iterable_of_jobs_will_do(watcher: JobWatcher[ExtractionJob, ExtractionStatus]) -> None:
    jobs = [ExtractionJob("file", "1"), ExtractionJob("file", "2")]
    async for outcome in watcher.as_completed(jobs):
        assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])
    async for outcome in watcher.as_completed(job for job in jobs):
        assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])
    async with aclosing(watcher.as_completed(lazy())) as outcomes:
        assert_type(await anext(outcomes), Outcome[ExtractionJob, ExtractionStatus])
    assert_type(await watcher.gather(lazy()), list[Outcome[ExtractionJob, ExtractionStatus]])


async def asyncio_takes_a_watch_for_an_awaitable(watcher: JobWatcher[ExtractionJob, ExtractionStatus]) -> None:
    one, two = watcher.watch(ExtractionJob("file", "1")), watcher.watch(ExtractionJob("file", "2"))
    assert_type(await asyncio.wait_for(one, 10), ExtractionStatus)
    assert_type(await asyncio.gather(one, two), tuple[ExtractionStatus, ExtractionStatus])
    assert_type(await asyncio.ensure_future(one), ExtractionStatus)


async def a_job_can_be_started(endpoint: ExtractionEndpoint) -> None:
    async with JobWatcher(endpoint, timeout_s=600) as watcher:
        watch = await watcher.submit(ExtractionOrder("file"), key="order-17", timeout_s=60)
        assert_type(watch, Watch[ExtractionJob, ExtractionStatus])
        assert_type(await watch, ExtractionStatus)
        await watcher.submit(ExtractionJob("file", "1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def mistakes_are_seen(watcher: JobWatcher[ExtractionJob, ExtractionStatus], endpoint: ExtractionEndpoint) -> None:
    watcher.as_completed([DeleteFileJob("task")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    JobWatcher(endpoint, 600)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    JobWatcher(endpoint, timeout_s=600, interval=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
