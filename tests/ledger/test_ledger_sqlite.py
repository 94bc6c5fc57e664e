from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from ledger_values import ENDPOINT, acks, change, every, new, raw, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerClosed, LedgerCorrupt, LedgerMissing, LedgerUnwritable, SqliteLedger, sqlite
from pollwise.ledger.files import Opening

HOUR_S = 3_600.0


@contextmanager
def holding(path: Path) -> Iterator[Callable[[], object]]:
    """Another tool that holds the file's write lock, so that no commit gets through until it lets go."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield lambda: db.execute("ROLLBACK")


async def some_passes() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"synchronous": "off"}, r"^synchronous must be 'full' or 'normal', got 'off'"),
        ({"synchronous": "FULL"}, r"^synchronous must be 'full' or 'normal', got 'FULL'"),
        ({"busy_timeout_s": -1}, r"^busy_timeout_s must be zero or more seconds, got -1"),
        ({"busy_timeout_s": float("inf")}, r"^busy_timeout_s must be zero or more seconds, got inf"),
        ({"linger_s": -0.01}, r"^linger_s must be zero or more seconds, got -0\.01"),
        ({"linger_s": float("nan")}, r"^linger_s must be zero or more seconds, got nan"),
        ({"linger_s": float("inf")}, r"^linger_s must be zero or more seconds, got inf"),
    ],
)
def test_options_that_cannot_be(path: Path, options: dict[str, Any], message: str) -> None:
    """A wrong option is refused by its name, before anything is opened."""
    with pytest.raises(ConfigurationError, match=message):
        SqliteLedger(path, **options)


def test_the_least_options(path: Path) -> None:
    """No waiting at all is an option."""
    SqliteLedger(path, busy_timeout_s=0, linger_s=0)


def test_the_defaults(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a ledger survives power loss, waits one second for another process's lock, and can be written."""
    given: list[Opening] = []
    monkeypatch.setattr("pollwise.ledger.writer.serve", lambda opening, *_: given.append(opening))
    asyncio.run(closed_while_opening(SqliteLedger(path)))
    asyncio.run(closed_while_opening(SqliteLedger(path, synchronous="normal", busy_timeout_s=7.0, read_only=True)))
    assert given == [
        Opening(path=str(path), synchronous="full", busy_timeout_s=1.0, read_only=False),
        Opening(path=str(path), synchronous="normal", busy_timeout_s=7.0, read_only=True),
    ]


async def closed_while_opening(ledger: SqliteLedger) -> None:
    opening = asyncio.create_task(ledger.__aenter__())
    await asyncio.sleep(0)
    await ledger.aclose()
    opening.cancel()
    await asyncio.wait([opening])


def test_a_ledger_says_where_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is absolute from the beginning, and its repr names it."""
    monkeypatch.chdir(path.parent)
    assert SqliteLedger(path.name).path == str(path)
    assert repr(SqliteLedger(path)) == f"SqliteLedger({str(path)!r})"
    assert repr(SqliteLedger(path, read_only=True)) == f"SqliteLedger({str(path)!r}, read_only=True)"


@pytest.mark.parametrize("synchronous", ["full", "normal"])
async def test_what_returned_is_in_the_file(path: Path, synchronous: Any) -> None:
    """What a call promised is seen by another, and after opening again."""
    async with SqliteLedger(path, synchronous=synchronous) as ledger:
        await ledger.record([new(1)])
        async with SqliteLedger(path, read_only=True) as other:
            assert len(await every(other.open_watches(ENDPOINT))) == 1
    async with SqliteLedger(path) as ledger:
        assert len(await every(ledger.open_watches(ENDPOINT))) == 1


async def test_nothing_to_do_is_done_at_once(ledger: SqliteLedger) -> None:
    """Empty calls answer without a transaction."""
    assert await ledger.record([]) == []
    await ledger.update([])
    assert await ledger.conclude([]) == 0
    assert await ledger.acknowledge([]) == 0
    assert await ledger.reopen([]) == 0


# --- together -----------------------------------------------------------------------------------


async def test_many_callers_share_one_commit(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of one pass of the loop are one transaction, answered in one wake-up."""
    loop = asyncio.get_running_loop()
    wake_ups = []
    wake = loop.call_soon_threadsafe

    def counted(*given: Any) -> Any:
        wake_ups.append(given)
        return wake(*given)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    answers = await asyncio.gather(*(ledger.record([new(n)]) for n in range(300)))
    assert len({one.id for (one,) in answers}) == 300
    assert len(wake_ups) == 1


