"""New rows: before anything is asked, together, and what becomes of a job that the ledger knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from yarl import URL

from kept_toy import NOON_S, KeptToyEndpoint, MemoryLedger, ToyCodec, keeping, toys
from pollwise.core.pacing import Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.core.record_states import RecordEvent, RecordState
from pollwise.durable.admission import Admission
from pollwise.durable.patience import Patience
from pollwise.durable.recorded_watch import advance
from pollwise.errors import (
    ConfigurationError,
    DeadlineExceeded,
    EndpointBug,
    JobFailed,
    LedgerWriteFailed,
    RetriesExhausted,
    WatcherClosed,
    WatchStopped,
)
from pollwise.ledger import (
    Concluded,
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerUnwritable,
    NewWatch,
    OpenWatch,
    OutcomeKind,
    Renewal,
)
from pollwise.model.events import Abandoned, Cancelled, Failed, Progressed, Succeeded
from pollwise.model.messages import Request
from pollwise.model.reading import Phase
from pollwise.testing import Answer, Hang
from pollwise.watcher import JobWatcher
from toy import CANCELLED, FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus, by_job, running, settle, watching

pytestmark = pytest.mark.looptime

FULL = LedgerFull("jobs.ledger", "disk full")


def now() -> float:
    return asyncio.get_running_loop().time()


class MovedToyEndpoint(KeptToyEndpoint):
    """A toy whose API has moved."""

    def request(self, job: ToyJob) -> Request:
        return attrs.evolve(super().request(job), url=URL(f"https://new.example/{job.id}"))


# --- before anything is asked -------------------------------------------------------------------


async def test_nothing_is_asked_before_its_row_is_on_disk() -> None:
    """A crash right after the first poll finds the watch in the ledger."""
    async with keeping(MemoryLedger(latency_s=2.0), [SUCCEEDED]) as (watcher, transport):
        await asyncio.sleep(1)
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(1.9)
        assert transport.times == []
        await watch
        assert transport.times == [pytest.approx(5.0)]  # two seconds were for the durations


async def test_recorded_means_on_disk() -> None:
    """`record` returns when the row is there, with all that the next run needs."""
    ledger = MemoryLedger(latency_s=2.0)
    async with keeping(ledger, [RUNNING], timeout_s=600) as (watcher, _):
        watch = await watcher.record(ToyJob("a"))
        assert now() == pytest.approx(4.0)
        row = ledger.of(id="a")
        began = datetime.fromtimestamp(NOON_S + 2, UTC)
        assert (row.endpoint, row.keys) == ("toy", {"id": "a"})
        assert (row.first_seen, row.deadline) == (began, began + timedelta(seconds=600))
        assert watcher.watch(ToyJob("a")) is watch
        assert await watcher.record(ToyJob("a")) is watch
        assert ledger.named("record") == [1]


async def test_waiting_for_ever_is_written_down_as_such() -> None:
    """No deadline, and one thousands of years away, are no deadline in a ledger."""
    ledger = MemoryLedger()
    for timeout_s in (None, 1e13):
        async with keeping(ledger, [RUNNING], timeout_s=timeout_s) as (watcher, _):
            await watcher.record(ToyJob(str(timeout_s)))
            assert ledger.of(id=str(timeout_s)).deadline is None


async def test_all_rows_of_many_jobs() -> None:
    """`record_all` takes any iterable, gives the watches in order, and writes hundreds of rows at a time."""
    ledger = MemoryLedger()
    jobs = toys(1_000)

    async def lazily() -> AsyncIterator[ToyJob]:
        for job in jobs:
            yield job

    async with keeping(ledger, [RUNNING]) as (watcher, _):
        watches = await watcher.record_all(jobs[:300])
        assert [watch.job for watch in watches] == jobs[:300]
        assert [watch.job for watch in await watcher.record_all(lazily())] == jobs
        assert len(ledger.rows) == 1_000
        assert sum(ledger.named("record")) == 1_000
        assert len(ledger.named("record")) <= 10


async def test_a_commit_takes_thousands_of_rows() -> None:
    """While one call is under way, the next is gathered: how long one takes does not set how many are recorded a second."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [RUNNING], budget=RateBudget(1, per_s=1000)) as (watcher, _):
        began = now()
        await watcher.record_all(toys(8_000))
        assert now() - began < 8
        assert sum(ledger.named("record")) == 8_000
        assert max(ledger.named("record")) <= 2_000


