"""Progress bars, as a caller's type checker sees them. Checked by mypy --strict and pyright; never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from pollwise import Event, JobWatcher, Outcome
from pollwise.endpoints.oracle_content import ExtractionJob, ExtractionStatus
from pollwise.progress import RichBars, TqdmBars
from pollwise.sync import SyncWatcher


async def with_asyncio(watcher: JobWatcher[ExtractionJob, ExtractionStatus], job: ExtractionJob) -> None:
    with RichBars() as bars:
        assert_type(await bars.follow(watcher.watch(job)), ExtractionStatus)
        assert_type(bars.events(watcher.watch(job)), AsyncIterator[Event[ExtractionJob, ExtractionStatus]])
        counted = bars.outcomes(watcher.as_completed([job]), total=1)
        assert_type(counted, AsyncIterator[Outcome[ExtractionJob, ExtractionStatus]])


def without_asyncio(watcher: SyncWatcher[ExtractionJob, ExtractionStatus], job: ExtractionJob) -> None:
    with TqdmBars(leave=False) as bars:
        assert_type(bars.events(watcher.watch(job)), Iterator[Event[ExtractionJob, ExtractionStatus]])
        assert_type(bars.outcomes(watcher.as_completed([job])), Iterator[Outcome[ExtractionJob, ExtractionStatus]])