async def test_calls_are_carried_out_in_order(path: Path) -> None:
    """An update that waits for company does not come after what was called later."""
    async with SqliteLedger(path, linger_s=HOUR_S) as ledger:
        await ledger.record([new(1), new(2)])
        waiting = asyncio.create_task(ledger.update([change(1, polls=41)]))
        other = asyncio.create_task(ledger.update([change(2, polls=42)]))
        await some_passes()
        assert not waiting.done()
        (one, two) = await every(ledger.open_watches(ENDPOINT))  # in a hurry, and takes the others along
        assert (one.polls, two.polls) == (41, 42)
        await asyncio.gather(waiting, other)


@pytest.mark.looptime
@pytest.mark.parametrize(("count", "waits_s"), [(1, HOUR_S), (99, HOUR_S), (100, 0.0), (101, 0.0)])
async def test_a_small_update_waits_its_time(path: Path, count: int, waits_s: float) -> None:
    """An update without other calls is written after `linger_s`. One of a hundred changes or more is written at once."""
    loop = asyncio.get_running_loop()
    async with SqliteLedger(path, linger_s=HOUR_S) as ledger:
        await ledger.record([new(n) for n in range(count)])
        began = loop.time()
        await ledger.update([change(n + 1, polls=9) for n in range(count)])
        assert loop.time() - began == waits_s
        assert {known.polls for known in await every(ledger.open_watches(ENDPOINT))} == {9}


@pytest.mark.looptime
async def test_later_updates_do_not_make_an_update_wait_longer(path: Path) -> None:
    """The first update that waits decides when all of them are written."""
    loop = asyncio.get_running_loop()
    async with SqliteLedger(path, linger_s=HOUR_S) as ledger:
        await ledger.record([new(1), new(2)])
        began = loop.time()
        first = asyncio.create_task(ledger.update([change(1)]))
        await asyncio.sleep(HOUR_S / 2)
        await asyncio.gather(first, ledger.update([change(2)]))
        assert loop.time() - began == HOUR_S


@pytest.mark.looptime
async def test_how_long_an_update_waits_by_default(path: Path) -> None:
    """It waits 50 ms."""
    loop = asyncio.get_running_loop()
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        began = loop.time()
        await ledger.update([change(1)])
        assert loop.time() - began == pytest.approx(0.05)


async def test_after_an_urgent_call_updates_wait_again(path: Path) -> None:
    """An urgent call takes the waiting ones along, before itself. It does not make the next update urgent."""
    async with SqliteLedger(path, linger_s=HOUR_S) as ledger:
        await ledger.record([new(1)])
        for polls in (5, 6):
            waiting = asyncio.create_task(ledger.update([change(1, polls=polls)]))
            await some_passes()
            assert not waiting.done()
            (again,) = await ledger.record([new(1)])
            assert again.known is not None
            assert again.known.polls == polls
            await waiting


