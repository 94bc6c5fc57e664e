"""The starts of one watcher. What a caller sees of them is tested in tests/test_submitting_jobs.py."""

from __future__ import annotations

import asyncio

import pytest

from pollwise.errors import WatcherClosed
from pollwise.runtime.submits import WithoutLedger, other_order
from pollwise.testing import ScriptedTransport
from pollwise.watcher import JobWatcher
from submitting import STARTED, Presses, Starting, Vendor
from toy import SUCCEEDED, ToyJob, settle

pytestmark = pytest.mark.looptime


async def test_nothing_of_a_start_is_kept_after_it() -> None:
    """However it ends."""
    async with Starting(Vendor(STARTED, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"")) as watcher:
        submits = watcher._parts().submits
        await watcher.submit("print", key="a")
        await asyncio.gather(watcher.submit("print", key="a"), return_exceptions=True)
        assert not submits._under_way
        task = asyncio.create_task(watcher.submit("print", key="a"))
        await settle()
        assert submits._under_way
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not submits._under_way


async def test_a_job_that_was_started_while_the_watcher_closed_is_named() -> None:
    """The error has the job and says that it was started."""

    def closed(job: ToyJob, /, *, first_after_s: float = 0.0, reading: object = None) -> None:
        raise WatcherClosed(job)

    starts: WithoutLedger[ToyJob] = WithoutLedger(closed)  # type: ignore[arg-type]
    async with JobWatcher(Presses("https://a"), timeout_s=9, transport=ScriptedTransport([SUCCEEDED])):
        with pytest.raises(WatcherClosed) as caught:
            await starts.watch(None, ToyJob("7"), 0.0)  # type: ignore[arg-type]
    assert caught.value.job == ToyJob("7")
    assert "was started" in caught.value.__notes__[0]


def test_another_order_is_an_error_that_says_what_to_do() -> None:
    """With the key."""
    assert "'a'" in str(other_order("a"))
    assert "a key of its own" in str(other_order("a"))
