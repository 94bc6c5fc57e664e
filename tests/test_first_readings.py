"""A start whose reply has a reading of the job: the watch begins with it, or is over at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from memory_ledger import MemoryLedger
from pollwise import (
    BearerAuth,
    ConfigurationError,
    Failed,
    JobFailed,
    JobWatcher,
    Pacing,
    Phase,
    Progressed,
    Reading,
    Request,
    SqliteLedger,
    Succeeded,
)
from pollwise.endpoints import Cursor, Reply, ResultPage, Submitted
from pollwise.errors import CallbackFailed, EndpointBug, ResultTooLarge, SubmitDoubtful, UnknownOutcome
from pollwise.ledger import Concluded, LedgerFull, OpenWatch
from pollwise.testing import controlled
from submitting import BUSY, DONE, STARTED, Presses, Starting, Vendor, said, serving
from toy import ToyJob, ToyStatus

pytestmark = pytest.mark.looptime

OVER = said("200 OK", b'{"id": "7", "state": "succeeded"}')
RUNS = said("202 Accepted", b'{"id": "7", "state": "running", "done": 1, "of": 4}')


class Telling(Presses):
    """The reply to a start has the state of the job, too. The state itself is the result."""

    def read_submitted(self, order: str, reply: Reply, /) -> Submitted[ToyJob]:
        document = reply.json()
        return Submitted(ToyJob(document["id"]), document.get("wait"), reading=self.read(reply))

    def result_request(self, _job: ToyJob, status: ToyStatus, /) -> ResultPage[str]:
        return ResultPage(status.state)

    def read_result(self, reply: Reply, /) -> str:
        raise AssertionError(reply)


class Giving(Telling):
    """The first reading is `first`."""

    first: Any = None

    def read_submitted(self, order: str, reply: Reply, /) -> Submitted[ToyJob]:
        return Submitted(ToyJob("7"), reading=self.first)


def giving(reading: object) -> type[Giving]:
    return type("Given", (Giving,), {"first": reading})


async def _outcomes(watcher: JobWatcher[Any, Any, Any, Any]) -> list[Any]:
    return [(one.outcome, await one.ack()) async for one in watcher.outcomes()]


@pytest.mark.parametrize("kept", [False, True], ids=["without ledger", "with ledger"])
async def test_a_start_that_did_the_work_is_a_watch_that_is_over(kept: bool) -> None:
    """Its events, its status and its result are there, and nothing is polled."""
    vendor = Vendor(OVER)
    async with Starting(vendor, kind=Telling, ledger=MemoryLedger() if kept else None) as watcher:
        called: list[Any] = []
        watch = await watcher.submit("print")
        watch.on_outcome(called.append)
        assert watch.outcome == Succeeded(
            job=ToyJob("7"), status=ToyStatus("succeeded"), elapsed_s=0.0, polls=1, detected_within_s=None
        )
        assert called == [watch]
        assert watch.last == watch.outcome
        assert [event async for event in watch] == [watch.outcome]
        assert (await watch).state == await watch.result() == "succeeded"
        assert watcher.open_count == 0
        await asyncio.sleep(100.0)
    assert not vendor.polls


@pytest.mark.parametrize("kept", [False, True], ids=["without ledger", "with ledger"])
async def test_a_job_that_goes_on_has_its_first_event(kept: bool) -> None:
    """It is polled when the pacing says, as after a first poll."""
    ledger, vendor = MemoryLedger(), Vendor(RUNS, status=DONE)
    async with Starting(vendor, kind=Telling, ledger=ledger if kept else None) as watcher:
        watch = await watcher.submit("print")
        assert isinstance(watch.last, Progressed)
        assert (watch.last.phase, watch.last.fraction, watch.last.polls) == (Phase.RUNNING, 0.25, 1)
        events = [event async for event in watch]
        assert [type(event) for event in events] == [Progressed, Succeeded]
        assert isinstance(watch.outcome, Succeeded)
        assert watch.outcome.polls == 2
    assert [round(at - vendor.starts[0]) for at in vendor.polls] == [60]


@pytest.mark.parametrize(
    ("wait", "field", "due_s"), [(b"90", "X: 1", 90), (b"5", "Retry-After: 100", 100), (b"5", "X: 1", 60)]
)
async def test_a_hint_of_the_start_is_a_floor_of_the_pacing(wait: bytes, field: str, due_s: int) -> None:
    """As a hint of a poll is."""
    answer = said("202 Accepted", b'{"id": "7", "state": "running", "wait": %b}' % wait, field)
    vendor = Vendor(answer, status=DONE)
    async with Starting(vendor, kind=Telling) as watcher:
        await (await watcher.submit("print"))
    assert [round(at - vendor.starts[0]) for at in vendor.polls] == [due_s]


async def test_an_end_that_is_not_final_is_confirmed_by_polls() -> None:
    """The reading of the start counts as the first of them."""
    vendor = Vendor(said("200 OK", b'{"id": "7", "state": "maybe-failed"}'), status=DONE)
    async with Starting(vendor, kind=Telling) as watcher:
        watch = await watcher.submit("print")
        assert watch.outcome is None
        assert (await watch).state == "succeeded"
    believing = Vendor(said("200 OK", b'{"id": "7", "state": "maybe-failed"}'))
    async with Starting(believing, kind=Telling, confirmations=0) as watcher:
        assert isinstance((await watcher.submit("print")).outcome, Failed)
    assert not believing.polls


async def test_a_job_that_failed_at_once_is_a_failed_job() -> None:
    """`submit` returns its watch, and awaiting that raises."""
    ledger, vendor = MemoryLedger(), Vendor(said("200 OK", b'{"id": "7", "state": "failed"}'))
    async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
        watch = await watcher.submit("print")
        with pytest.raises(JobFailed):
            await watch
        assert isinstance(ledger.of(id="7"), Concluded)


async def test_an_end_of_unknown_kind_is_no_success() -> None:
    """As after a poll."""
    vendor = Vendor(STARTED)
    kind = giving(Reading.unknown_end(ToyStatus("gone"), unknown="state=gone"))
    async with Starting(vendor, kind=kind) as watcher:
        with pytest.raises(UnknownOutcome, match="state=gone"):
            await (await watcher.submit("print"))


async def test_a_result_of_bytes_that_came_with_the_start_can_be_saved(tmp_path: Path) -> None:
    """As one that is fetched. `max_bytes` counts, and a result of another type is no file."""

    class Bytes(Telling):
        def result_request(self, job: ToyJob, status: ToyStatus, /) -> Any:
            return ResultPage(status.state.encode() if job.id == "7" else status.state)

    vendor = Vendor(OVER, OVER, said("200 OK", b'{"id": "8", "state": "succeeded"}'))
    async with Starting(vendor, kind=Bytes) as watcher:
        watch = await watcher.submit("print")
        assert await watch.save_result(tmp_path / "result", max_bytes=9) == 9
        with pytest.raises(ResultTooLarge):
            await watch.save_result(tmp_path / "small", max_bytes=8)
        await watcher.submit("print")
        other = await watcher.submit("print")
        with pytest.raises(ConfigurationError, match="no file"):
            await other.save_result(tmp_path / "none", max_bytes=9)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("result", b"succeeded")]


# --- the ledger -----------------------------------------------------------------------------------


async def test_the_end_is_on_disk_with_the_job() -> None:
    """In one call, before `submit` returns. No second call writes it."""
    ledger, vendor = MemoryLedger(), Vendor(OVER)
    async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
        await watcher.submit("print", key="a")
        row = ledger.of(id="7")
        assert isinstance(row, Concluded)
        assert (row.polls, row.status) == (1, b'{"state":"succeeded","done":0}')
    assert ledger.named("record") == [1]
    assert ledger.named("conclude") == ledger.named("update") == []
    assert ledger.intents[1].keys == {"id": "7"}


async def test_the_outcome_is_delivered_once_and_the_key_starts_nothing_more(tmp_path: Path) -> None:
    """To an iterator that waits already, or to a later run."""
    vendor = Vendor(OVER)
    async with serving(vendor), SqliteLedger(tmp_path / "l") as ledger:
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            following = asyncio.create_task(anext(aiter(watcher.outcomes(follow=True))))
            await asyncio.sleep(1.0)
            watch = await watcher.submit("print", key="a")
            delivery = await following
            assert delivery.outcome == watch.outcome
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            assert await watcher.resume() == []
            assert (await (await watcher.submit("print", key="a"))).state == "succeeded"
            assert await _outcomes(watcher) == [(watch.outcome, True)]
            assert await _outcomes(watcher) == []
    assert (len(vendor.starts), len(vendor.polls)) == (1, 0)


async def test_a_process_that_ends_after_the_write_has_lost_nothing() -> None:
    """The row, its outcome and the end of the start are one transaction, so there is nothing between them."""
    ledger, vendor = MemoryLedger(), Vendor(OVER)

    class Ending(MemoryLedger):
        async def record(self, watches: Any, /) -> Any:
            await ledger.record(watches)
            raise asyncio.CancelledError

        intend_submits = ledger.intend_submits  # type: ignore[assignment]

    async with serving(vendor):
        async with Starting(vendor, kind=Telling, ledger=Ending()) as watcher:
            with pytest.raises(Exception, match="not open"):
                await watcher.submit("print", key="a")
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            assert await watcher.unfinished_submits() == []
            ((outcome, _),) = await _outcomes(watcher)
            assert outcome.status == ToyStatus("succeeded")
            assert (await (await watcher.submit("print", key="a"))).state == "succeeded"
    assert (len(vendor.starts), len(vendor.polls)) == (1, 0)


async def test_the_first_status_of_a_job_that_goes_on_is_kept() -> None:
    """A resumed watch begins with it."""
    ledger, vendor = MemoryLedger(), Vendor(RUNS, status=BUSY)
    async with serving(vendor):
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            await watcher.submit("print")
        row = ledger.of(id="7")
        assert isinstance(row, OpenWatch)
        assert (row.phase, row.polls) == (Phase.RUNNING, 1)
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            (watch,) = await watcher.resume()
            assert isinstance(watch.last, Progressed)


@pytest.mark.parametrize("codec", [True, False], ids=["codec", "ledger"])
async def test_an_end_that_cannot_be_kept_is_told_and_the_job_is_not_lost(codec: bool) -> None:
    """`EndpointBug`, as after a poll."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    status = ToyStatus("unreadable" if codec else "succeeded")
    if not codec:
        ledger.failures["record"] = [ConfigurationError("no such text")]
        ledger.failures["conclude"] = [ConfigurationError("no such text")]
    async with Starting(vendor, kind=giving(Reading.succeeded(status)), ledger=ledger) as watcher:
        with pytest.raises(EndpointBug):
            await (await watcher.submit("print"))
        assert await watcher.unfinished_submits() == []
    assert isinstance(ledger.of(id="7"), Concluded)


