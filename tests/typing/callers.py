"""What a caller's type checker must be able to infer. Checked by mypy --strict and pyright; never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_never, assert_type

import attrs

from pollwise import (
    Abandoned,
    Cancelled,
    Endpoint,
    Failed,
    JobFailed,
    JobWatcher,
    Outcome,
    Phase,
    Progressed,
    Reading,
    Reply,
    Request,
    Retrying,
    Succeeded,
    Throttled,
    Transport,
    Watch,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob, DeleteFileStatus
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionStatus


async def the_watcher_infers_job_and_status(jobs: AsyncIterator[ExtractionJob]) -> None:
    watcher = JobWatcher(ExtractionEndpoint("https://example.com"), timeout_s=60)
    assert_type(watcher, JobWatcher[ExtractionJob, ExtractionStatus])
    async with watcher as opened:
        assert_type(opened, JobWatcher[ExtractionJob, ExtractionStatus])
        watch = opened.watch(ExtractionJob("file", "job"))
        assert_type(watch, Watch[ExtractionJob, ExtractionStatus])
        assert_type(await watch, ExtractionStatus)
        assert_type(await opened.gather([ExtractionJob("a", "b")]), list[Outcome[ExtractionJob, ExtractionStatus]])
        async for outcome in opened.as_completed(jobs):
            assert_type(outcome, Outcome[ExtractionJob, ExtractionStatus])


async def events_match_exhaustively(watch: Watch[DeleteFileJob, DeleteFileStatus]) -> float | None:
    async for event in watch:
        match event:
            case Progressed():
                assert_type(event.status, DeleteFileStatus)
                assert_type(event.phase, Phase)
                return event.fraction
            case Retrying() | Throttled():
                return event.delay_s
            case Succeeded():
                assert_type(event.status, DeleteFileStatus)
            case Failed():
                assert_type(event.error, JobFailed)
            case Cancelled():
                assert_type(event.job, DeleteFileJob)
            case Abandoned():
                assert_type(event.status, DeleteFileStatus | None)
            case _:
                assert_never(event)
    return None


@attrs.frozen
class Export:
    number: int


class Exports(Endpoint[Export, str]):
    name = "exports"

    def request(self, job: Export, /) -> Request:
        raise NotImplementedError

    def read(self, reply: Reply, /) -> Reading[str]:
        return Reading(status="done", phase=Phase.SUCCEEDED, final=True)


class Wire:
    async def send(self, request: Request, /) -> Reply:
        return Reply(200, {}, b"")


async def an_endpoint_and_a_transport_of_your_own() -> None:
    transport: Transport = Wire()
    async with JobWatcher(Exports(), timeout_s=None, transport=transport) as watcher:
        assert_type(await watcher.watch(Export(1)), str)


async def what_is_wrong_is_seen() -> None:
    JobWatcher(DeleteFileEndpoint("https://example.com"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    watcher = JobWatcher(DeleteFileEndpoint("https://example.com"), timeout_s=1)
    watcher.watch(ExtractionJob("a", "b"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
