"""Starting jobs with a ledger: no job is started twice, and none is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kept_toy import ToyCodec
from memory_ledger import MemoryLedger
from pollwise import ConfigurationError, JobWatcher, SqliteLedger, WatchError
from pollwise.endpoints import Reply
from pollwise.errors import RequestRejected, SubmitDoubtful, UnsafeUrl, WatcherClosed
from pollwise.ledger import Intent, KeepsIntents, LedgerFull, OpenWatch
from submitting import DONE, STARTED, ByUrl, Presses, Starting, Vendor, said, serving
from toy import ToyJob, settle

pytestmark = pytest.mark.looptime

FULL = LedgerFull("jobs.ledger", "no space")


def _intents(ledger: MemoryLedger) -> dict[str, Any]:
    """The keys of the jobs, by the key of their start."""
    return {intent.key: intent.keys for intent in ledger.intents.values()}


async def _submitted(vendor: Vendor, ledger: MemoryLedger, key: str = "a", **options: Any) -> Any:
    """What a watcher of its own gives for this key: the job, or the error."""
    async with Starting(vendor, ledger=ledger, **options) as watcher:
        (found,) = await asyncio.gather(watcher.submit("print", key=key), return_exceptions=True)
        return found if isinstance(found, BaseException) else found.job


async def test_the_key_is_on_disk_before_the_request_and_the_job_when_submit_returns() -> None:
    """The job's row and the end of the start are one call of the ledger."""
    ledger = MemoryLedger()
    seen: list[dict[str, Any]] = []
    vendor = Vendor(STARTED, status=DONE)

    class Spying(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> Any:
            seen.append(_intents(ledger))
            return super().read_submitted(order, reply)

    async with Starting(vendor, kind=Spying, ledger=ledger) as watcher:
        watch = await watcher.submit("print", key="order-1")
        assert seen == [{"order-1": None}]
        assert _intents(ledger) == {"order-1": {"id": "7"}}
        assert isinstance(ledger.of(id="7"), OpenWatch)
        assert ledger.named("record") == [1]
        assert (await watch).state == "succeeded"
    assert "print" not in repr(ledger.intents)


async def test_a_hint_of_the_start_is_the_first_delay() -> None:
    """As without a ledger."""
    vendor = Vendor(said("202 Accepted", b'{"id": "7"}', "Retry-After: 30"), status=DONE)
    async with Starting(vendor, ledger=MemoryLedger()) as watcher:
        await (await watcher.submit("print"))
    assert vendor.polls[0] - vendor.starts[0] == pytest.approx(30.0, abs=0.5)


async def test_a_watch_of_a_known_row_has_no_first_delay() -> None:
    """The delay is that of a job that begins now."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    async with serving(vendor):
        await _submitted(vendor, ledger)
        vendor.polls.clear()
        async with Starting(vendor, ledger=ledger) as watcher:
            began = asyncio.get_running_loop().time()
            watcher.watch(ToyJob("7"), first_after_s=50.0)
            watcher.watch(ToyJob("8"), first_after_s=50.0)
            await asyncio.sleep(55.0)
    assert [round(at - began) for at in vendor.polls] == [0, 50]


async def test_a_finished_key_gives_the_watch_of_its_job() -> None:
    """In a later process, too. No second request is sent, and a known outcome costs no poll."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    async with serving(vendor):
        async with Starting(vendor, ledger=ledger) as watcher:
            first = await watcher.submit("print", key="a")
            assert await watcher.submit("print", key="a") is first
        vendor.status = DONE
        async with Starting(vendor, ledger=ledger) as watcher:
            assert (await (await watcher.submit("print", key="a"))).state == "succeeded"
        polls = len(vendor.polls)
        async with Starting(vendor, ledger=ledger) as watcher:
            assert (await (await watcher.submit("print", key="a"))).state == "succeeded"
    assert (len(vendor.starts), len(vendor.polls)) == (1, polls)


async def test_a_started_job_that_the_codec_cannot_read_is_told() -> None:
    """Such as after a change of its keys. Nothing is sent, because the job was started."""

    class Changed(ToyCodec):
        def job_from_keys(self, keys: Mapping[str, str], /) -> ToyJob:
            raise KeyError("region")

    class Newer(Presses):
        codec = Changed()

    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    async with serving(vendor):
        await _submitted(vendor, ledger)
        error = await _submitted(vendor, ledger, kind=Newer)
    assert isinstance(error, ConfigurationError)
    assert "the job with the key 'a' was started, and the codec of toy raised KeyError for its keys" in str(error)
    assert len(vendor.starts) == 1


@pytest.mark.parametrize("answer", [STARTED, None], ids=["finished", "unfinished"])
async def test_a_key_is_of_one_order(answer: bytes | None) -> None:
    """Another order with it is refused before anything is sent."""
    ledger, vendor = MemoryLedger(), Vendor(answer)
    async with serving(vendor):
        await _submitted(vendor, ledger)
        async with Starting(vendor, ledger=ledger) as watcher:
            with pytest.raises(ConfigurationError, match="another order"):
                await watcher.submit("bind", key="a")
    assert len(vendor.starts) == 1


async def test_an_unfinished_start_that_is_not_idempotent_is_a_doubt() -> None:
    """It is not sent again, in no process."""
    ledger, vendor = MemoryLedger(), Vendor(None)
    async with serving(vendor):
        for _ in range(3):
            found = await _submitted(vendor, ledger)
            assert isinstance(found, SubmitDoubtful)
    assert len(vendor.starts) == 1
    assert _intents(ledger) == {"a": None}


async def test_an_unfinished_start_that_is_idempotent_is_sent_again() -> None:
    """With its key. A conflict says that the server is still at work on it."""
    ledger, vendor = MemoryLedger(), Vendor(b"")
    async with serving(vendor):
        async with Starting(vendor, ledger=ledger, keyed=True) as watcher:
            task = asyncio.create_task(watcher.submit("print", key="a"))
            await vendor.server.received()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], SubmitDoubtful)
        vendor.answers = [said("409 Conflict"), STARTED]
        assert await _submitted(vendor, ledger, keyed=True) == ToyJob("7")
        assert await _submitted(vendor, ledger, keyed=True) == ToyJob("7")
    assert vendor.keys == ["a"] * 3