async def test_an_end_that_was_not_written_is_told_with_the_job() -> None:
    """The start stays in the ledger."""
    ledger, vendor = MemoryLedger(), Vendor(OVER)
    ledger.broken["record"] = LedgerFull("jobs.ledger", "no space")
    async with Starting(vendor, kind=Telling, ledger=ledger, ledger_patience_s=5.0) as watcher:
        with pytest.raises(LedgerFull) as caught:
            await watcher.submit("print", key="a")
        assert [start.key for start in await watcher.unfinished_submits()] == ["a"]
    assert "The job was started" in caught.value.__notes__[0]


async def test_a_job_that_the_ledger_knows_keeps_its_row() -> None:
    """A known end is reported, and a known open row is polled."""
    ledger, vendor = MemoryLedger(), Vendor(OVER, status=DONE)
    async with serving(vendor):
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            await watcher.record(ToyJob("7"))
        assert isinstance(ledger.of(id="7"), OpenWatch)
        vendor.polls.clear()
        async with Starting(vendor, kind=Telling, ledger=ledger) as watcher:
            assert (await (await watcher.submit("print"))).state == "succeeded"
            assert (await (await watcher.submit("print"))).state == "succeeded"
    assert len(vendor.polls) == 1


# --- what else may come ---------------------------------------------------------------------------