async def test_a_fault_is_its_callers_alone(ledger: SqliteLedger) -> None:
    """In a shared transaction a value that cannot be kept fails its own call and no other."""
    await ledger.record([new(1), new(2), new(3)])
    answers = await asyncio.gather(
        ledger.conclude([success(1)]),
        ledger.conclude([success(2), success(3, status=b"no json")]),
        ledger.acknowledge(acks(1)),
        ledger.acknowledge(acks(2**70)),
        return_exceptions=True,
    )
    assert answers[0] == 1
    assert isinstance(answers[1], ConfigurationError)
    assert answers[2] == 1
    assert isinstance(answers[3], ConfigurationError)
    assert [known.id for known in await every(ledger.open_watches(ENDPOINT))] == [2, 3]


async def test_the_loop_never_waits_for_the_disk(path: Path) -> None:
    """While a commit cannot get through, the loop goes on."""
    async with SqliteLedger(path, busy_timeout_s=60.0) as ledger:
        with holding(path) as let_go:
            recording = asyncio.create_task(ledger.record([new(1)]))
            await some_passes()
            assert not recording.done()
            let_go()
            (recorded,) = await recording
        assert recorded.id == 1


async def test_what_a_caller_does_to_its_list_meanwhile(path: Path) -> None:
    """A call is what was passed at that moment."""
    async with SqliteLedger(path, linger_s=HOUR_S) as ledger:
        watches = [new(1)]
        recording = asyncio.create_task(ledger.record(watches))
        await asyncio.sleep(0)
        watches.clear()
        assert len(await recording) == 1


async def test_a_ledger_to_read_refuses_to_write(path: Path) -> None:
    """The error says that the ledger object was opened so, and not that the file cannot be written."""
    async with SqliteLedger(path):
        pass
    async with SqliteLedger(path, read_only=True) as ledger:
        for call in (ledger.record([new(1)]), ledger.claim(ENDPOINT), ledger.release_claims(acks(1))):
            with pytest.raises(LedgerUnwritable, match=r": it was opened with read_only=True\. ") as caught:
                await call
            assert caught.value.read_only


async def test_reading_begins_at_the_first_watch(ledger: SqliteLedger) -> None:
    """Each call returns the first row, too; an export has open watches only where that is asked for."""
    await ledger.record([new(1), new(2)])
    assert [known.id for known in await every(ledger.open_watches(ENDPOINT))] == [1, 2]
    await ledger.conclude([success(1)])
    assert [known.id for known in await every(ledger.unacknowledged(ENDPOINT))] == [1]
    for options, lines in (({}, 1), ({"include_open": True}, 2)):
        exported = b"".join([part async for part in ledger.export(**options)]).splitlines()
        assert [orjson.loads(line)["job"]["job_id"] for line in exported] == ["ZX-1", "ZX-2"][:lines]


async def test_learnt_durations_are_a_thousand(ledger: SqliteLedger) -> None:
    """The default reads the newest thousand."""
    await ledger.record([new(n) for n in range(1_001)])
    await ledger.conclude([success(n + 1, elapsed_s=float(n)) for n in range(1_001)])
    assert await ledger.durations(ENDPOINT) == [float(n) for n in range(1_000, 0, -1)]


async def test_damaged_rows_are_remembered(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each damaged row that a call met is in `damaged`, by its number, and was logged once."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(n) for n in range(4)])
    raw(path, "UPDATE watches SET polls = 99 WHERE id IN (1, 2, 4)")
    async with SqliteLedger(path) as ledger:
        assert list(ledger.damaged) == []
        for _ in range(2):
            with pytest.raises(LedgerCorrupt):
                await ledger.record([new(3)])
            assert [row.id for row in ledger.damaged] == [4]
        for _ in range(2):
            assert [known.id for known in await every(ledger.open_watches(ENDPOINT))] == [3]
            assert [row.id for row in ledger.damaged] == [1, 2, 4]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"{path} is damaged in row 4 (its state is not as it was written)",
        f"{path} is damaged in rows 1 and 2 (its state is not as it was written)",
    ]


# --- leaving ------------------------------------------------------------------------------------