@pytest.mark.parametrize("refused", [said("403 Forbidden"), said("400 Bad Request")], ids=["403", "400"])
async def test_a_refused_start_is_forgotten(refused: bytes) -> None:
    """So the key can be used again, as soon as the order is right."""
    ledger, vendor = MemoryLedger(), Vendor(refused, STARTED)
    async with serving(vendor):
        assert isinstance(await _submitted(vendor, ledger), WatchError)
        assert _intents(ledger) == {}
        assert await _submitted(vendor, ledger) == ToyJob("7")


async def test_a_refused_start_that_cannot_be_forgotten_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets the refusal. The key stays unfinished, which is safe."""
    ledger, vendor = MemoryLedger(), Vendor(said("400 Bad Request"))
    ledger.broken["forget_submits"] = FULL
    with caplog.at_level(logging.WARNING):
        assert isinstance(await _submitted(vendor, ledger, ledger_patience_s=1.0), RequestRejected)
    assert "started no job, but stays in the ledger" in caplog.text
    assert _intents(ledger) == {"a": None}


async def test_nothing_is_sent_if_the_key_cannot_be_written() -> None:
    """The ledger's error is raised."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    ledger.broken["intend_submits"] = FULL
    assert isinstance(await _submitted(vendor, ledger, ledger_patience_s=1.0), LedgerFull)
    assert not vendor.starts


async def test_a_job_that_cannot_be_written_is_named() -> None:
    """The error says that it was started. It can be settled when the ledger works again."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    ledger.broken["record"] = FULL
    async with serving(vendor):
        found = await _submitted(vendor, ledger, ledger_patience_s=1.0)
        assert isinstance(found, LedgerFull)
        assert "ToyJob(id='7')" in found.__notes__[0]
        del ledger.broken["record"]
        async with Starting(vendor, ledger=ledger) as watcher:
            (start,) = await watcher.unfinished_submits()
            watch = await start.settle(ToyJob("7"))
            assert await watcher.submit("print", key="a") is watch
    assert len(vendor.starts) == 1


async def test_a_call_of_the_ledger_that_fails_at_first_is_repeated() -> None:
    """As all of its calls."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    ledger.failures = {"intend_submits": [FULL, None], "record": [FULL, None]}
    assert await _submitted(vendor, ledger) == ToyJob("7")
    assert len(vendor.starts) == 1


async def test_unfinished_starts_are_listed_and_settled() -> None:
    """Each by its key: it has started this job, or none. Those under way are no doubt yet."""
    ledger, vendor = MemoryLedger(), Vendor(None, None, b"")
    async with serving(vendor):
        await _submitted(vendor, ledger, "a")
        await _submitted(vendor, ledger, "b")
        async with Starting(vendor, ledger=ledger) as watcher:
            task = asyncio.create_task(watcher.submit("print", key="c"))
            await vendor.server.received(3)
            a, b = await watcher.unfinished_submits()
            assert [a.key, b.key] == ["a", "b"]
            assert a.digest == b.digest
            assert a.began.utcoffset() is not None
            assert "'a'" in repr(a)
            vendor.status = DONE
            assert (await (await a.settle(ToyJob("9")))).state == "succeeded"
            await b.forget()
            assert await watcher.unfinished_submits() == []
            vendor.answers = [STARTED]
            assert (await watcher.submit("print", key="a")).job == ToyJob("9")
            assert (await watcher.submit("print", key="b")).job == ToyJob("7")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert len(vendor.starts) == 4