async def test_an_open_watch_of_the_job_is_polled_soon() -> None:
    """It is the watch that `submit` returns."""
    vendor = Vendor(OVER, status=BUSY)
    async with Starting(vendor, kind=Telling, pacing=Pacing(min_s=2.0, max_s=100.0)) as watcher:
        watch = watcher.watch(ToyJob("7"))
        await asyncio.sleep(300.0)
        vendor.status = DONE
        assert await watcher.submit("print") is watch
        await watch
    assert vendor.polls[-1] - vendor.starts[0] == pytest.approx(2.0, abs=0.5)


async def test_an_open_watch_with_a_ledger_is_polled_soon_too() -> None:
    """Its row is on disk already."""
    vendor = Vendor(OVER, status=BUSY)
    options = {"pacing": Pacing(min_s=2.0, max_s=100.0), "ledger": MemoryLedger()}
    async with Starting(vendor, kind=Telling, **options) as watcher:
        watch = await watcher.record(ToyJob("7"))
        await asyncio.sleep(300.0)
        vendor.status = DONE
        assert await watcher.submit("print") is watch
        await watch
    assert vendor.polls[-1] - vendor.starts[0] == pytest.approx(2.0, abs=0.5)


async def test_a_watcher_that_cancels_at_deadlines_takes_an_end_as_it_is() -> None:
    """No request is sent for a job that is over."""

    class Cancelling(Telling):
        def cancel_request(self, job: ToyJob, status: ToyStatus | None, /) -> Request:
            raise AssertionError(job)

    async with Starting(Vendor(OVER), kind=Cancelling, cancel_on_deadline=True) as watcher:
        watch = await watcher.submit("print")
        assert not await watch.cancel()
        assert isinstance(watch.outcome, Succeeded)


