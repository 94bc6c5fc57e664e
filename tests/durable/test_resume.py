"""Taking up what a ledger has open: everything, once, where it was, by clocks that may have jumped, and no stampede."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import attrs
import pytest
import time_machine

from kept_toy import DAY_S, NOON_S, KeptToyEndpoint, MemoryLedger, ToyCodec, acknowledged, keeping, toys
from pollwise.core.forecast import Durations
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.durable import Patience
from pollwise.durable.resume import Stagger, learn_durations
from pollwise.errors import DeadlineExceeded, RetriesExhausted, WatcherClosed
from pollwise.ledger import Acknowledgement, Concluded, LedgerFailed, OpenWatch
from pollwise.model.events import Abandoned, Failed, Progressed, Succeeded
from pollwise.model.reading import Phase
from pollwise.testing import Hang, Slow
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, ToyStatus, by_job, running, settle

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def left_open(ledger: MemoryLedger, count: int, **options: Any) -> None:
    """A run that leaves so many watches open."""
    async with keeping(ledger, [Hang()], **options) as (watcher, _):
        await watcher.record_all(toys(count))


# --- everything, once ---------------------------------------------------------------------------


async def test_all_that_is_open_is_taken_up() -> None:
    """In the order recorded; what has ended is not, and another endpoint's is not."""
    ledger = MemoryLedger(chunk=3)
    async with keeping(ledger, by_job({job.id: [RUNNING] for job in toys(9)} | {"z": [SUCCEEDED]})) as (watcher, _):
        await watcher.record_all([*toys(4), ToyJob("z"), *toys(9)])
        await watcher.watch(ToyJob("z"))
    other = KeptToyEndpoint()
    other.name = "other"
    async with keeping(ledger, [RUNNING], endpoint=other) as (watcher, _):
        await watcher.record(ToyJob("other"))
    async with keeping(ledger, [FAILED]) as (watcher, transport):
        watches = await watcher.resume()
        assert [watch.job for watch in watches] == toys(9)
        assert watches[8] is watcher.watch(toys(9)[8])
        found = Counter(type(delivery.outcome) for delivery in await acknowledged(watcher))
        assert found == {Succeeded: 1, Failed: 9}
        assert len(transport.requests) == 9
        assert await watcher.resume() == []


async def test_what_is_watched_already_goes_on_as_it_does() -> None:
    """And is among those that are given back, also the second time."""
    ledger = MemoryLedger()
    await left_open(ledger, 3)
    async with keeping(ledger, [Hang()]) as (watcher, transport):
        mine = [watcher.watch(job) for job in toys(2)]
        watches = await watcher.resume()
        assert watches[:2] == mine
        assert await watcher.resume() == watches
        await asyncio.sleep(5)
        assert len(transport.requests) == 3


class Overtaken(MemoryLedger):
    """Hands out a page of open rows long after it was read."""

    late_s = 0.0

    async def open_watches(
        self, endpoint: str, account: str = "", /, *, after: int = 0
    ) -> AsyncIterator[Sequence[OpenWatch]]:
        async for page in super().open_watches(endpoint, account, after=after):
            await asyncio.sleep(self.late_s)
            yield page


async def test_what_ends_while_the_rows_are_read_is_not_asked_again() -> None:
    """Its row was open when it was read, and is not any more."""
    ledger = Overtaken()
    await left_open(ledger, 2)
    ledger.late_s = 10.0
    async with keeping(ledger, [SUCCEEDED]) as (watcher, transport):
        resuming = asyncio.create_task(watcher.resume())
        await asyncio.sleep(1)
        await watcher.watch(toys(1)[0])
        assert [watch.job for watch in await resuming] == toys(2)[1:]
        await asyncio.sleep(5)
        assert len(transport.requests) == 2
        assert await ledger.acknowledge([Acknowledgement(id=1, generation=0)]) == 1


async def test_left_while_the_rows_are_read() -> None:
    """It says so, and the rows stay as they are."""
    ledger = Overtaken()
    await left_open(ledger, 300)
    ledger.late_s = 10.0
    async with keeping(ledger, [SUCCEEDED]) as (watcher, transport):
        resuming = asyncio.create_task(watcher.resume())
        await asyncio.sleep(1)
    with pytest.raises(WatcherClosed):
        await resuming
    assert transport.requests == []
    assert all(isinstance(row, OpenWatch) for row in ledger.rows.values())