async def test_no_more_jobs_are_taken_than_the_ledger_keeps_up_with() -> None:
    """A million jobs of a generator do not pile up in memory before a slow ledger."""
    ledger = MemoryLedger(latency_s=1.0)
    taken = 0

    async def lazily() -> AsyncIterator[ToyJob]:
        nonlocal taken
        for job in toys(12_000):
            taken += 1
            yield job

    async with keeping(ledger, [RUNNING], budget=RateBudget(1, per_s=1000)) as (watcher, _):
        recording = asyncio.create_task(watcher.record_all(lazily()))
        ahead = 0
        while not recording.done():
            await asyncio.sleep(0.5)
            ahead = max(ahead, taken - len(ledger.rows))
        assert len(await recording) == taken == len(ledger.rows) == 12_000
        assert 2_000 < ahead <= 6_500


class Row:
    """Stands for a watch: all that is asked of it here."""

    def __init__(self) -> None:
        self.job = None
        self.machine = SimpleNamespace(outcome=None)
        self._row_id: int | None = None
        self._state = RecordState.PENDING


async def test_rows_are_taken_in_a_page_at_a_time_also_when_that_is_interrupted() -> None:
    """If foreign code cancels the task, watches that have begun do not begin again, and the others begin all the same."""
    begun: list[Any] = []
    tasks: list[asyncio.Task[None]] = []

    def apply(watch: Any, event: RecordEvent, _outcome: object = None) -> None:
        if not advance(watch, event).polled:
            return
        begun.append(watch)
        if len(begun) == 250:
            asyncio.get_running_loop().call_soon(tasks[0].cancel)

    def start(work: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work, name=name))
        return tasks[-1]

    found: Any = SimpleNamespace(machine=lambda _job, _known: SimpleNamespace(phase=None))
    patience = Patience("new watches", patience_s=60, now=now, closing=asyncio.Event())
    admission: Admission[Any, Any] = Admission(
        ledger=MemoryLedger(), rows=found, apply=apply, start=start, now=now, patience=patience, generations={}
    )
    rows: list[Any] = [Row() for _ in range(1_000)]
    noon = datetime.fromtimestamp(NOON_S, UTC)
    for n, row in enumerate(rows):
        admission.add(row, NewWatch(endpoint="toy", keys={"id": str(n)}, first_seen=noon, deadline=None))
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert len(begun) == 250
    await admission.wait_settled(rows[-1])
    assert begun == rows


