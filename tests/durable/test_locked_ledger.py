"""A real ledger file whose write lock another connection holds for a while, as a backup tool does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kept_toy import KeptToyEndpoint, acknowledged, toys
from pollwise.durable import patience
from pollwise.errors import LedgerWriteFailed
from pollwise.ledger import Acknowledgement, LedgerInUse, NewWatch, OpenWatch, Recorded, SqliteLedger
from pollwise.model.events import Succeeded
from pollwise.testing import ScriptedTransport
from pollwise.watcher import JobWatcher
from toy import RUNNING, SUCCEEDED, ToyJob, by_job


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses on the real clock, as short as they can be."""
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.01)


@contextmanager
def write_lock(path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection that has the write lock, until it says ROLLBACK."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


class Counted(SqliteLedger):
    """Counts how often a row or an acknowledgement was not taken, and lets that be awaited."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, busy_timeout_s=0.0)
        self.refused: asyncio.Queue[int] = asyncio.Queue()

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        try:
            return await super().record(watches)
        except LedgerInUse:
            self.refused.put_nowait(len(watches))
            raise

    async def acknowledge(self, outcomes: Sequence[Acknowledgement], /) -> int:
        try:
            return await super().acknowledge(outcomes)
        except LedgerInUse:
            self.refused.put_nowait(len(outcomes))
            raise


@asynccontextmanager
async def watching(path: Path, script: Any, **options: Any) -> AsyncIterator[tuple[JobWatcher[Any, Any], Counted]]:
    async with (
        Counted(path) as ledger,
        JobWatcher(
            KeptToyEndpoint(),
            timeout_s=60,
            transport=ScriptedTransport(script),
            ledger=ledger,
            **options,
        ) as watcher,
    ):
        yield watcher, ledger


async def test_new_watches_wait_for_the_lock(tmp_path: Path) -> None:
    """Hundreds of new watches outlast it, and are asked only once they are on disk."""
    path = tmp_path / "jobs.ledger"
    async with watching(path, lambda _: SUCCEEDED) as (watcher, ledger):
        with write_lock(path) as other:
            gathering = asyncio.create_task(watcher.gather(toys(400)))
            while await ledger.refused.get() < 400:
                pass
            assert watcher.transport.requests == []  # type: ignore[attr-defined]  # it is a ScriptedTransport
            other.execute("ROLLBACK")
        assert {type(outcome) for outcome in await gathering} == {Succeeded}


async def test_record_waits_for_the_lock(tmp_path: Path) -> None:
    """A job that comes meanwhile is recorded, too."""
    path = tmp_path / "jobs.ledger"
    async with watching(path, [RUNNING]) as (watcher, ledger):
        with write_lock(path) as other:
            recording = asyncio.create_task(watcher.record(ToyJob("a")))
            await ledger.refused.get()
            all_of_them = asyncio.create_task(watcher.record_all(toys(9)))
            assert await ledger.refused.get() <= 10
            assert not recording.done()
            other.execute("ROLLBACK")
        assert (await recording).job == ToyJob("a")
        assert len(await all_of_them) == 9


async def test_a_lock_that_lasts(tmp_path: Path) -> None:
    """After the patience the call raises, and the ledger has no row. Later the job can be watched."""
    path = tmp_path / "jobs.ledger"
    async with watching(path, [SUCCEEDED], ledger_patience_s=0.1) as (watcher, ledger):
        with write_lock(path):
            with pytest.raises(LedgerInUse):
                await watcher.record(ToyJob("a"))
            with pytest.raises(LedgerWriteFailed, match="not asked about") as caught:
                await watcher.watch(ToyJob("a"))
            assert not caught.value.asked
        assert [known async for known in ledger.open_watches("toy")] == []
        assert (await watcher.watch(ToyJob("a"))).state == "succeeded"


async def test_what_an_earlier_run_left_is_taken_up_under_the_lock(tmp_path: Path) -> None:
    """Opening and reading need no write lock; outcomes and acknowledgements wait for it."""
    path = tmp_path / "jobs.ledger"
    script = by_job({"a": [RUNNING], "b": [SUCCEEDED]})
    async with watching(path, script) as (watcher, ledger):
        await watcher.watch(ToyJob("b"))
        await watcher.record(ToyJob("a"))
        (known,) = [known async for page in ledger.open_watches("toy") for known in page]
        assert isinstance(known, OpenWatch)
    with write_lock(path) as other:
        async with watching(path, [SUCCEEDED]) as (watcher, ledger):
            (watch,) = await watcher.resume()
            acknowledging = asyncio.create_task(acknowledged(watcher))
            await ledger.refused.get()
            assert (watch.outcome, acknowledging.done()) == (None, False)
            other.execute("ROLLBACK")
            assert len(await acknowledging) == 2
            assert (await watch).state == "succeeded"