async def test_a_ledger_that_cannot_be_read_for_some_seconds() -> None:
    """It is read again, and each watch is resumed once."""
    ledger = MemoryLedger(chunk=2)
    await left_open(ledger, 5)
    failed = LedgerFailed("jobs.ledger", "I/O error")
    ledger.failures["open_watches"] = [failed, None, failed, failed, None, None, failed]
    ledger.failures["durations"] = [failed, failed]
    async with keeping(ledger, [SUCCEEDED]) as (watcher, transport):
        watches = await watcher.resume()
        assert [watch.job for watch in watches] == toys(5)
        assert len(await acknowledged(watcher)) == 5
        assert len(transport.requests) == 5


async def test_a_ledger_that_cannot_be_read_to_its_end() -> None:
    """After `ledger_patience_s` the call raises. The resumed watches continue, and the call can be repeated."""
    ledger = MemoryLedger(chunk=2)
    await left_open(ledger, 5)
    failed = LedgerFailed("jobs.ledger", "I/O error")
    ledger.failures["open_watches"] = [None, failed]
    async with keeping(ledger, [SUCCEEDED], ledger_patience_s=10) as (watcher, transport):
        ledger.broken["open_watches"] = failed
        with pytest.raises(LedgerFailed):
            await watcher.resume()
        ledger.broken.clear()
        assert len(await acknowledged(watcher)) == 2
        assert len(await watcher.resume()) == 3
        assert len(await acknowledged(watcher)) == 3
        assert len(transport.requests) == 5


async def test_a_row_that_is_no_job_stays(caplog: pytest.LogCaptureFixture) -> None:
    """The other rows are resumed, and the log names this one."""

    class Changed(ToyCodec):
        def job_from_keys(self, keys: Any, /) -> ToyJob:
            if keys["id"] == "job-1":
                raise ValueError
            return super().job_from_keys(keys)

    ledger = MemoryLedger()
    await left_open(ledger, 3)
    async with keeping(ledger, [SUCCEEDED], endpoint=KeptToyEndpoint(codec=Changed())) as (watcher, _):
        assert len(await watcher.resume()) == 2
        await acknowledged(watcher)
    assert "watch 2" in caplog.text
    assert isinstance(ledger.of(id="job-1"), OpenWatch)


# --- where it was -------------------------------------------------------------------------------


async def test_attempts_go_on() -> None:
    """Polls, failures in a row and what was last seen; before its first new poll a watch shows the old status."""
    ledger = MemoryLedger()
    options: dict[str, Any] = {"retry": Retry(outage_s=1e-9, min_failures=6), "pacing": Pacing.fixed(10.0)}
    async with keeping(ledger, [running(4), 503], **options) as (watcher, _):
        watch = watcher.watch(ToyJob())
        while watch.machine.failures < 4:
            await asyncio.sleep(0.1)
        polls = watch.machine.polls
    async with keeping(ledger, [503], budget=RateBudget(1, per_s=1), **options) as (watcher, transport):
        ledger.latency_s = 0.0
        (watch,) = await watcher.resume()
        assert isinstance(watch.last, Progressed)
        assert (watch.last.status, watch.last.polls) == (ToyStatus("running", 4), polls)
        assert transport.requests == []
        with pytest.raises(RetriesExhausted) as caught:
            await watch
        assert caught.value.failures == 6
        assert len(transport.requests) == 2
        assert watch.machine.polls == polls + 2


