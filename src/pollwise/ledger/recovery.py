"""Checks a damaged ledger, and saves its sound rows in a new file.

Rule 1: the damaged file is opened read-only, and stays as it is. No file is overwritten.
Rule 2: a row is saved only if its checksums are right. Rows of schema versions 1 to 3 have none, so their values decide.
Rule 3: rows are read by ranges of numbers. If a range cannot be read, its halves are read, down to single rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from pollwise.ledger.errors import LedgerCorrupt, LedgerMissing
from pollwise.ledger.files import make_ledger
from pollwise.ledger.records import DamagedRow
from pollwise.ledger.rows import COLUMNS, Row, UnsoundRow, checksums_of, damaged_row, line_of
from pollwise.ledger.statements import fetch

__all__ = ["Survey", "check_ledger", "recover_ledger"]

_CHUNK = 1_000
_MOST_FAULTS = 20
_ADDED = {
    "account": "''",
    "origin": "NULL",
    "error_data": "NULL",
    "generation": "0",
    "job_checksum": "'older'",
    "state_checksum": "'older'",
}


@attrs.frozen(kw_only=True)
class Survey:
    """What a ledger's file has.

    Attributes:
        sound: The number of sound rows.
        damaged: The other rows.
        faults: What SQLite says about the file, at most 20 messages.
    """

    sound: int
    damaged: Sequence[DamagedRow]
    faults: Sequence[str]


def check_ledger(path: str) -> Survey:
    """Read each row. Raises LedgerError if the file has no table of watches that can be read."""
    return _survey(path, lambda _row: None)


def recover_ledger(path: str, new: str) -> Survey:
    """Write the sound rows to the new file `new`, with their numbers.

    Raises:
        FileExistsError: `new` exists, and is left as it is.
        LedgerError: The file has no table of watches that can be read.
    """
    if os.path.lexists(new):
        raise FileExistsError(new)
    target = os.path.abspath(new)  # noqa: PTH100 - all of a ledger's paths are texts
    surveys: list[Survey] = []

    def save_all(db: sqlite3.Connection) -> None:
        db.execute("BEGIN")
        surveys.append(_survey(path, lambda row: _save(db, row)))
        db.execute("COMMIT")

    make_ledger(target, f"{target}-pollwise-recovery", save_all)
    return surveys[0]


def _save(db: sqlite3.Connection, row: Row) -> str | None:
    """Insert the row. Returns why that was not possible, or None."""
    marks = ", ".join("?" * len(row))
    try:
        db.execute(f"INSERT INTO watches ({COLUMNS}) VALUES ({marks})", (*row[:-2], *checksums_of(row)))  # noqa: S608
    except sqlite3.IntegrityError:
        return "it is a second row of its job"
    return None


def _survey(path: str, save: Callable[[Row], str | None]) -> Survey:
    if not Path(path).is_file():
        raise LedgerMissing(path)
    sound = 0
    damaged: list[DamagedRow] = []
    unreadable: list[int] = []
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            select = _select(db, path)
            keys, highest = _keys(db)
            for row in _rows(db, select, highest, unreadable):
                try:
                    line_of(row)
                except UnsoundRow as exc:
                    damaged.append(exc.damaged)
                    continue
                problem = save(row)
                if problem is None:
                    sound += 1
                else:
                    damaged.append(damaged_row(row, problem))
            faults = _faults(db)
    except sqlite3.DatabaseError as exc:
        raise LedgerCorrupt(path, str(exc)) from exc
    lost = [
        damaged_row((number, *keys.get(number, (None, None, None))), "its page cannot be read")
        for number in unreadable
        if number in keys or not keys
    ]
    return Survey(sound=sound, damaged=sorted([*damaged, *lost], key=lambda row: row.id), faults=faults)


def _select(db: sqlite3.Connection, path: str) -> str:
    there = {row[1] for row in db.execute("PRAGMA table_info(watches)")}
    if "id" not in there:
        raise LedgerCorrupt(path, "it has no table of watches that can be read")
    names = [name if name in there else f"{_ADDED.get(name, 'NULL')} AS {name}" for name in COLUMNS.split(", ")]
    return f"SELECT {', '.join(names)} FROM watches NOT INDEXED"  # noqa: S608


def _keys(db: sqlite3.Connection) -> tuple[Mapping[int, tuple[object, object, object]], int]:
    """Endpoint, account and job by row number, from the index, and the highest number that the file names."""
    keys: dict[int, tuple[object, object, object]] = {}
    highest = 0
    try:
        for row in fetch(db, "SELECT id, endpoint, account, job FROM watches INDEXED BY watches_by_job"):
            keys[row[0]] = row[1:]
    except sqlite3.DatabaseError:
        keys = {}
    for sql in ("SELECT max(id) FROM watches", "SELECT seq FROM sqlite_sequence WHERE name = 'watches'"):
        try:
            found = [number for (number,) in fetch(db, sql) if isinstance(number, int)]
        except sqlite3.DatabaseError:
            continue
        highest = max([highest, *found])
        if highest:
            break
    return keys, max([highest, *keys])


def _rows(db: sqlite3.Connection, select: str, highest: int, unreadable: list[int]) -> Iterator[Row]:
    last = 0
    ranges = [(low, min(low + _CHUNK, highest + 1)) for low in range(1, highest + 1, _CHUNK)][::-1]
    while ranges:
        low, high = ranges.pop()
        try:
            rows = fetch(db, f"{select} WHERE id >= ? AND id < ? ORDER BY id", (low, high))
        except sqlite3.DatabaseError:
            if high - low == 1:
                unreadable.append(low)
            else:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]
            continue
        for row in rows:
            if row[0] > last:  # a page that is linked twice has its rows twice
                last = row[0]
                yield row


def _faults(db: sqlite3.Connection) -> Sequence[str]:
    try:
        found = [str(message) for (message,) in db.execute(f"PRAGMA integrity_check({_MOST_FAULTS})")]
    except sqlite3.DatabaseError as exc:
        return [str(exc)]
    return [] if found == ["ok"] else found
