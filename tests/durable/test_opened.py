"""The parts of an open watcher. What a user sees of them is tested in tests/test_watcher.py."""

from __future__ import annotations

import asyncio
import gc
from weakref import ref

import pytest

from kept_toy import KeptToyEndpoint
from memory_ledger import MemoryLedger
from pollwise.errors import WatcherClosed
from pollwise.ledger import Ledger
from pollwise.model.reading import Reading
from pollwise.testing import ScriptedTransport
from pollwise.watcher import JobWatcher
from toy import SUCCEEDED, ToyJob, ToyStatus

pytestmark = pytest.mark.looptime


def _watcher(ledger: Ledger | None = None) -> JobWatcher[ToyJob, ToyStatus]:
    return JobWatcher(KeptToyEndpoint(), timeout_s=60.0, transport=ScriptedTransport([SUCCEEDED]), ledger=ledger)


@pytest.mark.parametrize("kept", [False, True], ids=["without ledger", "with ledger"])
async def test_a_call_of_an_earlier_opening_gets_no_watch_of_a_later_one(kept: bool) -> None:
    """It ends with the watcher that it was made in."""
    watcher = _watcher(MemoryLedger() if kept else None)
    async with watcher:
        earlier = watcher._parts()
    async with watcher:
        with pytest.raises(WatcherClosed):
            earlier.watch(ToyJob())
        assert watcher.open_count == 0


async def test_the_parts_of_a_closed_watcher_are_freed() -> None:
    """The watcher may be opened again."""
    watcher = _watcher()
    async with watcher:
        await watcher.watch(ToyJob())
        parts = ref(watcher._parts())
    await asyncio.sleep(0)
    gc.collect()
    assert parts() is None


async def test_a_watch_that_is_over_at_once_is_not_open() -> None:
    """Its outcome is there when it is returned. It was never handed to the dispatcher."""
    async with _watcher() as watcher:
        watch = watcher._parts().watch(ToyJob(), reading=Reading.succeeded(ToyStatus("succeeded")))
        assert watch.outcome is not None
        assert watcher.open_count == 0
