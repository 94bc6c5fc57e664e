"""The statements of the calls that write to a ledger.

Rule 1: this code runs on the writer's thread. Calls that write run inside a transaction of the writer.
Rule 2: the WHERE or the ON CONFLICT of a statement lets the first call win. No result depends on a read before the
transaction.
Rule 3: a damaged row is never written to, with one exception: an update or an outcome overwrites the whole state, and leaves
the job as it is. A call that cannot be carried out because of damaged rows raises `DamagedRows`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from pollwise.ledger.checksums import checksum, state_checksum
from pollwise.ledger.intent_rows import finish
from pollwise.ledger.records import (
    Acknowledgement,
    Change,
    Conclusion,
    NewWatch,
    Recorded,
    Relocation,
    Renewal,
)
from pollwise.ledger.rows import (
    COLUMNS,
    CURSOR,
    STATE,
    UNSEEN,
    Row,
    damaged_row,
    json_of,
    key_text,
    known_watch,
    microseconds,
    state_of,
)
from pollwise.ledger.statements import AT_ONCE, DamagedRows, Work, fetch, rows_by_id, sound_rows

__all__ = [
    "ACKNOWLEDGE",
    "CONCLUDE",
    "RECORD",
    "RELOCATE",
    "REOPEN",
    "UPDATE",
]

_Job: TypeAlias = tuple[str, str, str]  # endpoint, account, keys


# S608 below: the statements are made of constants alone.
# By its number, because SQLite would take the key from the index, and a damaged key in the table would go unseen.
_FIND = (
    f"SELECT {COLUMNS} FROM watches"  # noqa: S608
    " WHERE id = (SELECT id FROM watches WHERE endpoint = ? AND account = ? AND job = ?)"
)
_LAST = "SELECT max(id) FROM watches UNION ALL SELECT seq FROM sqlite_sequence WHERE name = 'watches'"
_SINCE = "SELECT endpoint, account, job, id FROM watches WHERE id > ?"
# Many rows in one statement take a third of the CPU time, and the GIL is released once instead of once for each row.
_INSERT = (
    "INSERT INTO watches (id, endpoint, account, job, origin, first_seen_us, deadline_us, job_checksum, state_checksum)"
    " VALUES {} ON CONFLICT (endpoint, account, job) DO NOTHING"
)
_START = "UPDATE watches SET cursor = ? WHERE id = ?"  # of a new row; few rows begin with a cursor
_UPDATE = (
    "UPDATE watches SET phase = ?, polls = ?, failures = ?, status = ?, seen_s = ?, cursor = ?, state_checksum = ?"
    " WHERE id = ? AND outcome IS NULL"
)
_CONCLUDE = (
    "UPDATE watches SET phase = ?, polls = ?, failures = ?, status = ?, seen_s = ?, outcome = ?, elapsed_s = ?,"
    " error_type = ?, error_message = ?, error_data = ?, acknowledged = ?, cursor = ?, state_checksum = ?"
    " WHERE id = ? AND outcome IS NULL"
)
_ACKNOWLEDGE = (
    "UPDATE watches SET acknowledged = 1, state_checksum = ?"
    " WHERE id = ? AND generation = ? AND outcome IS NOT NULL AND acknowledged = 0"
)
_REOPEN = (
    "UPDATE watches SET deadline_us = ?, origin = ?, generation = ?, failures = 0, outcome = NULL, elapsed_s = NULL,"
    " error_type = NULL, error_message = NULL, error_data = NULL, acknowledged = 0, job_checksum = ?, state_checksum = ?"
    " WHERE id = ? AND generation = ? AND outcome = 'abandoned'"
)
_RELOCATE = "UPDATE watches SET origin = ?, job_checksum = ? WHERE id = ? AND outcome IS NULL"


def _record(db: sqlite3.Connection, watches: Sequence[NewWatch]) -> Sequence[Recorded]:
    given = [(watch, (watch.endpoint, watch.account, key_text(watch.keys))) for watch in watches]
    last = max((number for (number,) in fetch(db, _LAST) if isinstance(number, int)), default=0)
    for n in range(0, len(given), AT_ONCE):
        _insert(db, given[n : n + AT_ONCE], last + n + 1)
    new = {tuple(job): number for *job, number in db.execute(_SINCE, (last,))}
    if any(watch.outcome is not None for watch in watches):
        _conclude(db, _ended(given, new))
    found = [_recorded(db, job, new.pop(job, None)) for _, job in given]
    for watch, recorded in zip(watches, found, strict=True):
        if watch.intent is not None:
            finish(db, watch.intent, recorded.id)
    return found


def _ended(given: Sequence[tuple[NewWatch, _Job]], new: Mapping[tuple[Any, ...], int]) -> list[Conclusion]:
    """The outcomes of new rows. Of a job that is there twice, the first one is the row."""
    first: dict[_Job, NewWatch] = {}
    for watch, job in given:
        first.setdefault(job, watch)
    return [
        attrs.evolve(watch.outcome, id=new[job])
        for job, watch in first.items()
        if watch.outcome is not None and job in new
    ]


def _insert(db: sqlite3.Connection, given: Sequence[tuple[NewWatch, _Job]], first: int) -> None:
    """Insert these rows, with numbers from `first` on. The number of a job that has a row is left out."""
    values: list[Any] = []
    cursors: list[Row] = []
    for number, (watch, job) in enumerate(given, first):
        row = (number, *job, watch.origin, microseconds(watch.first_seen), microseconds(watch.deadline))
        cursor = json_of(watch.cursor, "cursor")
        if cursor is not None:
            cursors.append((cursor, number))
        values += (*row, checksum((*row, 0)), state_checksum(number, UNSEEN, cursor))
    db.execute(_INSERT.format(", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(given))), values)
    if cursors:
        _each(db, _START, cursors)


def _recorded(db: sqlite3.Connection, job: _Job, new: int | None) -> Recorded:
    if new is not None:
        return Recorded(id=new, known=None)
    known, damaged = sound_rows(fetch(db, _FIND, job), known_watch)
    if not known:
        raise DamagedRows(damaged or [damaged_row((0, *job), "an index has a row that the table does not have")])
    return Recorded(id=known[0].id, known=known[0])


def _update(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    written = map(_written, changes)
    _each(db, _UPDATE, ((*row[:5], *row[-3:]) for row in written))


def _conclude(db: sqlite3.Connection, outcomes: Sequence[Conclusion]) -> int:
    try:
        count = _each(db, _CONCLUDE, map(_written, outcomes))
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:  # an index may lack a damaged row
            _rows(db, [end.id for end in outcomes])
        raise
    if count < len(outcomes):  # repeated, as a rule; but the column that says so may be damaged
        _rows(db, [end.id for end in outcomes])
    return count


def _written(known: Change | Conclusion) -> Row:
    """The state, the cursor, their checksum, and the number of the row."""
    state, cursor = state_of(known), json_of(known.cursor, "cursor")
    return (*state, cursor, state_checksum(known.id, state, cursor), known.id)


def _acknowledge(db: sqlite3.Connection, outcomes: Sequence[Acknowledgement]) -> int:
    rows = _rows(db, [outcome.id for outcome in outcomes])
    return _each(
        db,
        _ACKNOWLEDGE,
        (
            (state_checksum(one.id, (*row[STATE][:-1], 1), row[CURSOR]), one.id, one.generation)
            for one in outcomes
            if (row := rows.get(one.id)) is not None
        ),
    )


def _reopen(db: sqlite3.Connection, renewals: Sequence[Renewal]) -> int:
    rows = _rows(db, [renewal.id for renewal in renewals])
    return _each(db, _REOPEN, (_renewed(rows[one.id], one) for one in renewals if one.id in rows))


def _renewed(row: Row, renewal: Renewal) -> Row:
    number, endpoint, account, job, origin, first_seen_us, *_ = row
    origin = origin if renewal.origin is None else renewal.origin
    deadline_us, generation = microseconds(renewal.deadline), renewal.generation + 1
    phase, polls, _, status, seen_s, *_ = row[STATE]
    of_job = checksum((number, endpoint, account, job, origin, first_seen_us, deadline_us, generation))
    of_state = state_checksum(number, (phase, polls, 0, status, seen_s, *UNSEEN[5:]), row[CURSOR])
    return (deadline_us, origin, generation, of_job, of_state, number, renewal.generation)


def _relocate(db: sqlite3.Connection, relocations: Sequence[Relocation]) -> None:
    rows = _rows(db, [relocation.id for relocation in relocations])
    _each(db, _RELOCATE, (_relocated(rows[one.id], one) for one in relocations if one.id in rows))


def _relocated(row: Row, relocation: Relocation) -> Row:
    number, endpoint, account, job, _, *rest = row[:8]
    return (relocation.origin, checksum((number, endpoint, account, job, relocation.origin, *rest)), number)


def _rows(db: sqlite3.Connection, ids: Sequence[int]) -> Mapping[int, Row]:
    """The rows of these numbers, as far as they exist. Raises DamagedRows for those that are damaged."""
    rows = rows_by_id(db, ids)
    _, damaged = sound_rows(rows, known_watch)
    if damaged:
        raise DamagedRows(damaged)
    return {row[0]: row for row in rows}


def _each(db: sqlite3.Connection, sql: str, rows: Iterable[Row]) -> int:
    """The number of changed rows."""
    return max(0, db.executemany(sql, rows).rowcount)


RECORD = Work(_record, writes=True)
UPDATE = Work(_update, writes=True, urgent=False)
CONCLUDE = Work(_conclude, writes=True)
ACKNOWLEDGE = Work(_acknowledge, writes=True)
REOPEN = Work(_reopen, writes=True)
RELOCATE = Work(_relocate, writes=True)
