"""The promises of a ledger, through a whole watcher: random refusals, lost answers and moments of leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from kept_toy import NOON_S, KeptToyEndpoint, MemoryLedger, keeping
from pollwise.errors import LedgerWriteFailed, WatcherClosed
from pollwise.ledger import (
    Change,
    Concluded,
    Conclusion,
    LedgerFailed,
    LedgerFull,
    NewWatch,
    OutcomeKind,
    Recorded,
    Renewal,
)
from pollwise.model.events import Abandoned
from pollwise.model.messages import Request
from pollwise.model.reading import Phase
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


HISTORY: dict[str, Any] = {"phase": Phase.RUNNING, "polls": 56, "failures": 2, "seen_s": 7.5}
HISTORY["status"] = b'{"state": "running", "done": false}'
BEFORE = ["open", "moved", "abandoned"]


async def with_history(ledger: MemoryLedger, before: Sequence[str]) -> None:
    """A row of each job from an earlier run, with 56 polls."""
    first_seen, deadline = (datetime.fromtimestamp(NOON_S + shift_s, UTC) for shift_s in (-100, 20))
    for n, kind in enumerate(before):
        origin = "https://old.example" if kind == "moved" else None
        keys = {"id": f"{n}"}
        new = NewWatch(endpoint="toy", keys=keys, origin=origin, first_seen=first_seen, deadline=deadline)
        (found,) = await ledger.record([new])
        await ledger.update([Change(id=found.id, **HISTORY)])
        if kind == "abandoned":
            kwargs = {"error_type": "WatchStopped", "error_message": "stopped", "elapsed_s": 9.0}
            await ledger.conclude([Conclusion(id=found.id, outcome=OutcomeKind.ABANDONED, **HISTORY, **kwargs)])


class OfAServer(KeptToyEndpoint):
    """A toy whose API has moved."""

    def request(self, job: ToyJob) -> Request:
        return attrs.evolve(super().request(job), url=URL(f"https://new.example/{job.id}"))


WAYS = ["stop", "leave", "stop and leave", "interrupt", "deadline"]


@settings(max_examples=80, deadline=None)
@given(
    before=st.lists(st.sampled_from(BEFORE), min_size=1, max_size=4),
    fates=FATES,
    way=st.sampled_from(WAYS),
    after_s=st.sampled_from([0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.3]),
)
def test_no_way_to_end_shortens_a_history(before: list[str], fates: list[str], way: str, after_s: float) -> None:
    """Stopped, left, interrupted or late, while its row is under way: the polls, the status and the phase of the row stay."""

    async def scene() -> None:
        ledger = Unreliable(())
        await with_history(ledger, before)
        ledger.fates = iter(fates)
        options = {"endpoint": OfAServer(), "moved_from": "https://old.example", "timeout_s": 20}
        async with keeping(ledger, [Hang()], **options) as (watcher, _):
            watches = [watcher.watch(ToyJob(f"{n}")) for n in range(len(before))]
            await asyncio.sleep(after_s)
            if way == "interrupt":
                for task in asyncio.all_tasks():
                    if task.get_name() == "pollwise-admission":
                        task.cancel()
            for watch in watches:
                if "stop" in way or way == "interrupt":
                    watch.stop()
            if "leave" not in way:
                async with asyncio.timeout(200):
                    await asyncio.gather(*watches, return_exceptions=True)
        for watch in watches:
            row = ledger.find(watch.job)
            assert (row.polls, row.phase, row.status, row.seen_s) == (
                56 if row.polls == 56 else 57,  # the poll that hung until the deadline
                HISTORY["phase"],
                orjson.dumps(orjson.loads(HISTORY["status"])) if row.status != HISTORY["status"] else row.status,
                HISTORY["seen_s"],
            )
            if isinstance(row, Concluded) and isinstance(watch.outcome, Abandoned) and watch.outcome.polls:
                assert watch.outcome.polls == row.polls
                assert watch.outcome.phase is HISTORY["phase"]

    run(scene())