async def test_watches_that_come_together_travel_together() -> None:
    """A watch that comes while a call is under way goes with the next call."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        for n in range(7):
            watcher.watch(ToyJob(f"first-{n}"))
        await asyncio.sleep(0.5)
        for n in range(5):
            watcher.watch(ToyJob(f"second-{n}"))
            await asyncio.sleep(0.01)
        await asyncio.sleep(3)
        assert ledger.named("record") == [7, 5]


async def test_streams_ask_only_what_is_on_disk() -> None:
    """`as_completed` and `gather` take the same road."""
    ledger = MemoryLedger()
    script = by_job({"a": [SUCCEEDED], "b": [FAILED]})
    async with keeping(ledger, script, ledger_patience_s=5) as (watcher, transport):
        assert [type(outcome) for outcome in await watcher.gather([ToyJob("a"), ToyJob("b")])] == [Succeeded, Failed]
        ledger.broken["record"] = FULL
        async for outcome in watcher.as_completed([ToyJob("c")]):
            assert isinstance(outcome.error, LedgerWriteFailed)
        assert len(transport.requests) == 2


async def test_a_ledger_is_neither_needed_nor_forgotten() -> None:
    """What needs one says so at once; so does an endpoint that cannot be used with one."""
    async with watching([RUNNING]) as (watcher, _):
        for call in (watcher.record(ToyJob()), watcher.record_all([]), watcher.resume()):
            with pytest.raises(ConfigurationError, match="needs a ledger"):
                await call
        with pytest.raises(ConfigurationError, match="needs a ledger"):
            watcher.outcomes()
    with pytest.raises(ConfigurationError, match="has no codec"):
        JobWatcher(ToyEndpoint(), timeout_s=1, ledger=MemoryLedger())
    closed = JobWatcher(KeptToyEndpoint(), timeout_s=1, ledger=MemoryLedger())
    with pytest.raises(WatcherClosed):
        await closed.record(ToyJob())
    with pytest.raises(WatcherClosed):
        closed.outcomes()


async def test_a_ledger_that_is_not_open_is_noticed_on_the_way_in() -> None:
    """And nothing is left half open."""
    ledger = MemoryLedger()
    ledger.failures["durations"] = [LedgerClosed("jobs.ledger", "it was not opened yet")]
    watcher = JobWatcher(KeptToyEndpoint(), timeout_s=10, ledger=ledger)
    with pytest.raises(LedgerClosed):
        await watcher.__aenter__()
    async with watcher:
        assert watcher.open_count == 0


# --- what the ledger does not take --------------------------------------------------------------


@pytest.mark.parametrize("error", [FULL, LedgerInUse("jobs.ledger"), LedgerFailed("jobs.ledger", "I/O"), OSError("?")])
async def test_a_row_that_the_ledger_does_not_take_is_tried_again(error: Exception) -> None:
    """No job is polled before its row is on disk, and the failures are not reported."""
    ledger = MemoryLedger()
    ledger.failures["record"] = [error] * 5
    async with keeping(ledger, [SUCCEEDED]) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(5)
        assert (watch.outcome, watch.last, transport.requests) == (None, None, [])
        assert (await watch).state == "succeeded"
        assert 7 < now() < 10
        assert len(ledger.named("record")) == 6


async def test_a_thousand_new_watches_survive_a_lock() -> None:
    """They are tried again together, with those that came meanwhile, and no watch is abandoned."""
    ledger = MemoryLedger()
    ledger.broken["record"] = LedgerInUse("jobs.ledger")
    asyncio.get_running_loop().call_later(20, ledger.broken.clear)
    async with keeping(ledger, [SUCCEEDED], timeout_s=600, concurrency=500) as (watcher, _):
        early = asyncio.create_task(watcher.gather(toys(1_000)))
        await asyncio.sleep(10)
        late = asyncio.create_task(watcher.gather([ToyJob(f"late-{n}") for n in range(500)]))
        outcomes = [*await early, *await late]
        assert {type(outcome) for outcome in outcomes} == {Succeeded}
        assert now() < 30
        assert len(ledger.named("record")) < 12
        assert max(ledger.named("record")) == 1_500


async def test_record_waits_for_the_ledger() -> None:
    """`record` and `record_all` return when the ledger has taken the rows after all."""
    ledger = MemoryLedger()
    ledger.failures["record"] = [FULL] * 3
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        assert (await watcher.record(ToyJob())).outcome is None
        assert 1 < now() < 3
        ledger.failures["record"] = [FULL] * 3
        assert len(await watcher.record_all(toys(600))) == 600
        assert len(ledger.rows) == 601


async def test_a_ledger_that_takes_no_row_for_a_minute() -> None:
    """`record` raises the ledger's error, the watch ends as typed, nothing was asked, and it can be watched again."""
    ledger = MemoryLedger()
    ledger.broken["record"] = FULL
    async with keeping(ledger, [SUCCEEDED]) as (watcher, transport):
        recording = asyncio.create_task(watcher.record(ToyJob()))
        with pytest.raises(LedgerWriteFailed) as caught:
            await watcher.watch(ToyJob())
        assert 60 <= now() < 66
        with pytest.raises(LedgerFull):
            await recording
        assert (caught.value.kind, caught.value.job, caught.value.asked) == ("LedgerFull", ToyJob(), False)
        assert isinstance(caught.value.__cause__, LedgerFull)
        for words in ("disk full", "could not be written down", "not asked about", "no row of this watch"):
            assert words in str(caught.value)
        assert "became of it" not in str(caught.value)
        assert transport.requests == []
        assert watcher.open_count == 0
        with pytest.raises(LedgerFull):
            await watcher.record_all(toys(3))
        ledger.broken.clear()
        assert (await watcher.watch(ToyJob())).state == "succeeded"


