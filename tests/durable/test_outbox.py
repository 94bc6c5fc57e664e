"""Outcomes: on disk before they are published, tried again, and never made up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from kept_toy import KeptToyEndpoint, MemoryLedger, keeping, toys
from pollwise.errors import ConfigurationError, EndpointBug, LedgerWriteFailed, WatcherClosed
from pollwise.ledger import Concluded, Conclusion, LedgerClosed, LedgerFailed, LedgerFull, OpenWatch, OutcomeKind
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded
from pollwise.model.reading import Phase
from pollwise.testing import Answer, Slow
from toy import CANCELLED, FAILED, RUNNING, SUCCEEDED, ToyJob, by_job, events_of, running, settle

pytestmark = pytest.mark.looptime

FULL = LedgerFull("jobs.ledger", "disk full")


def now() -> float:
    return asyncio.get_running_loop().time()


class Leisurely(MemoryLedger):
    """Takes two seconds for each outcome, and none for anything else."""

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        await asyncio.sleep(2)
        return await super().conclude(outcomes)


# --- durable before published -------------------------------------------------------------------


async def test_no_outcome_is_published_before_it_is_on_disk() -> None:
    """Neither to tasks that await or iterate, nor to a callback, nor as an attribute."""
    ledger = Leisurely()
    published: list[tuple[str, float]] = []
    async with keeping(ledger, [RUNNING, SUCCEEDED]) as (watcher, transport):
        watch = await watcher.record(ToyJob())

        async def awaiting() -> None:
            await watch
            published.append(("awaited", now()))

        async def iterating() -> None:
            async for event in watch:
                if isinstance(event, Succeeded):
                    published.append(("iterated", now()))

        async def streaming() -> None:
            async for _ in watcher.as_completed([ToyJob()]):
                published.append(("streamed", now()))

        watch.on_outcome(lambda _: published.append(("called", now())))
        async with asyncio.TaskGroup() as group:
            for work in (awaiting, iterating, streaming):
                group.create_task(work())
            await asyncio.sleep(2.9)
            assert len(transport.requests) == 2
            assert isinstance(ledger.of(id="a"), OpenWatch)
            assert (published, watch.outcome, watcher.open_count) == ([], None, 1)
            assert watcher.watch(ToyJob()) is watch
            assert "running" in repr(watch)
            assert await asyncio.wait_for(anext(aiter(watch)), 1) is not None
        assert isinstance(ledger.of(id="a"), Concluded)
        assert {name for name, _ in published} == {"called", "awaited", "iterated", "streamed"}
        assert all(at == pytest.approx(3.0, abs=0.1) for _, at in published)
        assert watcher.open_count == 0


async def test_outcomes_that_come_together_are_written_together() -> None:
    """A thousand ends are a handful of transactions."""
    ledger = MemoryLedger(latency_s=0.5)
    async with keeping(ledger, [Slow(SUCCEEDED, 1.0)], concurrency=1_000) as (watcher, _):
        outcomes = await watcher.gather(toys(1_000))
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
        assert sum(ledger.named("conclude")) == 1_000
        assert len(ledger.named("conclude")) <= 8


@pytest.mark.parametrize(
    ("script", "kind", "phase", "error"),
    [
        ([RUNNING, SUCCEEDED], OutcomeKind.SUCCEEDED, Phase.SUCCEEDED, None),
        ([RUNNING, FAILED], OutcomeKind.FAILED, Phase.FAILED, "JobFailed"),
        ([RUNNING, CANCELLED], OutcomeKind.CANCELLED, Phase.CANCELLED, "JobCancelled"),
        ([RUNNING, 403], OutcomeKind.ABANDONED, Phase.RUNNING, "PermissionDenied"),
        ([404], OutcomeKind.ABANDONED, None, "JobNotFound"),
    ],
)
async def test_what_is_written_down(
    script: list[Answer], kind: OutcomeKind, phase: Phase | None, error: str | None
) -> None:
    """How it ended, the last status, the counts, and the error by name and words."""
    ledger = MemoryLedger()
    async with keeping(ledger, script) as (watcher, _):
        (outcome,) = await watcher.gather([ToyJob("b")])
    row = ledger.of(id="b")
    assert isinstance(row, Concluded)
    assert (row.outcome, row.phase, row.error_type) == (kind, phase, error)
    assert row.polls == outcome.polls
    assert row.elapsed_s == outcome.elapsed_s
    if not isinstance(outcome, Succeeded):
        assert row.error_message == str(outcome.error)
    assert (row.status is None) is (outcome.status is None)
    assert row.failures == 0


async def test_leaving_is_not_an_outcome() -> None:
    """The row stays open, with all that is known, and the next run goes on."""
    ledger = MemoryLedger()
    async with keeping(ledger, [running(1), 503, running(1), running(2)]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(3.2)
    with pytest.raises(WatcherClosed):
        await watch
    row = ledger.of(id="a")
    assert isinstance(row, OpenWatch)
    assert (row.polls, row.phase, row.status) == (4, Phase.RUNNING, b'{"state":"running","done":2}')
    assert ledger.named("conclude") == []


# --- what the ledger does not take --------------------------------------------------------------


async def test_what_the_ledger_does_not_take_is_tried_again() -> None:
    """When the disk has room again, the true outcome is published. Other outcomes did not wait for it."""
    ledger = MemoryLedger()
    ledger.failures["conclude"] = [FULL] * 4
    async with keeping(ledger, by_job({"a": [SUCCEEDED], "b": [FAILED], "c": [RUNNING]})) as (watcher, transport):
        watcher.watch(ToyJob("c"))
        outcomes = await watcher.gather([ToyJob("a"), ToyJob("b")])
        assert [type(outcome) for outcome in outcomes] == [Succeeded, Failed]
        assert 3 < now() < 8
        assert len(transport.requests) > 5


async def test_a_ledger_that_stays_broken() -> None:
    """After its patience the watch ends, nothing is claimed, and the row is open: the next run finds out."""
    ledger = MemoryLedger()
    async with keeping(ledger, [running(7), SUCCEEDED], ledger_patience_s=10) as (watcher, _):
        watch = await watcher.record(ToyJob())
        ledger.broken["conclude"] = FULL
        with pytest.raises(LedgerWriteFailed) as caught:
            await watch
        assert 11 <= now() < 20
        assert isinstance(caught.value.__cause__, LedgerFull)
        assert isinstance(watch.outcome, Abandoned)
        assert (watch.outcome.phase, watch.outcome.status) == (Phase.RUNNING, watch.machine.status)
        assert isinstance(ledger.of(id="a"), OpenWatch)
        ledger.broken.clear()
        assert (await watcher.watch(ToyJob())).state == "succeeded"


async def test_each_outcome_has_patience_of_its_own() -> None:
    """An outcome that came late is still tried when those before it have ended."""
    ledger = MemoryLedger()
    ledger.broken["conclude"] = LedgerFailed("jobs.ledger", "I/O error")
    script = by_job({"a": [SUCCEEDED], "b": [*[RUNNING] * 8, SUCCEEDED]})
    async with keeping(ledger, script, ledger_patience_s=10) as (watcher, _):
        early, late = watcher.watch(ToyJob("a")), watcher.watch(ToyJob("b"))
        with pytest.raises(LedgerWriteFailed):
            await early
        assert late.outcome is None
        ledger.broken.clear()
        assert (await late).state == "succeeded"


async def test_a_closed_ledger_gets_no_second_chance() -> None:
    """Its owner has closed it too early: nothing is waited for."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING, SUCCEEDED]) as (watcher, _):
        watch = await watcher.record(ToyJob())
        ledger.broken["conclude"] = LedgerClosed("jobs.ledger", "it was closed")
        with pytest.raises(LedgerWriteFailed):
            await watch
        assert now() < 2


