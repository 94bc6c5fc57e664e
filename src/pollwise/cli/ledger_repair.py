"""`pollwise ledger check` and `pollwise ledger recover`: what of a damaged ledger is sound, and a new ledger of that."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.ledger_place import DatabaseUrl, Place, open_place
from pollwise.cli.options import CommonOptions
from pollwise.cli.safe_text import counted, safe
from pollwise.cli.stdout import StdoutWriter
from pollwise.ledger import DamagedRow
from pollwise.ledger.recovery import Survey, check_ledger, recover_ledger

__all__ = ["check", "recover"]


async def check(path: Place, *, options: CommonOptions) -> ExitStatus:
    """Say which rows are damaged.

    Raises:
        LedgerError: No row can be read.
    """
    if isinstance(path, DatabaseUrl):
        return await _check_database(path, options=options)
    survey = await _in_thread(lambda stop: check_ledger(str(path), stop), "The check was interrupted.")
    await _print(survey, counted(survey.sound, "row is sound", "rows are sound"), options=options)
    return _status(survey)


async def _check_database(place: DatabaseUrl, *, options: CommonOptions) -> ExitStatus:
    """A server checks its own pages. This reads each row."""
    sound = 0
    async with open_place(place, read_only=True) as ledger:
        async for lines in ledger.export(include_open=True):
            sound += lines.count(b"\n")
        survey = Survey(sound=sound, damaged=tuple(ledger.damaged), faults=())
    await _print(survey, counted(sound, "row is sound", "rows are sound"), options=options)
    return _status(survey)


async def recover(path: Place, new: Place, *, options: CommonOptions) -> ExitStatus:
    """Write the sound rows to a new ledger.

    Raises:
        UsageError: One of them is a database. `new`, or a part of a ledger of that name, exists.
        ConfigurationError: `new` would be a part of the damaged ledger.
        LedgerError: No row can be read, or `new` cannot be written.
    """
    if isinstance(path, DatabaseUrl) or isinstance(new, DatabaseUrl):
        raise UsageError(
            "recover is for files. Restore a database from a backup of its server; `pollwise ledger check` lists the rows"
            " that cannot be read"
        )
    interrupted = f"The recovery was interrupted. Nothing was changed, and {safe(new)} was not written."
    try:
        survey = await _in_thread(lambda stop: recover_ledger(str(path), str(new), stop), interrupted)
    except FileExistsError as exc:
        raise UsageError(f"{exc.filename} exists and is left as it is. Name another file.") from exc
    await _print(survey, f"{counted(survey.sound, 'row was', 'rows were')} written to {safe(new)}", options=options)
    return _status(survey)


async def _in_thread(work: Callable[[Callable[[], bool]], Survey], interrupted: str) -> Survey:
    """Do the work in a thread. If this is cancelled, stop the work and say so.

    If the work finished before it noticed that, its result is returned, because the new ledger is there.
    """
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop.is_set))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if running.exception() is None:
            return running.result()
        print(f"pollwise: {interrupted}", file=sys.stderr, flush=True)
        raise


def _status(survey: Survey) -> ExitStatus:
    return ExitStatus.FAILED if survey.damaged or survey.faults else ExitStatus.SUCCEEDED


async def _print(survey: Survey, first: str, *, options: CommonOptions) -> None:
    output = StdoutWriter()
    if options.writes_documents:
        damaged = [_fields(row) for row in survey.damaged]
        fields = {"sound": survey.sound, "damaged": damaged, "faults": list(survey.faults)}
        await options.writer(stream=False).line(json.dumps(fields, ensure_ascii=True))
        return
    if not (survey.damaged or survey.faults):
        await output.line(f"all {first}")
        return
    await output.line(f"{first}, {len(survey.damaged):,} {'is' if len(survey.damaged) == 1 else 'are'} damaged")
    for row in survey.damaged:
        keys = " ".join(safe(value, 120) for value in (row.keys or {}).values())
        job = f"{safe(row.endpoint or '?', 120)} {keys or '(its keys cannot be read)'}"
        await output.line(f"row {row.id}: {safe(row.reason, 120)}; {job}{'' if row.certain else ' (may be wrong)'}")
    for fault in survey.faults:
        await output.line(f"file: {safe(fault, 200)}")


def _fields(row: DamagedRow) -> dict[str, Any]:
    return {
        "row": row.id,
        "reason": row.reason,
        "endpoint": row.endpoint,
        "account": row.account,
        "job": None if row.keys is None else dict(row.keys),
        "certain": row.certain,
    }