async def test_a_cancelled_caller_harms_no_other(path: Path) -> None:
    """A cancelled call returns no result. It may be carried out, whole, and other calls continue."""
    async with SqliteLedger(path, busy_timeout_s=60.0) as ledger:
        with holding(path) as let_go:
            first, second, third = (asyncio.create_task(ledger.record([new(n), new(n + 10)])) for n in range(3))
            await some_passes()
            second.cancel()
            late = asyncio.create_task(ledger.record([new(4)]))
            await asyncio.sleep(0)  # it waits on our side still
            late.cancel()
            await some_passes()
            assert second.cancelled()
            let_go()
            await asyncio.gather(first, third)
        found = {watch.keys["job_id"] for watch in await every(ledger.open_watches(ENDPOINT))}
        assert found >= {"ZX-0", "ZX-10", "ZX-2", "ZX-12"}
        assert len(found & {"ZX-1", "ZX-11"}) != 1


async def test_closing_finishes_what_was_accepted(path: Path) -> None:
    """The end of the block writes all waiting calls at once, and they return."""
    async with SqliteLedger(path, linger_s=HOUR_S) as ledger:
        await ledger.record([new(1)])
        waiting = asyncio.create_task(ledger.update([change(1, polls=9)]))
        await asyncio.sleep(0)
    await waiting
    async with SqliteLedger(path) as ledger:
        (known,) = await every(ledger.open_watches(ENDPOINT))
    assert known.polls == 9


async def test_closing_again_is_nothing(path: Path) -> None:
    """A ledger may be closed many times, by many at once, and before it was opened."""
    ledger = SqliteLedger(path)
    await ledger.aclose()
    async with ledger:
        await asyncio.gather(ledger.aclose(), ledger.aclose())
        await ledger.aclose()
    assert not any(thread.name.startswith("pollwise-ledger") for thread in threading.enumerate())


async def test_a_cancelled_close_goes_on(path: Path) -> None:
    """A cancelled `aclose` does not stop the close."""
    ledger = await SqliteLedger(path, busy_timeout_s=60.0, linger_s=HOUR_S).__aenter__()
    with holding(path) as let_go:
        recording = asyncio.create_task(ledger.record([new(1)]))
        await asyncio.sleep(0)
        closing_it = asyncio.create_task(ledger.aclose())
        await some_passes()
        closing_it.cancel()
        await some_passes()
        assert closing_it.cancelled()
        let_go()
        assert len(await recording) == 1
    await ledger.aclose()