async def test_durations_that_were_learnt_are_learnt_again() -> None:
    """How long the endpoint's jobs took, by the ledger, sets the pace from the first watch on, and once."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Slow(SUCCEEDED, 20.0)], concurrency=100) as (watcher, _):
        await watcher.gather(toys(60))
    learnt = Durations()
    now = asyncio.get_running_loop().time
    patience = Patience("calls", patience_s=10, now=now, closing=asyncio.Event())
    await learn_durations(ledger, "toy", "", learnt, patience)
    assert learnt.ended == 60
    assert learnt.chance(0.0, 15.0) < 0.1
    assert learnt.chance(0.0, 25.0) > 0.9
    async with keeping(ledger, [RUNNING], pacing=Pacing(min_s=1, max_s=60)) as (watcher, transport):
        watcher.watch(ToyJob("new"))
        await asyncio.sleep(15)
        assert len(transport.requests) <= 4
        durations = watcher._policy.forecast.durations
        assert durations.ended == 60
    async with watcher:
        assert durations.ended == 60


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -5.0, 1e300])
async def test_an_odd_duration_of_a_ledger_is_no_error(odd: float) -> None:
    """A wall clock that jumped, or another implementation of a ledger, may give any number."""

    class Odd(MemoryLedger):
        async def durations(self, *_: object, **__: object) -> list[float]:
            return [20.0, odd] * 50

    async with keeping(Odd(), [SUCCEEDED]) as (watcher, _):
        durations = watcher._policy.forecast.durations
        assert durations.ended >= 50
        assert durations.chance(0.0, 25.0) > 0.4
        assert isinstance((await watcher.gather(toys(1)))[0], Succeeded)


async def test_how_long_open_jobs_have_run_is_learnt() -> None:
    """Jobs that were seen going on for nine minutes teach once that few are over after two."""
    ledger = MemoryLedger()
    await left_open(ledger, 50, timeout_s=None)
    await asyncio.sleep(600)
    for number, row in list(ledger.rows.items()):
        ledger.rows[number] = attrs.evolve(
            row, seen_s=540.0, phase=Phase.RUNNING, status=b'{"state":"running","done":1}'
        )
    async with keeping(ledger, [Hang()], timeout_s=None) as (watcher, _):
        durations = watcher._policy.forecast.durations
        durations.over(0.0, 600.0)
        before = durations.chance(0.0, 100.0)
        await watcher.resume()
        durations.over(500.0, 540.0)
        after = durations.chance(0.0, 100.0)
        assert after < before / 10
        await watcher.resume()
        durations.over(500.0, 540.0)
        assert durations.chance(0.0, 100.0) > 0.9 * after


# --- by clocks that may have jumped -------------------------------------------------------------


async def test_a_deadline_is_kept_across_the_gap() -> None:
    """By the wall clock: what is left is what was left, less the time in between."""
    ledger = MemoryLedger()
    await left_open(ledger, 1, timeout_s=100)
    await asyncio.sleep(60)
    async with keeping(ledger, [RUNNING], timeout_s=9_999) as (watcher, _):
        (watch,) = await watcher.resume()
        with pytest.raises(DeadlineExceeded):
            await watch
        assert now() == pytest.approx(100, abs=0.1)
        assert isinstance(watch.outcome, Abandoned)
        assert watch.outcome.elapsed_s == pytest.approx(100, abs=0.1)


async def test_a_clock_that_jumped_back_a_day() -> None:
    """No age is negative, and no watch lasts longer than its timeout."""
    ledger = MemoryLedger()
    await left_open(ledger, 1, timeout_s=100)
    await asyncio.sleep(60)
    async with keeping(ledger, [RUNNING], shift_s=-DAY_S, timeout_s=100) as (watcher, _):
        began = now()
        (watch,) = await watcher.resume()
        events = [event async for event in watch]
        assert now() - began == pytest.approx(100, abs=0.1)
        assert all(0 <= event.elapsed_s <= 101 for event in events)
        assert isinstance(events[-1], Abandoned)
    row = ledger.of(id="job-0")
    assert isinstance(row, Concluded)
    assert 0 <= row.elapsed_s <= 101


@pytest.mark.parametrize("answer", [SUCCEEDED, RUNNING])
async def test_a_clock_that_jumped_forward_a_day(answer: Any) -> None:
    """All watches are overdue. Each job is polled once more, and abandoned only if it still runs."""
    ledger = MemoryLedger()
    await left_open(ledger, 10, timeout_s=100)
    async with keeping(ledger, [answer], shift_s=DAY_S, timeout_s=100) as (watcher, transport):
        watches = await watcher.resume()
        found = await acknowledged(watcher)
        assert len(transport.requests) == len(watches) == 10
        assert {type(one.outcome) for one in found} == {Succeeded if answer is SUCCEEDED else Abandoned}
    async with keeping(ledger, [SUCCEEDED], timeout_s=100) as (watcher, _):
        # a watch that was abandoned because of a wrong clock is polled when it is watched again, with its whole time-out
        outcomes = await watcher.gather(toys(10))
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


async def test_the_overdue_wait_for_the_budget_too() -> None:
    """Each gets its one answer, however long the budget makes it wait; a server that is down does not hold it."""
    ledger = MemoryLedger()
    await left_open(ledger, 20, timeout_s=5)
    await asyncio.sleep(100)
    began = now()
    async with keeping(ledger, [SUCCEEDED], timeout_s=5, budget=RateBudget(1, per_s=10)) as (watcher, transport):
        await watcher.resume()
        assert {type(one.outcome) for one in await acknowledged(watcher)} == {Succeeded}
        assert len(transport.requests) == 20
    assert 190 <= now() - began <= 260
    async with keeping(ledger, [Hang()], timeout_s=5) as (watcher, _):
        await watcher.record_all([ToyJob("x"), ToyJob("y")])
    await asyncio.sleep(100)
    began = now()
    async with keeping(ledger, [Hang()], timeout_s=5, request_timeout_s=30) as (watcher, _):
        await watcher.resume()
        assert {type(one.outcome) for one in await acknowledged(watcher)} == {Abandoned}
    assert 29 <= now() - began <= 32


async def test_the_overdue_wait_for_a_budget_that_others_have_spent() -> None:
    """Also if they are watched anew rather than resumed, and however long it takes to poll all of them."""
    ledger = MemoryLedger()
    await left_open(ledger, 40, timeout_s=5)
    await asyncio.sleep(100)
    budget = RateBudget(4, per_s=40)
    async with keeping(ledger, [SUCCEEDED], timeout_s=5, budget=budget) as (watcher, transport):
        await watcher.record_all(toys(40))
        assert {type(one.outcome) for one in await acknowledged(watcher)} == {Succeeded}
        assert len(transport.requests) == 40


async def test_waiting_for_ever_goes_on_for_ever() -> None:
    """Whatever the clock says."""
    ledger = MemoryLedger()
    await left_open(ledger, 1, timeout_s=None)
    for shift_s in (-DAY_S, DAY_S):
        async with keeping(ledger, [RUNNING], shift_s=shift_s, timeout_s=10) as (watcher, _):
            (watch,) = await watcher.resume()
            await asyncio.sleep(100)
            assert watch.outcome is None


@pytest.mark.looptime(False)
async def test_the_systems_clock_is_the_wall_clock() -> None:
    """Unless another one is handed in."""
    ledger = MemoryLedger(latency_s=0.0)
    with time_machine.travel(NOON_S, tick=False):
        async with keeping(ledger, [SUCCEEDED], clock=__import__("time").time) as (watcher, _):
            await watcher.watch(ToyJob())
    assert ledger.of(id="a").first_seen.timestamp() == NOON_S


# --- no stampede --------------------------------------------------------------------------------


async def test_first_polls_are_spread_over_the_budget() -> None:
    """Its whole rate is used from the first moment, and never more; no watch is held back."""
    ledger = MemoryLedger()
    await left_open(ledger, 300)
    options: dict[str, Any] = {"budget": RateBudget(10, per_s=1), "pacing": Pacing.fixed(600)}
    async with keeping(ledger, [RUNNING], **options) as (watcher, transport):
        began = now()
        watches = await watcher.resume()
        await asyncio.sleep(31)
        assert len(transport.times) == 300
        assert transport.times[0] - began < 0.1
        assert transport.times[-1] - began == pytest.approx(30, abs=0.5)
        assert all(later - earlier >= 1 for earlier, later in zip(transport.times, transport.times[10:], strict=False))
        assert all(isinstance(watch.last, Progressed) for watch in watches)


async def test_without_a_budget_first_polls_are_spread_over_the_pacing() -> None:
    """All within its longest wait, and no moment has much more than another."""
    ledger = MemoryLedger()
    await left_open(ledger, 3_000)
    pacing = Pacing(min_s=20.0, max_s=20.0)
    async with keeping(ledger, [RUNNING], pacing=pacing, concurrency=64) as (watcher, transport):
        began = now()
        await watcher.resume()
        await asyncio.sleep(20.1)
        seconds = [sum(n <= at - began < n + 1 for at in transport.times) for n in range(20)]
        assert sum(seconds) >= 2_990
        assert max(seconds) < 300


async def test_few_are_asked_at_once() -> None:
    """As many a second as may be in flight are no stampede."""
    ledger = MemoryLedger()
    await left_open(ledger, 20)
    async with keeping(ledger, [Hang()], concurrency=64, budget=RateBudget(1000, per_s=1.0)) as (watcher, transport):
        began = now()
        await watcher.resume()
        await asyncio.sleep(1)
        assert len(transport.times) == 20
        assert transport.times[-1] - began < 0.5


def test_places_are_even() -> None:
    """With a rate each has its own; without one they are even over the pacing's longest wait."""
    by_rate = Stagger(0.5, Pacing(), 64)
    assert [by_rate.next_s() for _ in range(4)] == [0, 0.5, 1.0, 1.5]
    few = Stagger(0.0, Pacing(min_s=1, max_s=60), 10)
    places = [few.next_s() for _ in range(601)]
    assert all(later - earlier == pytest.approx(0.1) for earlier, later in pairwise(places))
    more = sorted(few.next_s() for _ in range(10_000))
    assert more[0] >= 0
    assert more[-1] <= 60
    assert max(later - earlier for earlier, later in pairwise(more)) < 0.03


async def test_polls_begin_while_the_rest_is_read() -> None:
    """The first page need not wait for the last."""
    ledger = MemoryLedger(chunk=10)
    await left_open(ledger, 100)
    ledger.latency_s = 5.0
    async with keeping(ledger, [SUCCEEDED]) as (watcher, transport):
        resuming = asyncio.create_task(watcher.resume())
        await asyncio.sleep(14)  # one call says where they were asked, the next one gives the first page
        assert len(transport.times) >= 9
        assert not resuming.done()
        await resuming
        await settle()
