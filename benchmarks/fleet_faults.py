"""Workers of a fleet that are killed and frozen, and a database that is away: what the vendor and the consumers see."""

from __future__ import annotations

import asyncio
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from benchmarks.fleet_processes import Process, Setting, accounts, jobs_of, settings
from benchmarks.fleet_server import Server
from benchmarks.fleet_vendor import Vendor, vendor
from pollwise.fleet import Client, PostgresLedger

__all__ = ["consume", "deliver_through_kills", "freeze_a_worker", "lose_the_database", "submit", "take_over"]

_LIMIT, _PER_S = 60, 0.25


async def submit(store: PostgresLedger, setting: Setting) -> None:
    """Have the fleet watch all jobs of this setting."""
    for token, account in enumerate(accounts(setting)):
        client = Client(store, setting.endpoint(account))
        await client.submit_many(jobs_of(setting, token), timeout_s=86_400)


@asynccontextmanager
async def consume(store: PostgresLedger, setting: Setting) -> AsyncIterator[Counter[str]]:
    """How often each job's outcome was delivered and acknowledged, by a consumer for each token."""
    found: Counter[str] = Counter()

    async def consumer(account: str) -> None:
        client = Client(store, setting.endpoint(account))
        async with client.outcomes(follow=True, limit=500) as outcomes:
            async for delivery in outcomes:
                if await delivery.ack():
                    found[delivery.outcome.job.job_id] += 1

    tasks = [asyncio.create_task(consumer(account)) for account in accounts(setting)]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _setting(api: Vendor, server: Server, store: PostgresLedger, **options: Any) -> Setting:
    return Setting(
        **{
            "url": api.url,
            "limit": _LIMIT,
            "per_s": _PER_S,
            "database": server.url,
            "schema": store.schema,
            "ttl_s": 3.0,
            **options,
        }
    )


# --- kill -9 --------------------------------------------------------------------------------------


async def take_over(server: Server, *, jobs: int, rounds: int) -> dict[str, Any]:
    """Kill the owner of one token whose jobs run for ever, again and again. The other process has no shard until then."""
    first_s, all_s = [], []
    async with vendor(_LIMIT, _PER_S) as api, server.store() as store, AsyncExitStack() as stack:
        setting = _setting(api, server, store, jobs=jobs, max_s=30.0)
        await submit(store, setting)
        owner = await stack.enter_async_context(Process(setting))
        await owner.ask(jobs)
        for number in range(1, rounds + 1):
            other = await stack.enter_async_context(Process(attrs.evolve(setting, name=f"w{number}")))
            await asyncio.sleep(random.uniform(1.0, 2.0))  # at any moment between two renewals
            began = time.monotonic()
            owner.kill()
            await other.ask(jobs)
            all_s.append(time.monotonic() - began)
            await api.until(lambda name=other.name: name in api.last)
            first_s.append(api.first[other.name] - began)
            owner = other
        return {
            "watches": jobs,
            "kills": rounds,
            "first_poll_s": statistics.median(first_s),
            "first_poll_max_s": max(first_s),
            "all_resumed_s": statistics.median(all_s),
            "all_resumed_max_s": max(all_s),
            "refused": api.refused,
        }


async def deliver_through_kills(server: Server, *, jobs: int, kills: int, seed: int = 1) -> dict[str, Any]:
    """Three workers share eight tokens. One of them is killed at a random moment, and replaced, again and again."""
    dice = random.Random(seed)
    async with vendor(_LIMIT, _PER_S) as api, server.store() as store, AsyncExitStack() as stack:
        setting = _setting(api, server, store, jobs=jobs, tokens=8)
        await submit(store, setting)
        workers = [await stack.enter_async_context(Process(one)) for one in settings(setting, 3)]
        names = [job.job_id for token in range(8) for job in jobs_of(setting, token)]
        api.plan(names, 1.0, 1.6 * kills)
        async with consume(store, setting) as delivered:
            for number in range(kills):
                await asyncio.sleep(dice.uniform(0.1, 1.5))
                place = dice.randrange(3)
                workers[place].kill()
                another = Process(attrs.evolve(setting, name=f"w{3 + number}"))
                workers[place] = await stack.enter_async_context(another)
            ended = time.monotonic()
            await api.until(lambda: len(delivered) == jobs, for_s=1.6 * kills + 60.0)
            await asyncio.sleep(2.0)  # in which something could come twice
        return {
            "jobs": jobs,
            "kills": kills,
            "lost": jobs - len(delivered),
            "twice": sum(count > 1 for count in delivered.values()),
            "refused": api.refused,
            "polls": api.polls,
            "asked_again": api.again,
            "seconds_after_the_last_kill": time.monotonic() - ended,
        }