async def test_a_job_that_is_open_is_settled_with_its_watch() -> None:
    """It is polled by one watch."""
    ledger, vendor = MemoryLedger(), Vendor(None)
    async with Starting(vendor, ledger=ledger) as watcher:
        await asyncio.gather(watcher.submit("print", key="a"), return_exceptions=True)
        watch = await watcher.record(ToyJob("7"))
        (start,) = await watcher.unfinished_submits()
        assert await start.settle(ToyJob("7")) is watch
        assert watcher.open_count == 1


async def test_a_start_that_is_under_way_again_is_not_settled() -> None:
    """Else its key could start a second job."""
    ledger, vendor = MemoryLedger(), Vendor(b"")
    async with serving(vendor), Starting(vendor, ledger=ledger, keyed=True) as watcher:
        await asyncio.gather(watcher.submit("print", key="a", timeout_s=1.0), return_exceptions=True)
        (start,) = await watcher.unfinished_submits()
        task = asyncio.create_task(watcher.submit("print", key="a"))
        await vendor.server.received(2)
        for settle_it in (start.forget(), start.settle(ToyJob("7"))):
            with pytest.raises(ConfigurationError, match="under way"):
                await settle_it
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert _intents(ledger) == {"a": None}


async def test_a_job_at_another_origin_stays_in_doubt() -> None:
    """It was started, and its polls would carry the credentials elsewhere."""
    ledger = MemoryLedger()
    vendor = Vendor(said("201 Created", b'{"id": "http://evil.example/7"}'))
    assert isinstance(await _submitted(vendor, ledger, kind=ByUrl), UnsafeUrl)
    assert _intents(ledger) == {"a": None}
    assert not ledger.rows