async def test_a_cancelled_opening_is_let_go(path: Path) -> None:
    """A cancelled opening leaves the file free for the next ledger object."""
    ledger = SqliteLedger(path)
    opening = asyncio.create_task(ledger.__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await ledger.aclose()
    async with SqliteLedger(path, busy_timeout_s=0.0) as other:
        await other.record([new(1)])


async def test_a_closed_ledger_says_so(path: Path) -> None:
    """Every call before the opening and after the close is refused with the reason."""
    ledger = SqliteLedger(path)
    with pytest.raises(LedgerClosed, match=r": it was not opened yet\."):
        await ledger.record([new(1)])
    async with ledger:
        pass
    for call in (
        ledger.record([new(1)]),
        ledger.update([change(1)]),
        ledger.conclude([]),
        ledger.acknowledge(acks(1)),
        ledger.reopen([]),
        ledger.claim(ENDPOINT),
        ledger.release_claims([]),
        ledger.durations(ENDPOINT),
        every(ledger.open_watches(ENDPOINT)),
        every(ledger.unacknowledged(ENDPOINT)),
        anext(ledger.export()),
    ):
        with pytest.raises(LedgerClosed, match=r": it was closed\."):
            await call
    with pytest.raises(LedgerClosed, match=r": a ledger object is opened only once; make another one\."):
        await ledger.__aenter__()


async def test_a_ledger_that_could_not_be_opened_says_so(path: Path) -> None:
    """Its calls are refused with that reason."""
    ledger = SqliteLedger(path, read_only=True)
    with pytest.raises(LedgerMissing):
        await ledger.__aenter__()
    with pytest.raises(LedgerClosed, match=r": it could not be opened\."):
        await ledger.durations(ENDPOINT)


async def test_an_opening_that_cannot_clean_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an opening fails, and closing what it has opened fails, too, the opener gets an error."""

    def fail(_: object, held: ExitStack) -> None:
        held.callback((path / "nothing").stat)
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("pollwise.ledger.writer.open_ledger", fail)
    ledger = SqliteLedger(path)
    with pytest.raises(FileNotFoundError) as caught:
        await asyncio.wait_for(ledger.__aenter__(), 5.0)
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    await ledger.aclose()


async def test_an_opening_with_a_bug_of_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the writer's thread ends by an error, the opener gets it, and so does a close."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("pollwise.ledger.writer.serve", fail)
    ledger = SqliteLedger(path)
    for call in (ledger.__aenter__, ledger.aclose):
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(call(), 5.0)


async def test_in_a_forked_child(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is refused, a close does nothing, and the parent's ledger stays open."""
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(LedgerClosed, match=r": it belongs to the process that this one was forked from\."):
        await ledger.record([new(1)])
    await ledger.aclose()
    monkeypatch.setattr(os, "getpid", lambda: parent)
    assert len(await ledger.record([new(1)])) == 1


async def test_a_ledger_object_may_be_opened_in_a_forked_child(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not opened before a fork belongs to the process that opens it."""
    ledger, parent = SqliteLedger(path), os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    async with ledger:
        assert len(await ledger.record([new(1)])) == 1


async def test_the_writers_thread(path: Path) -> None:
    """It has the name of the file, does not keep the interpreter from ending, and ends with the close."""
    async with SqliteLedger(path):
        (thread,) = [thread for thread in threading.enumerate() if thread.name == f"pollwise-ledger-{path.name}"]
        assert thread.daemon
    assert not thread.is_alive()


async def test_one_loop(ledger: SqliteLedger) -> None:
    """From another thread's loop every call is refused."""

    async def elsewhere() -> None:
        with pytest.raises(LedgerClosed, match=r": it belongs to another event loop\."):
            await ledger.record([new(1)])
        with pytest.raises(LedgerClosed, match=r": it belongs to another event loop\."):
            await ledger.aclose()

    await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    assert await every(ledger.open_watches(ENDPOINT)) == []


async def forgotten(path: Path) -> None:
    """Open a ledger and lose it."""
    await SqliteLedger(path).__aenter__()
    gc.collect()


async def test_a_forgotten_ledger_is_closed_with_a_warning(path: Path) -> None:
    """A ledger that was never closed gives a ResourceWarning, and its file is closed all the same."""
    with pytest.warns(ResourceWarning, match="never closed"):
        await forgotten(path)
    async with SqliteLedger(path, busy_timeout_s=60.0):
        pass


def test_a_ledger_that_outlives_its_loop(path: Path) -> None:
    """When its loop is gone, a ledger still lets go of the file."""
    kept = [SqliteLedger(path)]
    asyncio.run(opened(kept[0]))
    with pytest.warns(ResourceWarning, match=rf"^SqliteLedger\('{path}'\) was never closed$") as warned:
        kept.clear()
    assert warned[0].filename != sqlite.__file__  # but where the last reference was lost
    asyncio.run(refused(warned[0].source))
    asyncio.run(used(SqliteLedger(path, busy_timeout_s=60.0)))


async def opened(ledger: SqliteLedger) -> None:
    await ledger.__aenter__()


async def used(ledger: SqliteLedger) -> None:
    async with ledger:
        await ledger.record([new(1)])


async def refused(ledger: Any) -> None:
    """What tracemalloc names as the source of the warning is that ledger, and it is closed."""
    with pytest.raises(LedgerClosed, match=r": it was never closed\."):
        await ledger.record([new(1)])