# --- SIGSTOP --------------------------------------------------------------------------------------


async def freeze_a_worker(server: Server, *, jobs: int, for_s: float) -> dict[str, Any]:
    """Freeze the owner of one token beyond its lease while jobs end, and let it go on."""
    async with vendor(_LIMIT, _PER_S) as api, server.store() as store, AsyncExitStack() as stack:
        setting = _setting(api, server, store, jobs=jobs)
        await submit(store, setting)
        first = await stack.enter_async_context(Process(setting))
        await first.ask(jobs)
        second = await stack.enter_async_context(Process(attrs.evolve(setting, name="w1")))
        api.plan([job.job_id for job in jobs_of(setting, 0)], 0.0, 2.0 * for_s)
        async with consume(store, setting) as delivered:
            await asyncio.sleep(2.0)
            first.signal(signal.SIGSTOP)
            frozen = time.monotonic()
            await api.until(lambda: "w1" in api.last)
            taken_s = api.first["w1"] - frozen
            await asyncio.sleep(frozen + for_s - time.monotonic())
            thawed = time.monotonic()
            first.signal(signal.SIGCONT)
            await api.until(lambda: len(delivered) == jobs)
            lost = (await first.ask())["lost"]
            del second
        return {
            "jobs": jobs,
            "frozen_s": for_s,
            "taken_over_s": taken_s,
            "polls_after_thaw": int(api.last["w0"] > thawed),
            "lost_leases": lost,
            "refused": api.refused,
            "asked_again": api.again,
            "lost": jobs - len(delivered),
            "twice": sum(count > 1 for count in delivered.values()),
        }


# --- the database is away -------------------------------------------------------------------------


async def lose_the_database(server: Server, *, jobs: int, for_s: float, stopped: bool) -> dict[str, Any]:
    """Three workers with eight tokens. Their database is frozen or stopped, and comes back."""
    away, back = _away(server, stopped=stopped)
    async with vendor(_LIMIT, _PER_S) as api, server.store() as store, AsyncExitStack() as stack:
        setting = _setting(api, server, store, jobs=jobs, tokens=8)
        await submit(store, setting)
        workers = [await stack.enter_async_context(Process(one)) for one in settings(setting, 3)]
        await api.until(lambda: set(api.first) >= {one.name for one in workers} | set(accounts(setting)))
        await asyncio.sleep(3.0)
        began = time.monotonic()
        await asyncio.to_thread(away)
        gone = time.monotonic()
        await asyncio.sleep(for_s)
        last_s = max(api.last.values()) - began
        api.forget()
        await asyncio.to_thread(back)
        returned = time.monotonic()
        await api.until(lambda: set(api.first) >= set(accounts(setting)))
        shards_s = max(api.first[account] for account in accounts(setting)) - returned
        names = [job.job_id for token in range(8) for job in jobs_of(setting, token)]
        api.plan(names, 0.0, 1.0)
        async with consume(store, setting) as delivered:
            await api.until(lambda: len(delivered) == jobs)
        return {
            "how": "stopped" if stopped else "frozen",
            "away_s": returned - gone,
            "last_poll_s": last_s,
            "all_shards_back_s": shards_s,
            "refused": api.refused,
            "lost": jobs - len(delivered),
            "twice": sum(count > 1 for count in delivered.values()),
        }


def _away(server: Server, *, stopped: bool) -> Sequence[Callable[[], object]]:
    return (server.stop, server.start) if stopped else (server.freeze, server.thaw)