async def test_each_row_has_patience_of_its_own() -> None:
    """A watch that came late waits on when those before it have ended."""
    ledger = MemoryLedger()
    ledger.broken["record"] = FULL
    async with keeping(ledger, [SUCCEEDED], ledger_patience_s=20) as (watcher, _):
        early = watcher.watch(ToyJob("a"))
        await asyncio.sleep(15)
        late = watcher.watch(ToyJob("b"))
        with pytest.raises(LedgerWriteFailed):
            await early
        assert now() < 30
        assert late.outcome is None
        ledger.broken.clear()
        assert (await late).state == "succeeded"


async def test_a_slow_ledger_that_fails_once_loses_no_watch() -> None:
    """Patience is counted from when the ledger began to fail: rows that queued for longer get a second try."""
    ledger = MemoryLedger(latency_s=30.0)
    async with keeping(ledger, [RUNNING], ledger_patience_s=10, timeout_s=9_000) as (watcher, _):
        ledger.failures["record"] = [None, FULL]
        watches = await watcher.record_all(toys(2_001))
        assert all(watch.outcome is None for watch in watches)


@pytest.mark.parametrize(
    "error",
    [
        LedgerClosed("jobs.ledger", "it was closed"),
        LedgerUnwritable("jobs.ledger", "it was opened with read_only=True", read_only=True),
        LedgerCorrupt("jobs.ledger", "it is cut short"),
    ],
)
async def test_what_no_later_try_can_mend_is_said_at_once(error: LedgerError) -> None:
    """A closed, damaged or read-only ledger gets no second try."""
    ledger = MemoryLedger()
    ledger.broken["record"] = error
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        with pytest.raises(type(error)):
            await watcher.record(ToyJob())
        assert now() < 1
        assert len(ledger.named("record")) == 1


async def test_a_deadline_that_passes_while_the_ledger_is_locked() -> None:
    """It ends its watch there and then, with the ledger's error as the cause; the others go on waiting."""
    ledger = MemoryLedger()
    ledger.broken["record"] = LedgerInUse("jobs.ledger")
    async with keeping(ledger, [RUNNING], timeout_s=20) as (watcher, transport):
        first = watcher.watch(ToyJob("a"))
        recording = asyncio.create_task(watcher.record(ToyJob("a")))
        await asyncio.sleep(7.3)
        later = watcher.watch(ToyJob("b"))
        with pytest.raises(DeadlineExceeded) as caught:
            await first
        assert now() == pytest.approx(20.0, abs=0.01)
        assert isinstance(caught.value.__cause__, LedgerInUse)
        with pytest.raises(DeadlineExceeded):
            await recording
        assert later.outcome is None
        with pytest.raises(DeadlineExceeded):
            await later
        assert now() == pytest.approx(27.3, abs=0.01)
        assert (transport.requests, ledger.rows, watcher.open_count) == ([], {}, 0)
        ledger.broken.clear()
        assert (await watcher.record(ToyJob("a"))).outcome is None


async def test_a_deadline_while_a_call_is_under_way() -> None:
    """The call's answer is awaited: where the row is on disk then, the outcome is, too."""
    ledger = MemoryLedger(latency_s=3.0)
    async with keeping(ledger, [RUNNING], timeout_s=1) as (watcher, _):
        with pytest.raises(DeadlineExceeded):
            await watcher.watch(ToyJob())
        row = ledger.of(id="a")
        assert isinstance(row, Concluded)
        assert row.error_type == "DeadlineExceeded"


async def test_stopped_while_the_ledger_is_locked() -> None:
    """It ends at once, without a row: no ledger is waited for to stop a watch that was never polled."""
    ledger = MemoryLedger()
    ledger.broken["record"] = FULL
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        watches = [watcher.watch(job) for job in toys(3)]
        await asyncio.sleep(10.1)
        watches[1].stop()
        with pytest.raises(WatchStopped):
            await watches[1]
        assert now() == pytest.approx(10.1, abs=0.01)
        ledger.broken.clear()
        await asyncio.sleep(10)
        assert [row.keys["id"] for row in ledger.rows.values()] == ["job-0", "job-2"]


