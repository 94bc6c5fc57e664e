"""Deadlines that count the time in which the computer was suspended, on a virtual clock."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

from pollwise import Abandoned, ConfigurationError, DeadlineExceeded, JobWatcher, Pacing, Succeeded
from pollwise.runtime.suspension import SuspensionTimer, suspended_clock
from pollwise.testing import Hang, ScriptedTransport
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob

pytestmark = pytest.mark.looptime


class Laptop:
    """Its lid can be closed: then the loop's clock stands still, and this one goes on."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def clock(self) -> float:
        return asyncio.get_running_loop().time() + self.slept_s

    def watcher(self, script: list[Any], **options: Any) -> tuple[JobWatcher[Any, Any], ScriptedTransport]:
        transport = ScriptedTransport(script)
        options = {"timeout_s": 3600, "pacing": Pacing.fixed(600.0), "transport": transport, **options}
        watcher: JobWatcher[Any, Any] = JobWatcher(ToyEndpoint(), **options)
        watcher._suspended_clock = self.clock
        return watcher, transport


async def test_suspended_time_counts() -> None:
    """An hour's deadline comes after half an hour awake and half an hour asleep; one poll is just before it."""
    laptop = Laptop()
    watcher, transport = laptop.watcher([RUNNING])
    async with watcher:
        began = asyncio.get_running_loop().time()
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(700)
        laptop.slept_s = 1800.0
        with pytest.raises(DeadlineExceeded):
            await watch
        assert asyncio.get_running_loop().time() - began == pytest.approx(1800.0, abs=0.1)
        assert transport.times[-1] - began == pytest.approx(1799.0, abs=0.1)


@pytest.mark.parametrize("answer", [SUCCEEDED, RUNNING], ids=["over", "running"])
async def test_a_job_is_looked_at_once_more_after_a_night(answer: dict[str, Any]) -> None:
    """If the deadline passed in the suspension, one poll decides: the job may have ended in time."""
    laptop = Laptop()
    watcher, transport = laptop.watcher([RUNNING, answer])
    async with watcher:
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(60)
        laptop.slept_s = 8 * 3600.0
        await asyncio.sleep(5)
        assert isinstance(watch.outcome, Succeeded if answer is SUCCEEDED else Abandoned)
        assert len(transport.times) == 2


async def test_a_request_in_flight_keeps_its_own_limit() -> None:
    """It was cut by the suspension; after its time-out the job is looked at once more."""
    laptop = Laptop()
    watcher, transport = laptop.watcher([Hang(), SUCCEEDED])
    async with watcher:
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(1)
        laptop.slept_s = 8 * 3600.0
        assert (await watch).state == "succeeded"
        assert len(transport.times) == 2


async def test_by_default_suspended_time_does_not_count() -> None:
    """The event loop's clock decides alone, and no timer runs."""
    async with JobWatcher(ToyEndpoint(), timeout_s=3600, transport=ScriptedTransport([RUNNING])) as watcher:
        assert watcher._parts().suspension is None


async def test_short_differences_add_up() -> None:
    """What is too short to be noticed at once is counted later; a suspension is counted once."""
    slept_s = 0.0
    found: list[float] = []
    timer = SuspensionTimer(lambda: asyncio.get_running_loop().time() + slept_s, found.append)
    for _ in range(4):
        slept_s += 0.3
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert found == pytest.approx([0.6, 0.6])
    timer.close()
    slept_s += 100.0
    await asyncio.sleep(10)
    assert len(found) == 2


def test_a_system_without_such_a_clock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option is refused when the watcher is made; where the loop's clock counts that time, it needs no other."""
    monkeypatch.setattr(sys, "platform", "plan9")
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    with pytest.raises(ConfigurationError, match="count_suspended needs a clock"):
        JobWatcher(ToyEndpoint(), timeout_s=60, count_suspended=True)
    monkeypatch.setattr(sys, "platform", "win32")
    assert suspended_clock() is None


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no CLOCK_BOOTTIME")
async def test_linux_has_such_a_clock() -> None:
    """It never goes slower than the clock of an event loop."""
    clock = suspended_clock()
    assert clock is not None
    before = clock()
    assert clock() >= before >= time.monotonic() - 1.0
    async with JobWatcher(
        ToyEndpoint(), timeout_s=60, count_suspended=True, transport=ScriptedTransport([SUCCEEDED])
    ) as watcher:
        await watcher.watch(ToyJob())
