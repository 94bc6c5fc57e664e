"""What each call on a ledger reads and writes: the values of records.py in rows, and back.

Rule 1: everything here runs on the writer's thread, the writing inside a transaction that the writer began.
Rule 2: whoever comes first wins by the WHERE of the statement, so no answer depends on what was read before.
Rule 3: nothing enters that could not be read back: texts are UTF-8, a status is JSON, a time is exact.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
import orjson

from pollwise.core.phase import Phase
from pollwise.errors import ConfigurationError
from pollwise.ledger.files import UnreadableRow
from pollwise.ledger.records import (
    Change,
    Concluded,
    Conclusion,
    NewWatch,
    OpenWatch,
    OutcomeKind,
    Recorded,
    Renewal,
)

__all__ = [
    "ACKNOWLEDGE",
    "CONCLUDE",
    "DURATIONS",
    "EXPORT",
    "OPEN",
    "RECORD",
    "REOPEN",
    "UNACKNOWLEDGED",
    "UPDATE",
    "Page",
    "Work",
]

P = TypeVar("P")
R = TypeVar("R")
Row: TypeAlias = tuple[Any, ...]


@attrs.frozen
class Work(Generic[P, R]):
    """One kind of call. `run` gets the connection and what the call brought.

    Attributes:
        run: Carries it out.
        writes: It belongs in a transaction.
        urgent: Its caller wants to go on; without it, it may wait a moment for others.
    """

    run: Callable[[sqlite3.Connection, P], R]
    writes: bool = False
    urgent: bool = True


# --- into rows --------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _key_text(keys: Mapping[str, str]) -> str:
    """The canonical form: equal for equal keys, whatever their order."""
    try:
        return orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as exc:  # a lone surrogate
        raise ConfigurationError(f"the job keys {keys!r} cannot be kept: {exc}") from exc


def _json(status: bytes | None) -> bytes | None:
    if status is not None:
        try:
            orjson.loads(status)
        except ValueError as exc:
            raise ConfigurationError(f"the status is not one JSON document: {exc}") from exc
    return status


def _text(words: str | None) -> str | None:
    """Words of a foreign error, made fit for UTF-8."""
    return None if words is None else words.encode("utf-8", "backslashreplace").decode()


def _seconds(elapsed_s: float) -> float:
    if not math.isfinite(elapsed_s):
        raise ConfigurationError(f"elapsed_s must be a finite number of seconds, got {elapsed_s!r}")
    return elapsed_s


# --- out of rows ------------------------------------------------------------------------------

_OPEN_COLUMNS = "id, endpoint, job, first_seen_us, deadline_us, phase, polls, failures, status"
_COLUMNS = f"{_OPEN_COLUMNS}, outcome, elapsed_s, error_type, error_message, acknowledged"
_PHASES: Mapping[str | None, Phase | None] = {None: None, **{phase.value: phase for phase in Phase}}
_KINDS = {kind.value: kind for kind in OutcomeKind}


def _moment(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(0, 0, us)


def _keys(text: str) -> Mapping[str, str]:
    keys = orjson.loads(text)
    if not isinstance(keys, dict):
        raise TypeError("its job is not an object of keys")
    return keys


def _open_watch(row: Row) -> OpenWatch:
    number, endpoint, job, first_seen_us, deadline_us, phase, polls, failures, status = row[:9]
    try:
        return OpenWatch(
            id=number,
            endpoint=endpoint,
            keys=_keys(job),
            first_seen=_EPOCH + timedelta(0, 0, first_seen_us),
            deadline=_moment(deadline_us),
            phase=_PHASES[phase],
            polls=polls,
            failures=failures,
            status=status,
        )
    except (ValueError, TypeError, KeyError, OverflowError) as exc:
        raise UnreadableRow(f"the row of watch {number} cannot be read ({exc})") from exc


def _concluded(row: Row) -> Concluded:
    number, endpoint, job, first_seen_us, deadline_us, phase, polls, failures, status = row[:9]
    outcome, elapsed_s, error_type, error_message, acknowledged = row[9:]
    try:
        return Concluded(
            id=number,
            endpoint=endpoint,
            keys=_keys(job),
            first_seen=_EPOCH + timedelta(0, 0, first_seen_us),
            deadline=_moment(deadline_us),
            phase=_PHASES[phase],
            polls=polls,
            failures=failures,
            status=status,
            outcome=_KINDS[outcome],
            elapsed_s=elapsed_s,
            error_type=error_type,
            error_message=error_message,
            acknowledged=bool(acknowledged),
        )
    except (ValueError, TypeError, KeyError, OverflowError) as exc:
        raise UnreadableRow(f"the row of watch {number} cannot be read ({exc})") from exc


def _line(row: Row) -> bytes:
    known = _open_watch(row) if row[9] is None else _concluded(row)
    ended = known if isinstance(known, Concluded) else None
    error = None
    if ended is not None and ended.error_type is not None:
        error = {"type": ended.error_type, "message": ended.error_message}
    try:
        status = None if known.status is None else orjson.loads(known.status)
    except ValueError as exc:
        raise UnreadableRow(f"the status of watch {known.id} cannot be read ({exc})") from exc
    shown = {
        "outcome": None if ended is None else ended.outcome.value,
        "endpoint": known.endpoint,
        "job": known.keys,
        "phase": None if known.phase is None else known.phase.value,
        "first_seen": known.first_seen,
        "deadline": known.deadline,
        "elapsed_s": None if ended is None else ended.elapsed_s,
        "polls": known.polls,
        "failures": known.failures,
        "status": status,
        "error": error,
        "acknowledged": ended is not None and ended.acknowledged,
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


# --- writing ----------------------------------------------------------------------------------

_FIND = f"SELECT {_COLUMNS} FROM watches WHERE endpoint = ? AND job = ?"  # noqa: S608 - constants alone, here and below
_INSERT = "INSERT INTO watches (endpoint, job, first_seen_us, deadline_us) VALUES (?, ?, ?, ?)"
_UPDATE = "UPDATE watches SET phase = ?, polls = ?, failures = ?, status = ? WHERE id = ? AND outcome IS NULL"
_CONCLUDE = (
    "UPDATE watches SET phase = ?, polls = ?, failures = ?, status = ?, outcome = ?, elapsed_s = ?,"
    " error_type = ?, error_message = ? WHERE id = ? AND outcome IS NULL"
)
_ACKNOWLEDGE = "UPDATE watches SET acknowledged = 1 WHERE id = ? AND outcome IS NOT NULL AND acknowledged = 0"
_REOPEN = (
    "UPDATE watches SET deadline_us = ?, failures = 0, outcome = NULL, elapsed_s = NULL, error_type = NULL,"
    " error_message = NULL, acknowledged = 0 WHERE id = ? AND outcome = 'abandoned'"
)


def _record(db: sqlite3.Connection, watches: Sequence[NewWatch]) -> Sequence[Recorded]:
    return [_record_one(db, watch) for watch in watches]


def _record_one(db: sqlite3.Connection, watch: NewWatch) -> Recorded:
    identity = (watch.endpoint, _key_text(watch.keys))
    row = db.execute(_FIND, identity).fetchone()
    if row is not None:
        return Recorded(id=row[0], known=_open_watch(row) if row[9] is None else _concluded(row))
    number = db.execute(_INSERT, (*identity, _us(watch.first_seen), _us(watch.deadline))).lastrowid
    assert number is not None  # noqa: S101 - an INSERT has just succeeded
    return Recorded(id=number, known=None)


def _update(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    _each(db, _UPDATE, ((*_state(change), change.id) for change in changes))


def _conclude(db: sqlite3.Connection, outcomes: Sequence[Conclusion]) -> int:
    rows = (
        (
            *_state(end),
            end.outcome.value,
            _seconds(end.elapsed_s),
            _text(end.error_type),
            _text(end.error_message),
            end.id,
        )
        for end in outcomes
    )
    return _each(db, _CONCLUDE, rows)


def _state(known: Change | Conclusion) -> Row:
    return (None if known.phase is None else known.phase.value, known.polls, known.failures, _json(known.status))


def _acknowledge(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    return _each(db, _ACKNOWLEDGE, ((number,) for number in ids))


def _reopen(db: sqlite3.Connection, renewals: Sequence[Renewal]) -> int:
    return _each(db, _REOPEN, ((_us(renewal.deadline), renewal.id) for renewal in renewals))


def _each(db: sqlite3.Connection, sql: str, rows: Iterable[Row]) -> int:
    """How many rows were changed."""
    return max(0, db.executemany(sql, rows).rowcount)


RECORD = Work(_record, writes=True)
UPDATE = Work(_update, writes=True, urgent=False)
CONCLUDE = Work(_conclude, writes=True)
ACKNOWLEDGE = Work(_acknowledge, writes=True)
REOPEN = Work(_reopen, writes=True)


# --- reading ----------------------------------------------------------------------------------


@attrs.frozen
class Page:
    """The next `limit` rows after the watch `after`; of one endpoint, or of all for an export."""

    after: int
    limit: int
    endpoint: str = ""
    include_open: bool = False


_NEXT = "id > ? ORDER BY id LIMIT ?"
_OPEN = f"SELECT {_OPEN_COLUMNS} FROM watches WHERE endpoint = ? AND outcome IS NULL AND {_NEXT}"  # noqa: S608
_UNACKNOWLEDGED = (
    f"SELECT {_COLUMNS} FROM watches WHERE endpoint = ? AND outcome IS NOT NULL AND acknowledged = 0 AND {_NEXT}"  # noqa: S608
)
_EXPORT = f"SELECT {_COLUMNS} FROM watches WHERE (? OR outcome IS NOT NULL) AND {_NEXT}"  # noqa: S608
# The plus keeps SQLite from collecting and sorting all rows of the endpoint by its index.
_DURATIONS = "SELECT elapsed_s FROM watches WHERE +endpoint = ? AND outcome = 'succeeded' ORDER BY id DESC LIMIT ?"


def _open(db: sqlite3.Connection, page: Page) -> Sequence[OpenWatch]:
    return [_open_watch(row) for row in db.execute(_OPEN, (page.endpoint, page.after, page.limit))]


def _unacknowledged(db: sqlite3.Connection, page: Page) -> Sequence[Concluded]:
    return [_concluded(row) for row in db.execute(_UNACKNOWLEDGED, (page.endpoint, page.after, page.limit))]


def _export(db: sqlite3.Connection, page: Page) -> tuple[int, bytes]:
    """The last id, or 0, and the lines."""
    rows = db.execute(_EXPORT, (page.include_open, page.after, page.limit)).fetchall()
    return (rows[-1][0] if rows else 0), b"".join(map(_line, rows))


def _durations(db: sqlite3.Connection, wanted: tuple[str, int]) -> Sequence[float]:
    return [elapsed_s for (elapsed_s,) in db.execute(_DURATIONS, wanted)]


OPEN = Work(_open)
UNACKNOWLEDGED = Work(_unacknowledged)
EXPORT = Work(_export)
DURATIONS = Work(_durations)