@pytest.mark.parametrize("mended", [True, False])
async def test_left_while_the_ledger_is_locked(mended: bool) -> None:
    """There is one last try, and leaving takes no longer for it."""
    ledger = MemoryLedger()
    ledger.broken["record"] = FULL
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(10)
        if mended:
            ledger.broken.clear()
        tries = len(ledger.named("record"))
    assert now() < 10.1
    assert len(ledger.named("record")) == tries + 1
    assert len(ledger.rows) == mended
    with pytest.raises(WatcherClosed):
        await watch


async def test_interrupted_while_the_ledger_is_locked() -> None:
    """Foreign code that cancels the task loses no row."""
    ledger = MemoryLedger()
    ledger.broken["record"] = FULL
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watches = [watcher.watch(job) for job in toys(3)]
        await asyncio.sleep(10)
        for task in asyncio.all_tasks():
            if task.get_name() == "pollwise-admission":
                task.cancel()
        ledger.broken.clear()
        assert [(await watch).state for watch in watches] == ["succeeded"] * 3


async def test_trouble_with_new_rows_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A lock of half a minute is one warning."""
    ledger = MemoryLedger()
    ledger.broken["record"] = LedgerInUse("jobs.ledger")
    asyncio.get_running_loop().call_later(30, ledger.broken.clear)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        await watcher.gather(toys(10))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "new watches" in caplog.text


async def test_the_message_of_a_foreign_error_is_not_repeated() -> None:
    """A foreign ledger may raise anything, and the message may hold anything."""
    ledger = MemoryLedger()
    ledger.broken["record"] = OSError("password=hunter2")
    async with keeping(ledger, [SUCCEEDED], ledger_patience_s=1) as (watcher, _):
        with pytest.raises(LedgerWriteFailed) as caught:
            await watcher.record(ToyJob())
        assert caught.value.kind == "OSError"
        assert "hunter2" not in str(caught.value)


async def test_one_jobs_keys_do_not_harm_the_others() -> None:
    """What cannot be kept is found among those that it travelled with, and only its watch ends."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        jobs = toys(9)
        jobs[4] = ToyJob("\ud800")
        watches = [watcher.watch(job) for job in jobs]
        with pytest.raises(ConfigurationError):
            await watcher.record(jobs[4])
        outcomes = [type((await asyncio.gather(watch, return_exceptions=True))[0]) for watch in watches]
        assert outcomes == [ToyStatus] * 4 + [LedgerWriteFailed] + [ToyStatus] * 4


async def test_a_key_that_is_no_text_is_refused_at_once() -> None:
    """Before anything is written or asked."""

    class Numbered(ToyCodec):
        def job_to_keys(self, job: ToyJob, /) -> dict[str, str]:
            return {"id": 7}  # type: ignore[dict-item]  # the mistake

    async with keeping(MemoryLedger(), [RUNNING], endpoint=KeptToyEndpoint(codec=Numbered())) as (watcher, _):
        with pytest.raises(ConfigurationError):
            watcher.watch(ToyJob())
        assert watcher.open_count == 0


# --- what the ledger knows ----------------------------------------------------------------------


async def one_run(ledger: MemoryLedger, script: list[Answer], for_s: float = 10.0, **options: object) -> None:
    """A run that watches the toy and is left."""
    async with keeping(ledger, script, **options) as (watcher, _):
        watcher.watch(ToyJob())
        await asyncio.sleep(for_s)


