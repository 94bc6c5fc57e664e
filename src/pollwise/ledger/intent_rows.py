"""The statements about intents, and their rows.

Rule 1: this code runs on the writer's thread. What it writes is part of a transaction of the writer.
Rule 2: each row has a checksum over all its columns, which is checked when it is read. An intent that is not as it was written
is an error, because without it a job could be started twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pollwise.ledger.checksums import checksum
from pollwise.ledger.intents import Intended, Intent, NewIntent
from pollwise.ledger.rows import COLUMNS, Row, known_watch, microseconds
from pollwise.ledger.statements import DamagedIntents, DamagedRows, Work, fetch, sound_rows

__all__ = ["FORGET", "INTEND", "UNFINISHED", "finish", "insert_intent", "intent_from", "intents_to_save"]

_COLUMNS = "id, endpoint, account, submit_key, digest, began_us, watch, checksum"
_TYPES = (int, str, str, str, str, int)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# S608 below: the statements are made of constants alone.
_BY_KEY = f"SELECT {_COLUMNS} FROM submits WHERE endpoint = ? AND account = ? AND submit_key = ?"  # noqa: S608
_BY_ID = f"SELECT {_COLUMNS} FROM submits WHERE id = ?"  # noqa: S608
_OPEN = (
    f"SELECT {_COLUMNS} FROM submits WHERE watch IS NULL"  # noqa: S608
    " AND endpoint = coalesce(?, endpoint) AND account = coalesce(?, account) ORDER BY id"
)
_ALL = f"SELECT {_COLUMNS} FROM submits NOT INDEXED"  # noqa: S608
_INSERT = f"INSERT INTO submits ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_NEXT = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'submits'"
_FINISH = "UPDATE submits SET watch = ?, checksum = ? WHERE id = ? AND watch IS NULL"
_FORGET = "DELETE FROM submits WHERE id = ? AND watch IS NULL"
_WATCH = f"SELECT {COLUMNS} FROM watches WHERE id = ?"  # noqa: S608


def _intend(db: sqlite3.Connection, intents: Sequence[NewIntent]) -> Sequence[Intended]:
    return [_intended(db, one) for one in intents]


def _intended(db: sqlite3.Connection, one: NewIntent) -> Intended:
    found = fetch(db, _BY_KEY, (one.endpoint, one.account, one.key))
    if found:
        known = _intent(db, found[0])
        return Intended(id=known.id, known=known)
    ((number,),) = fetch(db, _NEXT)
    row = (number, one.endpoint, one.account, one.key, one.digest, microseconds(one.began), None)
    insert_intent(db, row)
    return Intended(id=number, known=None)


def insert_intent(db: sqlite3.Connection, row: Row, *, again: bool = False) -> None:
    """Insert these columns, with their checksum. `again` says that a row with this key or number may be there, and stays."""
    db.execute(_INSERT.replace("INSERT", "INSERT OR IGNORE") if again else _INSERT, (*row, checksum(row)))


def _intent(db: sqlite3.Connection, row: Row) -> Intent:
    """The intent of a row. Raises DamagedIntents, or DamagedRows if the row of its job is damaged."""
    *columns, watch = _sound(row)
    return intent_from(columns, None if watch is None else _job_of(db, watch))


def intent_from(columns: Sequence[Any], keys: Mapping[str, str] | None) -> Intent:
    """The intent of its number, endpoint, account, key, digest and time in microseconds, and the keys of its job."""
    number, endpoint, account, key, digest, began_us = columns
    return Intent(
        id=number,
        endpoint=endpoint,
        account=account,
        key=key,
        digest=digest,
        began=_EPOCH + timedelta(0, 0, began_us),
        keys=keys,
    )


def _job_of(db: sqlite3.Connection, watch: int) -> dict[str, str]:
    """The keys of the job of this row."""
    known, damaged = sound_rows(fetch(db, _WATCH, (watch,)), known_watch)
    if damaged:
        raise DamagedRows(damaged)
    if not known:
        raise DamagedIntents(f"a start refers to row {watch}, which is not there")
    return dict(known[0].keys)


def _sound(row: Row) -> Row:
    """The columns without the checksum."""
    *columns, found = row
    types = zip(columns, _TYPES, strict=False)
    has_types = all(type(value) is kind for value, kind in types) and type(columns[6]) in {int, type(None)}
    if has_types and checksum(columns) == found:
        return tuple(columns)
    raise DamagedIntents(f"the start with the number {row[0]} is not as it was written")


def finish(db: sqlite3.Connection, intent: int, watch: int) -> None:
    """The job of this intent is recorded in this row. An intent that has a job, or was forgotten, stays as it is."""
    found = fetch(db, _BY_ID, (intent,))
    if found:
        row = (*_sound(found[0])[:6], watch)
        db.execute(_FINISH, (watch, checksum(row), intent))


def _unfinished(db: sqlite3.Connection, wanted: tuple[str | None, str | None]) -> Sequence[Intent]:
    return [_intent(db, row) for row in fetch(db, _OPEN, wanted)]


def _forget(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    return max(0, db.executemany(_FORGET, [(number,) for number in ids]).rowcount)


def intents_to_save(db: sqlite3.Connection) -> tuple[list[Row], int]:
    """For a recovery: the sound rows without their checksums, and the number of the others. -1 if none can be read."""
    try:
        there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'submits'").fetchone()
        rows = fetch(db, _ALL) if there else []
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return [], -1
    sound: dict[object, Row] = {}
    damaged = 0
    for row in rows:
        try:
            found = _sound(row)
        except DamagedIntents:
            damaged += 1
            continue
        sound.setdefault(found[0], found)
    return list(sound.values()), damaged


INTEND = Work(_intend, writes=True)
UNFINISHED = Work(_unfinished)
FORGET = Work(_forget, writes=True)
