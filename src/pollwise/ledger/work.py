"""The statements of each call on a ledger.

Rule 1: this code runs on the writer's thread. Calls that write run inside a transaction of the writer.
Rule 2: the WHERE or the ON CONFLICT of a statement lets the first call win. No result depends on an earlier read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from pollwise.ledger.records import (
    Change,
    Concluded,
    Conclusion,
    NewWatch,
    OpenWatch,
    OriginCount,
    Recorded,
    Relocation,
    Renewal,
)
from pollwise.ledger.rows import (
    COLUMNS,
    OPEN_COLUMNS,
    Row,
    concluded,
    json_of,
    key_text,
    known_watch,
    line_of,
    microseconds,
    open_watch,
    origin_count,
    seconds,
    state_of,
    text_of,
)

__all__ = [
    "ACKNOWLEDGE",
    "CONCLUDE",
    "DURATIONS",
    "EXPORT",
    "OPEN",
    "ORIGINS",
    "RECORD",
    "RELOCATE",
    "REOPEN",
    "UNACKNOWLEDGED",
    "UPDATE",
    "Page",
    "Work",
]

P = TypeVar("P")
R = TypeVar("R")
_Job: TypeAlias = tuple[str, str, str]  # endpoint, account, keys


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


# --- writing ----------------------------------------------------------------------------------

_FIND = f"SELECT {COLUMNS} FROM watches WHERE endpoint = ? AND account = ? AND job = ?"  # noqa: S608 - constants alone, here and below
_LAST = "SELECT max(id) FROM watches"
_SINCE = "SELECT endpoint, account, job, id FROM watches WHERE id > ?"
# Many rows in one statement take a third of the CPU time, and the GIL is released once instead of once for each row.
_INSERT = (
    "INSERT INTO watches (endpoint, account, job, origin, first_seen_us, deadline_us) VALUES {}"
    " ON CONFLICT (endpoint, account, job) DO NOTHING"
)
_AT_ONCE = 100  # rows; every SQLite takes 999 parameters
_UPDATE = (
    "UPDATE watches SET phase = ?, polls = ?, failures = ?, status = ?, seen_s = ? WHERE id = ? AND outcome IS NULL"
)
_CONCLUDE = (
    "UPDATE watches SET phase = ?, polls = ?, failures = ?, status = ?, seen_s = ?, outcome = ?, elapsed_s = ?,"
    " error_type = ?, error_message = ?, error_data = ? WHERE id = ? AND outcome IS NULL"
)
_ACKNOWLEDGE = "UPDATE watches SET acknowledged = 1 WHERE id = ? AND outcome IS NOT NULL AND acknowledged = 0"
_REOPEN = (
    "UPDATE watches SET deadline_us = ?, origin = coalesce(?, origin), failures = 0, outcome = NULL, elapsed_s = NULL,"
    " error_type = NULL, error_message = NULL, error_data = NULL, acknowledged = 0 WHERE id = ? AND outcome = 'abandoned'"
)
_RELOCATE = "UPDATE watches SET origin = ? WHERE id = ? AND outcome IS NULL"


def _record(db: sqlite3.Connection, watches: Sequence[NewWatch]) -> Sequence[Recorded]:
    jobs = [(watch.endpoint, watch.account, key_text(watch.keys)) for watch in watches]
    (last,) = db.execute(_LAST).fetchone()
    for n in range(0, len(watches), _AT_ONCE):
        _insert(db, watches[n : n + _AT_ONCE], jobs[n : n + _AT_ONCE])
    new = {tuple(job): number for *job, number in db.execute(_SINCE, (last or 0,))}
    return [_recorded(db, job, new.pop(job, None)) for job in jobs]


def _insert(db: sqlite3.Connection, watches: Sequence[NewWatch], jobs: Sequence[_Job]) -> None:
    values: list[Any] = []
    for watch, job in zip(watches, jobs, strict=True):
        values += (*job, watch.origin, microseconds(watch.first_seen), microseconds(watch.deadline))
    db.execute(_INSERT.format(", ".join(["(?, ?, ?, ?, ?, ?)"] * len(jobs))), values)


def _recorded(db: sqlite3.Connection, job: _Job, new: int | None) -> Recorded:
    if new is not None:
        return Recorded(id=new, known=None)
    row = db.execute(_FIND, job).fetchone()
    return Recorded(id=row[0], known=known_watch(row))


def _update(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    _each(db, _UPDATE, ((*state_of(change), change.id) for change in changes))


def _conclude(db: sqlite3.Connection, outcomes: Sequence[Conclusion]) -> int:
    rows = (
        (
            *state_of(end),
            end.outcome.value,
            seconds(end.elapsed_s),
            text_of(end.error_type),
            text_of(end.error_message),
            json_of(end.error_data, "error_data"),
            end.id,
        )
        for end in outcomes
    )
    return _each(db, _CONCLUDE, rows)


def _acknowledge(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    return _each(db, _ACKNOWLEDGE, ((number,) for number in ids))


def _reopen(db: sqlite3.Connection, renewals: Sequence[Renewal]) -> int:
    return _each(db, _REOPEN, ((microseconds(renewal.deadline), renewal.origin, renewal.id) for renewal in renewals))


def _relocate(db: sqlite3.Connection, relocations: Sequence[Relocation]) -> None:
    _each(db, _RELOCATE, ((relocation.origin, relocation.id) for relocation in relocations))


def _each(db: sqlite3.Connection, sql: str, rows: Iterable[Row]) -> int:
    """The number of changed rows."""
    return max(0, db.executemany(sql, rows).rowcount)


RECORD = Work(_record, writes=True)
UPDATE = Work(_update, writes=True, urgent=False)
CONCLUDE = Work(_conclude, writes=True)
ACKNOWLEDGE = Work(_acknowledge, writes=True)
REOPEN = Work(_reopen, writes=True)
RELOCATE = Work(_relocate, writes=True)


# --- reading ----------------------------------------------------------------------------------


@attrs.frozen
class Page:
    """The next `limit` rows after the watch `after`: of one endpoint and account, or of all for an export."""

    after: int
    limit: int
    endpoint: str = ""
    account: str = ""
    include_open: bool = False


_NEXT = "id > ? ORDER BY id LIMIT ?"
_OPEN = f"SELECT {OPEN_COLUMNS} FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NULL AND {_NEXT}"  # noqa: S608
_UNACKNOWLEDGED = (
    f"SELECT {COLUMNS} FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NOT NULL AND acknowledged = 0"  # noqa: S608
    f" AND {_NEXT}"
)
_EXPORT = f"SELECT {COLUMNS} FROM watches WHERE (? OR outcome IS NOT NULL) AND {_NEXT}"  # noqa: S608
# The plus keeps SQLite from using the endpoint's index, for which it would sort all rows of the endpoint.
_DURATIONS = (
    "SELECT elapsed_s FROM watches WHERE +endpoint = ? AND account = ? AND outcome = 'succeeded'"
    " ORDER BY id DESC LIMIT ?"
)
_ORIGINS = (  # SQLite: a bare column beside min() is from the row of the minimum
    "SELECT origin, count(*), job, min(id) AS first FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NULL"
    " GROUP BY origin ORDER BY first"
)


def _open(db: sqlite3.Connection, page: Page) -> Sequence[OpenWatch]:
    return [open_watch(row) for row in db.execute(_OPEN, (page.endpoint, page.account, page.after, page.limit))]


def _unacknowledged(db: sqlite3.Connection, page: Page) -> Sequence[Concluded]:
    wanted = (page.endpoint, page.account, page.after, page.limit)
    return [concluded(row) for row in db.execute(_UNACKNOWLEDGED, wanted)]


def _export(db: sqlite3.Connection, page: Page) -> tuple[int, bytes]:
    """The last id, or 0, and the lines."""
    rows = db.execute(_EXPORT, (page.include_open, page.after, page.limit)).fetchall()
    return (rows[-1][0] if rows else 0), b"".join(map(line_of, rows))


def _durations(db: sqlite3.Connection, wanted: tuple[str, str, int]) -> Sequence[float]:
    return [elapsed_s for (elapsed_s,) in db.execute(_DURATIONS, wanted)]


def _origins(db: sqlite3.Connection, wanted: tuple[str, str]) -> Sequence[OriginCount]:
    return [origin_count(row[:3]) for row in db.execute(_ORIGINS, wanted)]


OPEN = Work(_open)
UNACKNOWLEDGED = Work(_unacknowledged)
EXPORT = Work(_export)
DURATIONS = Work(_durations)
ORIGINS = Work(_origins)