async def test_an_open_job_goes_on() -> None:
    """Watched again by the next run it keeps its beginning, deadline, polls and what was last seen."""
    ledger = MemoryLedger()
    await one_run(ledger, [running(3)], for_s=10.5, timeout_s=100)
    row = ledger.of(id="a")
    assert isinstance(row, OpenWatch)
    assert (row.polls, row.phase) == (11, Phase.RUNNING)
    await asyncio.sleep(40)
    async with keeping(ledger, [running(3), running(9)], timeout_s=1_000) as (watcher, _):
        watch = await watcher.record(ToyJob())
        assert isinstance(watch.last, Progressed)
        assert watch.last.status == ToyStatus("running", 3)
        with pytest.raises(DeadlineExceeded):
            await watch
        assert now() == pytest.approx(100, abs=0.1)
        assert isinstance(watch.outcome, Abandoned)
        assert watch.outcome.polls == pytest.approx(60, abs=2)
        assert watch.outcome.elapsed_s == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(("answer", "kind"), [(SUCCEEDED, Succeeded), (FAILED, Failed), (CANCELLED, Cancelled)])
async def test_a_known_outcome_is_reported_without_a_poll(answer: Answer, kind: type) -> None:
    """Awaiting and iterating give the same outcome as before."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING, answer]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.wait([asyncio.ensure_future(asyncio.gather(watch, return_exceptions=True))])
        before = watch.outcome
    async with keeping(ledger, [RUNNING]) as (watcher, transport):
        watch = await watcher.record(ToyJob())
        assert isinstance(watch.outcome, kind)
        assert repr(watch.outcome) == repr(before)
        assert [event async for event in watch] == [watch.outcome]
        assert transport.requests == []
        if kind is Failed:
            with pytest.raises(JobFailed, match="no disk") as caught:
                await watch
            assert caught.value.reason == "no disk"


async def test_an_end_that_cannot_be_read_is_not_made_up() -> None:
    """It is the endpoint's bug, the ledger keeps what it has, and nothing is asked."""

    class Forgetful(ToyCodec):
        def status_from_json(self, data: object, /) -> ToyStatus:
            raise LookupError

    ledger = MemoryLedger()
    await one_run(ledger, [SUCCEEDED])
    async with keeping(ledger, [RUNNING], endpoint=KeptToyEndpoint(codec=Forgetful())) as (watcher, transport):
        with pytest.raises(EndpointBug):
            await watcher.watch(ToyJob())
        assert transport.requests == []
    assert isinstance(ledger.of(id="a"), Concluded)


async def test_an_abandoned_job_that_is_watched_again_is_asked_again() -> None:
    """With all of the time before it, and its polls counted on."""
    ledger = MemoryLedger()
    await one_run(ledger, [running(2), 503], for_s=300, retry=Retry(outage_s=1e-9, min_failures=3))
    row = ledger.of(id="a")
    assert isinstance(row, Concluded)
    assert (row.outcome, row.error_type, row.polls) == (OutcomeKind.ABANDONED, "RetriesExhausted", 4)
    async with keeping(ledger, [running(5)], timeout_s=50, retry=Retry(outage_s=1e-9, min_failures=3)) as (watcher, _):
        began = now()
        watch = await watcher.record(ToyJob())
        assert isinstance(ledger.of(id="a"), OpenWatch)
        assert isinstance(watch.last, Progressed)
        with pytest.raises(DeadlineExceeded):
            await watch
        assert now() - began == pytest.approx(50, abs=0.1)
        assert watch.machine.polls > 40


async def test_abandoned_and_watched_again_in_one_run() -> None:
    """The first outcome stays what it was; the second comes to the ledger."""
    ledger = MemoryLedger()
    async with keeping(ledger, [503, 503, SUCCEEDED], retry=Retry(outage_s=1e-9, min_failures=2)) as (watcher, _):
        with pytest.raises(RetriesExhausted):
            await watcher.watch(ToyJob())
        assert (await watcher.watch(ToyJob())).state == "succeeded"
        row = ledger.of(id="a")
        assert isinstance(row, Concluded)
        assert (row.outcome, row.polls) == (OutcomeKind.SUCCEEDED, 3)


