"""Many jobs are recorded as the ledger takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from kept_toy import MemoryLedger, keeping, toys
from toy import SUCCEEDED, ToyJob

pytestmark = pytest.mark.looptime


async def test_jobs_of_an_async_iterable_are_recorded_in_their_order() -> None:
    """All of them are in the ledger when the call returns."""
    ledger, jobs = MemoryLedger(), toys(450)

    async def lazily() -> AsyncIterator[ToyJob]:
        for job in jobs:
            yield job

    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watches = await watcher.record_all(lazily())
        assert [watch.job for watch in watches] == jobs
        assert all(ledger.of(id=job.id) for job in jobs)


async def test_an_iterable_that_raises_is_raised_when_the_jobs_before_it_are_recorded() -> None:
    """No watch that had begun is lost if the program ends with that error."""
    ledger, jobs = MemoryLedger(), toys(450)

    def rows() -> Iterator[ToyJob]:
        yield from jobs
        raise LookupError("line 451")

    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        with pytest.raises(LookupError, match="line 451"):
            await watcher.record_all(rows())
        assert all(ledger.of(id=job.id) for job in jobs)
