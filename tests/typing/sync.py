"""The watcher without asyncio, as a caller's type checker sees it. Checked by mypy --strict and pyright; never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from pollwise import BearerAuth, Event, JobWatcher, Outcome
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob, DeleteFileOrder, DeleteFileStatus
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionOrder, ExtractionStatus
from pollwise.sync import SyncOutcomes, SyncWatch, SyncWatcher, wait


def one_call(endpoint: ExtractionEndpoint) -> None:
    assert_type(wait(ExtractionJob("file", "1"), endpoint, timeout_s=600), ExtractionStatus)
    wait(ExtractionJob("file", "1"), endpoint)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wait(DeleteFileJob("1"), endpoint, timeout_s=600)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


def a_watcher(jobs: Iterator[ExtractionJob]) -> None:
    endpoint = ExtractionEndpoint("https://example.com", auth=BearerAuth("token"))
    with SyncWatcher(endpoint, timeout_s=600) as watcher:
        assert_type(watcher, SyncWatcher[ExtractionJob, ExtractionStatus, object, ExtractionOrder])
        watch = watcher.watch(ExtractionJob("file", "1"))
        assert_type(watch, SyncWatch[ExtractionJob, ExtractionStatus])
        for event in watch:
            assert_type(event, Event[ExtractionJob, ExtractionStatus])
        assert_type(watch.wait(timeout_s=5), ExtractionStatus)
        assert_type(watch.cancel(), bool)
        assert_type(watcher.submit(ExtractionOrder("file")), SyncWatch[ExtractionJob, ExtractionStatus])
        assert_type(watcher.as_completed(jobs), SyncOutcomes[ExtractionJob, ExtractionStatus])
        assert_type(watcher.gather(jobs), list[Outcome[ExtractionJob, ExtractionStatus]])
        watcher.submit("file")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def an_order_of_another_vendor(endpoint: DeleteFileEndpoint) -> None:
    with SyncWatcher(endpoint, timeout_s=600) as watcher:
        assert_type(
            watcher.submit(DeleteFileOrder(folder_id="folder", file_id="file")),
            SyncWatch[DeleteFileJob, DeleteFileStatus],
        )


def what_has_no_method(watcher: SyncWatcher[ExtractionJob, ExtractionStatus, object, ExtractionOrder]) -> None:
    async def count(inner: JobWatcher[ExtractionJob, ExtractionStatus, object, ExtractionOrder]) -> int:
        return inner.open_count

    assert_type(watcher.run(count), int)