async def test_a_ledger_that_does_not_open_it_again() -> None:
    """That is tried again as well; while it fails, the job is not asked about."""
    ledger = MemoryLedger()
    await one_run(ledger, [403])
    ledger.failures["reopen"] = [FULL] * 3
    async with keeping(ledger, [SUCCEEDED], ledger_patience_s=20) as (watcher, transport):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
        assert len(transport.requests) == 1
    other = MemoryLedger()
    await one_run(other, [403])
    async with keeping(other, [SUCCEEDED], ledger_patience_s=20) as (watcher, transport):
        other.broken["reopen"] = FULL
        began = now()
        with pytest.raises(LedgerFull):  # nor is it said to be on disk as an open one
            await watcher.record(ToyJob())
        assert 20 <= now() - began < 26
        with pytest.raises(LedgerWriteFailed) as caught:
            await watcher.watch(ToyJob())
        assert not caught.value.asked
        assert transport.requests == []
        assert isinstance(other.of(id="a"), Concluded)


async def test_interrupted_while_it_is_opened_again() -> None:
    """A delivery of how it ended before acknowledges that alone, not how it ends now."""

    class AnswersLate(MemoryLedger):
        """What is opened again is so long before that is said."""

        async def reopen(self, renewals: Sequence[Renewal], /) -> int:
            count = await super().reopen(renewals)
            await asyncio.sleep(10)
            return count

    ledger = AnswersLate()
    await one_run(ledger, [403])
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes(follow=True)
        before = await anext(deliveries)
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(5)
        for task in asyncio.all_tasks():
            if task.get_name() == "pollwise-admission":
                task.cancel()
        assert (await watch).state == "succeeded"
        assert not await before.ack()
        assert isinstance((await anext(deliveries)).outcome, Succeeded)


# --- while its row is under way -----------------------------------------------------------------