async def test_a_cursor_of_the_reading_is_that_of_the_next_request() -> None:
    """One that is too large to be kept is left out with its reading, and the job is polled from the start."""

    class Moving(Giving):
        def request(self, job: ToyJob, /, cursor: Cursor = None) -> Request:
            return Request(self._url / (cursor if isinstance(cursor, str) else "first"))

    for cursor, path in (("second", b"GET /second"), ("x" * 5_000, b"GET /first")):
        vendor = Vendor(STARTED, status=DONE)
        moving = type("Moved", (Moving,), {"first": Reading.running(ToyStatus("running"), cursor=cursor)})
        async with Starting(vendor, kind=moving) as watcher:
            await (await watcher.submit("print"))
        assert vendor.server.requests[1].startswith(path)


async def test_a_reading_has_no_secret() -> None:
    """As after a poll. One whose cursor has a secret is left out."""
    for first, state in (
        (Reading.succeeded(ToyStatus("hunt7")), "***"),
        (Reading.running(ToyStatus("a"), cursor="hunt7"), "none"),
    ):
        ledger, vendor = MemoryLedger(), Vendor(STARTED, status=BUSY)
        async with Starting(vendor, kind=giving(first), auth=BearerAuth("hunt7"), ledger=ledger) as watcher:
            watch = await watcher.submit("print")
            assert getattr(watch.last, "status", ToyStatus("none")).state == state
        assert "hunt7" not in repr([(row.status, row.cursor) for row in ledger.rows.values()])


@pytest.mark.parametrize("wrong", ["succeeded", ToyStatus("succeeded"), 7])
async def test_what_is_no_reading_is_told_as_a_bug(wrong: object) -> None:
    """And the job is in doubt."""
    async with Starting(Vendor(STARTED), kind=giving(wrong)) as watcher:
        with pytest.raises(SubmitDoubtful, match="the reading of Submitted must be a Reading"):
            await watcher.submit("print")


async def test_a_caller_without_random_numbers_still_gets_an_end() -> None:
    """An end needs none. For another reading the first poll reports the failure."""

    def broken() -> float:
        raise ZeroDivisionError

    vendor = Vendor(OVER, RUNS, status=BUSY)
    async with serving(vendor):
        endpoint = Telling(vendor.server.url)
        watcher = controlled(JobWatcher(endpoint, timeout_s=60.0), dice=broken)
        async with watcher:
            assert (await (await watcher.submit("print"))).state == "succeeded"
            with pytest.raises(CallbackFailed):
                await (await watcher.submit("print"))