@pytest.mark.parametrize("mended", [True, False])
async def test_leaving_gives_the_ledger_one_last_chance(mended: bool) -> None:
    """An outcome that is written then is published. One that is not written is not, and its row stays open."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        ledger.broken["conclude"] = FULL
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(2)
        if mended:
            ledger.broken.clear()
    assert now() < 3
    assert type(watch.outcome) is (Succeeded if mended else Abandoned)
    assert type(ledger.of(id="a")) is (Concluded if mended else OpenWatch)
    if not mended:
        with pytest.raises(LedgerWriteFailed):
            await watch


async def test_being_cancelled_while_leaving_leaves_no_task_waiting() -> None:
    """A task that waits for an outcome that is under way gets `WatcherClosed`."""
    ledger = MemoryLedger()
    waiting: list[asyncio.Task[Any]] = []

    async def main() -> None:
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            watch = await watcher.record(ToyJob())
            ledger.latency_s = 100
            waiting.append(asyncio.create_task(asyncio.wait([asyncio.ensure_future(events_of(watch))])))
            await asyncio.sleep(1)

    task = asyncio.create_task(main())
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert now() < 3
    ((done,), _) = await waiting[0]
    assert isinstance(done.result()[-1].error, WatcherClosed)


async def test_trouble_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """An operator must know of it, and of nothing secret."""
    ledger = MemoryLedger()
    ledger.failures["conclude"] = [FULL, OSError("password=hunter2")]
    with caplog.at_level(logging.INFO):
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            await watcher.watch(ToyJob())
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "disk full" in caplog.text
    assert "hunter2" not in caplog.text


async def test_trouble_that_goes_on_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is no reason to fill the log; when it comes back after a good while it is news again."""
    ledger = MemoryLedger()
    ledger.failures["conclude"] = [FULL, FULL, FULL]
    with caplog.at_level(logging.INFO):
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            await watcher.watch(ToyJob("a"))
            ledger.failures["conclude"] = [FULL]
            await watcher.watch(ToyJob("b"))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


