"""What a caller's type checker knows: mypy --strict and pyright must both agree with every line here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from typing_extensions import assert_never, assert_type

from pollwise import (
    Abandoned,
    ApiKeyAuth,
    BearerAuth,
    Cancelled,
    Event,
    Failed,
    JobFailed,
    JobWatcher,
    Outcome,
    Pacing,
    Phase,
    PollError,
    Progressed,
    RateBudget,
    Retry,
    Retrying,
    Succeeded,
    Throttled,
    Watch,
    WatchError,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob, DeleteFileStatus
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionStatus


async def the_endpoint_says_it_all() -> None:
    """Job and status follow from the endpoint; nothing has to be annotated."""
    extractions = ExtractionEndpoint("https://example.com", auth=BearerAuth("token"))
    async with JobWatcher(extractions, timeout_s=3600) as watcher:
        assert_type(watcher, JobWatcher[ExtractionJob, ExtractionStatus])
        job = ExtractionJob("file", "job")
        watch = watcher.watch(job)
        assert_type(watch, Watch[ExtractionJob, ExtractionStatus])
        assert_type(await watch, ExtractionStatus)
        assert_type(await watcher.watch(job), ExtractionStatus)
        assert_type(watch.job, ExtractionJob)
        assert_type(watch.outcome, Outcome[ExtractionJob, ExtractionStatus] | None)
        assert_type(watch.last, Event[ExtractionJob, ExtractionStatus] | None)

    deletions = DeleteFileEndpoint("https://example.com", auth=ApiKeyAuth("key"))
    async with JobWatcher(deletions, timeout_s=None) as watching:
        assert_type(await watching.watch(DeleteFileJob("task")), DeleteFileStatus)


async def options_are_values(endpoint: ExtractionEndpoint) -> None:
    """What a watcher takes besides the endpoint."""
    watcher = JobWatcher(
        endpoint,
        timeout_s=600,
        pacing=Pacing(max_s=30),
        retry=Retry(max_failures=8),
        budget=RateBudget(60, per_s=60),
        heartbeat_s=60,
    )
    assert_type(watcher, JobWatcher[ExtractionJob, ExtractionStatus])
    assert_type(
        JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)), JobWatcher[ExtractionJob, ExtractionStatus]
    )


async def events_can_be_matched_to_the_last(watch: Watch[ExtractionJob, ExtractionStatus]) -> str:
    """A match over all kinds of events is known to be complete, and each has its own attributes."""
    async for event in watch:
        assert_type(event, Event[ExtractionJob, ExtractionStatus])
        match event:
            case Progressed(status=status, fraction=fraction, eta_s=eta_s, phase=phase):
                assert_type(status, ExtractionStatus)
                assert_type(fraction, float | None)
                assert_type(eta_s, float | None)
                assert_type(phase, Phase)
            case Retrying(error=error, delay_s=delay_s):
                assert_type(error, PollError)
                assert_type(delay_s, float)
            case Throttled(delay_s=delay_s, polls=polls):
                assert_type(delay_s, float)
                assert_type(polls, int)
            case Succeeded() | Failed() | Cancelled() | Abandoned():
                return what_became_of_it(event)
            case never:
                assert_never(never)
    return "unreachable"


def what_became_of_it(outcome: Outcome[ExtractionJob, ExtractionStatus]) -> str:
    """So is one over all outcomes: only `Abandoned` may lack a status, and only a success lacks an error."""
    assert_type(outcome.job, ExtractionJob)
    match outcome:
        case Succeeded(status=status):
            assert_type(status, ExtractionStatus)
            return status.message
        case Failed(status=status, error=error):
            assert_type(status, ExtractionStatus)
            assert_type(error, JobFailed)
            return status.message
        case Cancelled(status=status):
            assert_type(status, ExtractionStatus)
            return status.message
        case Abandoned(status=seen, error=why):
            assert_type(seen, ExtractionStatus | None)
            assert_type(why, WatchError)
            return str(why)
        case never:
            assert_never(never)


async def lazy() -> AsyncIterator[ExtractionJob]:
    """Jobs that come as they are wanted."""
    yield ExtractionJob("file", "job")


async def many_jobs(watcher: JobWatcher[ExtractionJob, ExtractionStatus]) -> None:
    """Any iterable of jobs will do, async ones too."""
    jobs = [ExtractionJob("file", "1"), ExtractionJob("file", "2")]
    async for outcome in watcher.as_completed(jobs):
        assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])
    async for outcome in watcher.as_completed(lazy()):
        assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])
    async for outcome in watcher.as_completed(job for job in jobs):
        assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])
    async with aclosing(watcher.as_completed(jobs)) as outcomes:
        assert_type(await anext(outcomes), Outcome[ExtractionJob, ExtractionStatus])
    assert_type(await watcher.gather(jobs), list[Outcome[ExtractionJob, ExtractionStatus]])


async def a_watch_is_an_awaitable_like_any(watcher: JobWatcher[ExtractionJob, ExtractionStatus]) -> None:
    """asyncio's own functions take it."""
    one, two = watcher.watch(ExtractionJob("file", "1")), watcher.watch(ExtractionJob("file", "2"))
    assert_type(await asyncio.wait_for(one, 10), ExtractionStatus)
    assert_type(await asyncio.gather(one, two), tuple[ExtractionStatus, ExtractionStatus])
    assert_type(await asyncio.ensure_future(one), ExtractionStatus)


def mistakes_are_seen(watcher: JobWatcher[ExtractionJob, ExtractionStatus], endpoint: ExtractionEndpoint) -> None:
    """Another vendor's job, a forgotten time-out, a positional one, an option that does not exist."""
    watcher.watch(DeleteFileJob("task"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    watcher.as_completed([DeleteFileJob("task")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    JobWatcher(endpoint)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    JobWatcher(endpoint, 600)  # type: ignore[misc]  # pyright: ignore[reportCallIssue]
    JobWatcher(endpoint, timeout_s=600, interval=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