async def test_a_caller_that_is_cancelled_before_anything_was_sent_leaves_nothing() -> None:
    """Whether the ledger is at work or the server has asked for a pause."""
    ledger, vendor = MemoryLedger(latency_s=1.0), Vendor(said("429 Too Many Requests", b"{}", "Retry-After: 50"))
    async with Starting(vendor, ledger=ledger) as watcher:
        for wait_s in (0.5, 10.0):
            task = asyncio.create_task(watcher.submit("print", key="a"))
            await asyncio.sleep(wait_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(10.0)
            assert _intents(ledger) == {}
    assert len(vendor.starts) == 1


async def test_a_key_waits_for_the_end_of_its_stopped_start() -> None:
    """Else the end of the first one would forget the second one."""
    ledger, vendor = (
        MemoryLedger(latency_s=1.0),
        Vendor(said("429 Too Many Requests", b"{}", "Retry-After: 5"), STARTED),
    )
    async with Starting(vendor, ledger=ledger) as watcher:
        task = asyncio.create_task(watcher.submit("print", key="a"))
        await vendor.server.received()
        await asyncio.sleep(0.5)
        task.cancel()
        await settle()
        assert (await watcher.submit("print", key="a")).job == ToyJob("7")
        assert _intents(ledger) == {"a": {"id": "7"}}


async def test_a_caller_that_joins_an_abandoned_start_gets_its_job() -> None:
    """The first caller has left while the key was written."""
    ledger, vendor = MemoryLedger(latency_s=1.0), Vendor(STARTED)
    async with Starting(vendor, ledger=ledger) as watcher:
        task = asyncio.create_task(watcher.submit("print", key="a"))
        await asyncio.sleep(0.3)
        task.cancel()
        await settle()
        assert (await watcher.submit("print", key="a")).job == ToyJob("7")
    assert ledger.named("intend_submits") == [1]
    assert len(vendor.starts) == 1


async def test_a_job_that_the_ledger_knows_keeps_its_outcome() -> None:
    """An API may answer an order with a job that it has already."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED, status=DONE)
    async with serving(vendor):
        async with Starting(vendor, ledger=ledger) as watcher:
            await watcher.watch(ToyJob("7"))
        polls = len(vendor.polls)
        async with Starting(vendor, ledger=ledger) as watcher:
            assert (await (await watcher.submit("print", key="a"))).state == "succeeded"
    assert len(vendor.polls) == polls
    assert _intents(ledger) == {"a": {"id": "7"}}


async def test_a_key_can_be_used_again_while_its_stopped_start_is_forgotten() -> None:
    """The second caller starts the job."""
    ledger, vendor = MemoryLedger(latency_s=1.0), Vendor(STARTED)
    async with Starting(vendor, ledger=ledger) as watcher:
        task = asyncio.create_task(watcher.submit("print", key="a"))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.sleep(1.0)
        assert (await watcher.submit("print", key="a")).job == ToyJob("7")
        assert _intents(ledger) == {"a": {"id": "7"}}
    assert len(vendor.starts) == 1


async def test_a_job_whose_caller_was_cancelled_is_recorded_and_watched() -> None:
    """If the server has named it by then."""
    ledger, vendor = MemoryLedger(latency_s=1.0), Vendor(STARTED)
    async with Starting(vendor, ledger=ledger) as watcher:
        task = asyncio.create_task(watcher.submit("print", key="a"))
        await vendor.server.received()
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert "The job was started" in caught.value.__notes__[0]
        await asyncio.sleep(10.0)
        assert _intents(ledger) == {"a": {"id": "7"}}
        assert watcher.open_count == 1


@pytest.mark.parametrize(
    ("wait_s", "answer", "kind", "kept"),
    [
        (0.5, STARTED, WatcherClosed, {}),
        (1.5, b"", SubmitDoubtful, {"a": None}),
        (1.5, STARTED, WatcherClosed, {"a": {"id": "7"}}),
    ],
    ids=["writing the key", "sending", "writing the row"],
)
async def test_closing_the_watcher_loses_no_job(wait_s: float, answer: bytes, kind: Any, kept: Any) -> None:
    """What was started is on disk, or in doubt."""
    ledger, vendor = MemoryLedger(latency_s=1.0), Vendor(answer)
    async with serving(vendor):
        async with Starting(vendor, ledger=ledger) as watcher:
            task = asyncio.create_task(watcher.submit("print", key="a"))
            await asyncio.sleep(wait_s)
        (error,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(error, kind)
        assert _intents(ledger) == kept
        async with Starting(vendor, ledger=ledger) as watcher:
            known = [keys["id"] for keys in kept.values() if keys]
            assert [watch.job.id for watch in await watcher.resume()] == known


async def test_a_ledger_that_cannot_keep_starts_is_refused() -> None:
    """Before anything is sent. One of another program may lack the calls."""

    class Old(MemoryLedger):
        intend_submits = KeepsIntents.intend_submits
        unfinished_submits = KeepsIntents.unfinished_submits

    vendor = Vendor(STARTED)
    async with Starting(vendor, ledger=Old()) as watcher:
        with pytest.raises(ConfigurationError, match="no intend_submits and no unfinished_submits"):
            await watcher.submit("print")
        with pytest.raises(ConfigurationError, match="cannot keep starts"):
            await watcher.unfinished_submits()
    assert not vendor.starts


async def test_without_a_ledger_nothing_is_unfinished() -> None:
    """The error says what is needed."""
    async with Starting(Vendor(STARTED)) as watcher:
        with pytest.raises(ConfigurationError, match="ledger"):
            await watcher.unfinished_submits()


async def test_a_foreign_error_of_a_ledger_is_raised() -> None:
    """And nothing hangs."""

    class Odd(MemoryLedger):
        async def intend_submits(self, intents: Sequence[Any], /) -> Any:
            raise ZeroDivisionError

    async with Starting(Vendor(STARTED), ledger=Odd(), ledger_patience_s=0.1) as watcher:
        with pytest.raises(ZeroDivisionError):
            await watcher.submit("print")


async def test_it_is_so_in_a_file(tmp_path: Path) -> None:
    """In another process, too."""
    path = tmp_path / "jobs.ledger"
    vendor = Vendor(None, STARTED)
    async with serving(vendor):
        for key, kind in (("a", SubmitDoubtful), ("b", ToyJob), ("a", SubmitDoubtful), ("b", ToyJob)):
            async with SqliteLedger(path) as ledger:
                assert isinstance(await _submitted(vendor, ledger, key), kind)  # type: ignore[arg-type]
        async with SqliteLedger(path) as ledger:
            found: Sequence[Intent] = await ledger.unfinished_submits()
            assert [intent.key for intent in found] == ["a"]
    assert len(vendor.starts) == 2


async def test_the_accounts_of_one_ledger_have_their_own_keys() -> None:
    """Equal keys of two accounts are two orders."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED, said("201 Created", b'{"id": "8"}'))
    async with serving(vendor):
        first = Presses(vendor.server.url)
        second = Presses(vendor.server.url)
        second.account = "acme"
        for endpoint, job in ((first, "7"), (second, "8"), (first, "7")):
            async with JobWatcher(endpoint, timeout_s=60.0, ledger=ledger) as watcher:
                assert (await watcher.submit("print", key="a")).job == ToyJob(job)
    assert len(vendor.starts) == 2
