"""`--fresh`: a batch starts over, with a new ledger.

Rule 1: the earlier ledger is moved and never deleted. stderr says where it is, and whether it has open jobs of another batch.
Rule 2: a ledger that is in use is not moved. Neither is one with starts of jobs in doubt, because without it a key could start a
second job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

import orjson

from pollwise.cli.exit_status import UsageError
from pollwise.cli.job_table import JobTable
from pollwise.cli.run_times import move_runs
from pollwise.cli.safe_text import counted, safe
from pollwise.cli.terminal import print_note
from pollwise.ledger import Ledger, LedgerMissing, SqliteLedger
from pollwise.ledger.set_aside import set_aside

__all__ = ["start_over"]


async def start_over(
    path: Path, job_table: JobTable, accounts: Mapping[str, str], *, taken: Collection[str] = ()
) -> None:
    """Move the ledger of an earlier run aside, if there is one.

    Args:
        path: The ledger.
        job_table: The jobs of the batch.
        accounts: The account of each endpoint, by its name.
        taken: Real paths of files that the batch writes.

    Raises:
        UsageError: The ledger has starts of jobs in doubt.
        LedgerError: The ledger cannot be moved, because it is in use, damaged, or no ledger.
    """
    try:
        async with SqliteLedger(path, read_only=True) as ledger:
            in_doubt = len(await ledger.unfinished_submits())
            others = await _other_open_jobs(ledger, job_table, accounts)
    except LedgerMissing:
        return
    if in_doubt:
        raise UsageError(
            f"{safe(path)} has {counted(in_doubt, 'start')} of jobs in doubt, so --fresh does not move it: a key could start"
            " a second job. Settle them in the program that started them, or name another file with --ledger"
        )
    moved = await asyncio.to_thread(set_aside, path, taken=taken)
    if moved is not None:
        move_runs(path, moved)
        more = f"; it has {counted(others, 'open job')} that this batch does not have" if others else ""
        print_note(f"pollwise: --fresh: the earlier ledger is now {safe(moved)}{more}")


async def _other_open_jobs(ledger: Ledger, job_table: JobTable, accounts: Mapping[str, str]) -> int:
    """How many open jobs of other batches the ledger has."""
    count = 0
    async for lines in ledger.export(include_open=True):
        for watch in map(orjson.loads, lines.splitlines()):
            if watch["outcome"] is None:
                name = watch["endpoint"]
                is_ours = accounts.get(name) == watch.get("account", "") and job_table.has(name, watch["job"])
                count += not is_ours
    return count