async def test_stopped_while_its_row_is_under_way() -> None:
    """It ends as stopped, when that is on disk."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [RUNNING]) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        watch.stop()
        assert watch.outcome is None
        assert watcher.watch(ToyJob()) is watch
        with pytest.raises(WatchStopped):
            await watch
        row = ledger.of(id="a")
        assert isinstance(row, Concluded)
        assert row.error_type == "WatchStopped"
        assert transport.requests == []


@pytest.mark.parametrize(
    ("before", "after_s"), [("open", 0.0), ("open", 0.5), ("abandoned", 0.0), ("abandoned", 0.5), ("abandoned", 1.5)]
)
async def test_stopped_while_a_row_of_an_earlier_run_is_under_way(before: str, after_s: float) -> None:
    """What the row knows of the job stays in it, and is in the outcome: all polls, the status and the phase."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING] * 9 + [Hang()]) as (watcher, _):
        watch = await watcher.record(ToyJob())
        await asyncio.sleep(300)
        if before == "abandoned":
            watch.stop()
    known = ledger.of(id="a")
    assert isinstance(known, Concluded) == (before == "abandoned")
    assert known.polls >= 9
    ledger.latency_s = 1.0
    async with keeping(ledger, [Hang()]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(after_s)
        watch.stop()
        with pytest.raises(WatchStopped):
            await watch
        row, outcome = ledger.of(id="a"), watch.outcome
    assert isinstance(row, Concluded)
    assert (row.polls, row.phase, row.status, row.seen_s) == (known.polls, known.phase, known.status, known.seen_s)
    assert isinstance(outcome, Abandoned)
    assert (outcome.polls, outcome.phase, outcome.status) == (row.polls, Phase.RUNNING, ToyStatus("running", False))
    assert row.elapsed_s > 300


async def test_stopped_while_another_row_is_opened_again() -> None:
    """A row that waits for its turn to be changed is left as it is, and its watch ends."""
    ledger = MemoryLedger()
    async with keeping(ledger, [403]) as (watcher, _):
        await watcher.record(ToyJob("a"))
        await asyncio.sleep(1)
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await watcher.record(ToyJob("b"))
    ledger.rows[2] = attrs.evolve(ledger.rows[2], origin="https://old.example", polls=7)
    ledger.latency_s = 1.0
    options = {"endpoint": MovedToyEndpoint(), "moved_from": "https://old.example"}
    async with keeping(ledger, [Hang()], **options) as (watcher, _):
        one, two = (watcher.watch(ToyJob(name)) for name in "ab")
        await asyncio.sleep(1.5)
        assert ledger.calls[-1] == ("reopen", 1)
        two.stop()
        with pytest.raises(WatchStopped):
            await asyncio.wait_for(two, 10)
        row = ledger.of(id="b")
        assert isinstance(row, Concluded)
        assert (row.polls, row.origin) == (7, "https://old.example")
        one.stop()


async def test_stopped_while_its_row_is_refused() -> None:
    """It ends as stopped: nothing was lost."""
    ledger = MemoryLedger(latency_s=1.0)
    ledger.failures["record"] = [FULL]
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        watch.stop()
        with pytest.raises(WatchStopped):
            await watcher.record(ToyJob())


@pytest.mark.parametrize("before", [[SUCCEEDED], [403]])
async def test_stopped_while_it_turns_out_to_have_ended(before: list[Answer]) -> None:
    """The outcome in the ledger says more than that the watch was stopped."""
    ledger = MemoryLedger(latency_s=1.0)
    await one_run(ledger, before)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        watch.stop()
        await asyncio.sleep(5)
        assert type(watch.outcome) is (Succeeded if before == [SUCCEEDED] else Abandoned)
        assert not isinstance(getattr(watch.outcome, "error", None), WatchStopped)


async def test_stopped_after_the_ledger_has_told_its_end() -> None:
    """That does nothing, as after any end: no other outcome is published, in this block or after it."""
    ledger = MemoryLedger()
    await one_run(ledger, [SUCCEEDED])
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        deliveries = watcher.outcomes(follow=True)
        assert await (await anext(deliveries)).ack()
        watch = watcher.watch(ToyJob())
        assert (await watch).state == "succeeded"
        watch.stop()
        waiting = asyncio.create_task(anext(deliveries, None))
        await asyncio.sleep(5)
        assert not waiting.done()
    assert await waiting is None
    watch.stop()
    await asyncio.to_thread(watch.stop)
    assert isinstance(watch.outcome, Succeeded)


async def test_left_while_its_row_is_under_way() -> None:
    """The row is written all the same, and the next run takes it up."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        recording = asyncio.create_task(watcher.record(ToyJob("b")))
        await settle()
    with pytest.raises(WatcherClosed):
        await watch
    assert (await recording).job == ToyJob("b")
    assert len(ledger.rows) == 2
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        assert len(await watcher.resume()) == 2


async def test_left_while_its_row_is_refused() -> None:
    """A call that waits for it raises that the watcher was left."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        ledger.broken["record"] = FULL
        recording = asyncio.create_task(watcher.record(ToyJob()))
        await settle()
    with pytest.raises(WatcherClosed):
        await recording


async def test_to_stop_waiting_for_the_disk_stops_nothing_else() -> None:
    """A cancelled `record` changes neither the watch nor other callers that wait for it."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [Hang()]) as (watcher, _):
        one, two = (asyncio.create_task(watcher.record(ToyJob())) for _ in range(2))
        await settle()
        one.cancel()
        assert (await two) is watcher.watch(ToyJob())
        assert one.cancelled()


async def test_left_while_it_turns_out_to_be_abandoned() -> None:
    """It was not opened again, so no later run goes on with it, and `record` does not say that it is on disk."""
    ledger = MemoryLedger()
    await one_run(ledger, [403])
    ledger.latency_s = 1.0
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        recording = asyncio.create_task(watcher.record(ToyJob()))
        await settle()
    with pytest.raises(WatcherClosed):
        await recording
    assert isinstance(ledger.of(id="a"), Concluded)


async def test_a_callback_that_stops_others_while_the_ledger_refuses_them() -> None:
    """The first watch that ends stops the rest; all of them end, and rows are written afterwards as before."""
    ledger = MemoryLedger()
    ledger.broken["record"] = LedgerClosed("jobs.ledger", "it was closed")
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watches = [watcher.watch(job) for job in toys(3)]
        recording = [asyncio.create_task(watcher.record(job)) for job in toys(3)]
        watches[0].on_outcome(lambda _: [watch.stop() for watch in watches])
        found = await asyncio.wait_for(asyncio.gather(*recording, return_exceptions=True), 5)
        assert [type(error) for error in found] == [LedgerClosed, WatchStopped, WatchStopped]
        ledger.broken.clear()
        assert (await asyncio.wait_for(watcher.watch(ToyJob()), 5)).state == "succeeded"