# --- what cannot be kept ------------------------------------------------------------------------


async def test_a_status_that_the_endpoint_cannot_write_is_its_bug() -> None:
    """A success that a crash would lose is not published as one, and the others are."""
    ledger = MemoryLedger()
    endpoint = KeptToyEndpoint()
    read = endpoint.read

    def reading(reply: Any) -> Any:
        found = read(reply)
        if b"no disk" in reply.body:
            object.__setattr__(found.status, "state", "unreadable")
        return found

    endpoint.read = reading  # type: ignore[method-assign]  # one status of many goes wrong
    jobs = toys(5)
    script = {job.id: [SUCCEEDED] for job in jobs} | {jobs[2].id: [FAILED]}
    async with keeping(ledger, by_job(script), endpoint=endpoint) as (watcher, _):
        outcomes = await watcher.gather(jobs)
    assert [type(outcome) for outcome in outcomes] == [Succeeded] * 2 + [Abandoned] + [Succeeded] * 2
    assert isinstance(outcomes[2].error, EndpointBug)
    assert outcomes[2].error.kind == "KeyError"
    row = ledger.of(id=jobs[2].id)
    assert isinstance(row, Concluded)
    assert (row.outcome, row.error_type, row.status) == (OutcomeKind.ABANDONED, "EndpointBug", None)


class Picky(MemoryLedger):
    """Refuses some values, as SQLite does with numbers that are too large."""

    def __init__(self, refused: str, *, always: bool) -> None:
        super().__init__()
        self.refused = refused
        self.always = always

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        for end in outcomes:
            if self.rows[end.id].keys["id"] == self.refused and (self.always or end.status is not None):
                raise ConfigurationError("a value cannot be kept")
        return await super().conclude(outcomes)


@pytest.mark.parametrize("always", [False, True])
async def test_what_the_ledger_cannot_keep_does_not_harm_the_others(always: bool) -> None:
    """It is found among those that it travelled with, and kept without its status if that helps."""
    ledger = Picky("job-3", always=always)
    async with keeping(ledger, [SUCCEEDED], concurrency=9) as (watcher, _):
        outcomes = await watcher.gather(toys(9))
        await settle()
    assert [type(outcome) for outcome in outcomes] == [Succeeded] * 3 + [Abandoned] + [Succeeded] * 5
    assert isinstance(outcomes[3].error, LedgerWriteFailed if always else EndpointBug)
    assert type(ledger.of(id="job-3")) is (OpenWatch if always else Concluded)


async def test_a_cancelled_vendor_job_is_no_failure() -> None:
    """All four kinds go through a ledger and stay what they are."""
    ledger = MemoryLedger()
    async with keeping(ledger, [CANCELLED]) as (watcher, _):
        assert isinstance((await watcher.gather([ToyJob()]))[0], Cancelled)
