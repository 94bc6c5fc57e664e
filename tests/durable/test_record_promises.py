"""The promises of a ledger, through a whole watcher: random refusals, lost answers and moments of leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from kept_toy import MemoryLedger, keeping
from pollwise.errors import LedgerWriteFailed, WatcherClosed
from pollwise.ledger import Concluded, Conclusion, LedgerFailed, LedgerFull, NewWatch, Recorded, Renewal
from pollwise.model.events import Abandoned
from pollwise.testing import Hang, run
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, by_job

R = TypeVar("R")

JOBS = {"a": [RUNNING, SUCCEEDED], "b": [503, FAILED], "c": [RUNNING, 403], "d": [Hang()]}
FATES = st.lists(st.sampled_from(["carried out", "refused", "answer lost"]), max_size=16)


class Unreliable(MemoryLedger):
    """Each write meets the next fate: it is carried out, refused, or carried out without an answer."""

    def __init__(self, fates: Sequence[str]) -> None:
        super().__init__()
        self.fates = iter(fates)

    async def _meet(self, call: Coroutine[Any, Any, R]) -> R:
        fate = next(self.fates, "carried out")
        if fate == "refused":
            call.close()
            raise LedgerFull("jobs.ledger", "disk full")
        result = await call
        if fate == "answer lost":
            raise LedgerFailed("jobs.ledger", "I/O error")
        return result

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        return await self._meet(super().record(watches))

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        return await self._meet(super().conclude(outcomes))

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        return await self._meet(super().reopen(renewals))

    def find(self, job: ToyJob) -> Any:
        return next((row for row in self.rows.values() if row.keys == {"id": job.id}), None)


def is_on_disk(ledger: Unreliable, watch: Any) -> bool:
    """Whether the watch's outcome is, or need not be: it says so itself, or the job was never polled."""
    outcome, row = watch.outcome, ledger.find(watch.job)
    if isinstance(outcome, Abandoned) and (
        outcome.polls == 0 or isinstance(outcome.error, (LedgerWriteFailed, WatcherClosed))
    ):
        return True
    return isinstance(row, Concluded) and row.outcome.value == type(outcome).__name__.lower()


@settings(max_examples=60, deadline=None)
@given(fates=FATES, leave_after_s=st.floats(0.0, 12.0), patience_s=st.sampled_from([0.5, 20.0]), again=st.booleans())
def test_nothing_is_lost_or_published_too_early(
    fates: list[str], leave_after_s: float, patience_s: float, again: bool
) -> None:
    """Each watch publishes one outcome, which is on disk then; what was recorded is finished by the next run."""

    async def scene() -> None:
        ledger = Unreliable(fates)
        published: list[tuple[str, bool]] = []
        recording: dict[str, asyncio.Task[Any]] = {}
        async with keeping(ledger, by_job(JOBS), timeout_s=9, ledger_patience_s=patience_s) as (watcher, _):
            for name in JOBS:
                recording[name] = asyncio.create_task(watcher.record(ToyJob(name)))
                watcher.watch(ToyJob(name)).on_outcome(
                    lambda watch: published.append((watch.job.id, is_on_disk(ledger, watch)))
                )
            await asyncio.sleep(leave_after_s)
            if again:
                watcher.watch(ToyJob("c"))  # its row is abandoned by now, perhaps
                await asyncio.sleep(0.002)
        assert sorted(published) == [(name, True) for name in JOBS]
        await asyncio.wait(recording.values())
        for name, task in recording.items():
            assert task.exception() is not None or ledger.find(ToyJob(name)) is not None
        ledger.fates = iter(())
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            await watcher.resume()
            for outcome in await watcher.gather([ToyJob(name) for name in JOBS]):
                row = ledger.find(outcome.job)
                assert isinstance(row, Concluded)
                assert row.outcome.value == type(outcome).__name__.lower()
        assert len(ledger.rows) == len(JOBS)

    run(scene())
