"""What the statements that read and those that write have in common.

Rule: damaged rows are returned beside the sound ones, and end no reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import attrs

from pollwise.ledger.records import DamagedRow
from pollwise.ledger.rows import COLUMNS, Row, UnsoundRow

__all__ = [
    "AT_ONCE",
    "DamagedIntents",
    "DamagedRows",
    "Found",
    "Work",
    "fetch",
    "rows_by_id",
    "sound_rows",
    "text_or_bytes",
]

P = TypeVar("P")
R = TypeVar("R")

AT_ONCE = 100  # rows; every SQLite accepts 999 parameters

_BY_ID = f"SELECT {COLUMNS} FROM watches WHERE id IN ({{}})"  # noqa: S608  constants alone


@attrs.frozen
class Work(Generic[P, R]):
    """One kind of call. `run` gets the connection and the call's payload.

    Attributes:
        run: Carries out the call.
        writes: Whether the call needs a transaction.
        urgent: Whether the call goes at once. Another call may wait up to `linger_s` for others.
    """

    run: Callable[[sqlite3.Connection, P], R]
    writes: bool = False
    urgent: bool = True


@attrs.frozen
class Found(Generic[R]):
    """What a call has read.

    Attributes:
        rows: The sound rows.
        damaged: The others.
        last: The number of the last row that was read, or 0 at the end.
    """

    rows: Sequence[R]
    damaged: Sequence[DamagedRow]
    last: int = 0


class DamagedRows(Exception):
    """A call needs rows that are damaged."""

    def __init__(self, damaged: Sequence[DamagedRow]) -> None:
        self.damaged = damaged


class DamagedIntents(Exception):
    """A call needs an intent that is damaged."""


def fetch(db: sqlite3.Connection, sql: str, values: Sequence[object] = ()) -> Sequence[Row]:
    """All rows of a statement. A text that is not UTF-8 is returned as bytes."""
    try:
        return db.execute(sql, values).fetchall()
    except sqlite3.OperationalError as exc:
        if getattr(exc, "sqlite_errorcode", None) is not None:
            raise
    db.text_factory = text_or_bytes  # the module's own error: some text is not UTF-8
    try:
        return db.execute(sql, values).fetchall()
    finally:
        db.text_factory = str


def rows_by_id(db: sqlite3.Connection, ids: Sequence[int]) -> list[Row]:
    """The rows of these numbers that exist, read `AT_ONCE` in one statement."""
    rows: list[Row] = []
    for n in range(0, len(ids), AT_ONCE):
        wanted = ids[n : n + AT_ONCE]
        rows += fetch(db, _BY_ID.format(", ".join("?" * len(wanted))), wanted)
    return rows


def text_or_bytes(raw: bytes) -> str | bytes:
    """A value of SQLite that should be a text. Bytes if it is not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def sound_rows(rows: Iterable[Row], read: Callable[[Row], R]) -> tuple[list[R], list[DamagedRow]]:
    """The rows that can be read, and the others."""
    sound: list[R] = []
    damaged: list[DamagedRow] = []
    for row in rows:
        try:
            sound.append(read(row))
        except UnsoundRow as exc:
            damaged.append(exc.damaged)
    return sound, damaged
