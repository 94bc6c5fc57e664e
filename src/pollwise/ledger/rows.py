"""The values of records.py as rows, and rows as values.

Rule 1: a value is written only if it can be read back: texts are UTF-8, a status is JSON, a time is exact.
Rule 2: a row is read only if it is as it was written: its checksums are right, and each column has a value of its type.
Any other row is a `DamagedRow`, and no other exception comes out of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any, TypeAlias

import orjson

from pollwise.errors import ConfigurationError
from pollwise.ledger.checksums import OLDER, checksum, state_checksum
from pollwise.ledger.records import Change, Concluded, Conclusion, DamagedRow, OpenWatch, OutcomeKind
from pollwise.model.reading import Phase
from pollwise.model.traceparent import without_traceparent

__all__ = [
    "COLUMNS",
    "CURSOR",
    "JOB",
    "STATE",
    "UNSEEN",
    "Row",
    "UnsoundRow",
    "checksums_of",
    "damaged_row",
    "elapsed_of",
    "json_of",
    "key_text",
    "known_watch",
    "line_of",
    "microseconds",
    "seconds",
    "state_of",
    "text_of",
]

Row: TypeAlias = tuple[Any, ...]


# --- into rows --------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(time: datetime | None) -> int | None:
    """Microseconds since 1970 in UTC, exact."""
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def key_text(keys: Mapping[str, str]) -> str:
    """The keys as one text, equal for equal keys in any order."""
    try:
        return orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as exc:  # a lone surrogate
        raise ConfigurationError(f"the job keys {keys!r} cannot be kept: {exc}") from exc


def json_of(document: bytes | None, name: str) -> bytes | None:
    """The document as bytes. Raises ConfigurationError, with this name, unless it is one JSON document."""
    if document is None:
        return None
    try:
        orjson.loads(document)
        return document if type(document) is bytes else bytes(memoryview(document))
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(f"the {name} is not one JSON document in bytes: {exc}") from exc


def text_of(words: str | None) -> str | None:
    """The text as UTF-8 has it: lone surrogates are escaped."""
    return None if words is None else words.encode(errors="backslashreplace").decode()


def seconds(number: float, name: str = "elapsed_s") -> float:
    """The number as SQLite returns it. Raises ConfigurationError, with this name, for a number that JSON does not have."""
    if not math.isfinite(number):
        raise ConfigurationError(f"{name} must be a finite number of seconds, got {number!r}")
    return float(number) + 0.0  # SQLite has no negative zero


def state_of(known: Change | Conclusion) -> Row:
    """The columns from `phase` to `acknowledged`. A change has no outcome."""
    state = (
        None if known.phase is None else known.phase.value,
        known.polls,
        known.failures,
        json_of(known.status, "status"),
        None if known.seen_s is None else seconds(known.seen_s, "seen_s"),
    )
    if isinstance(known, Change):
        return (*state, *_NO_OUTCOME)
    return (
        *state,
        known.outcome.value,
        seconds(known.elapsed_s),
        text_of(known.error_type),
        text_of(known.error_message),
        json_of(known.error_data, "error_data"),
        0,
    )


# --- out of rows ------------------------------------------------------------------------------

_JOB = "id, endpoint, account, job, origin, first_seen_us, deadline_us, generation"
_STATE = (
    "phase, polls, failures, status, seen_s, outcome, elapsed_s, error_type, error_message, error_data, acknowledged"
)
COLUMNS = f"{_JOB}, {_STATE}, cursor, job_checksum, state_checksum"
JOB = slice(0, 8)  # the columns of the first checksum
STATE = slice(8, 19)  # those of the second one, with the id and the cursor
CURSOR = 19  # its index
_NO_OUTCOME = (None, None, None, None, None, 0)
UNSEEN = (None, 0, 0, None, None, *_NO_OUTCOME)  # the state of a new row
_OUTCOME, _ELAPSED, _ACKNOWLEDGED = 13, 14, 18  # indexes in `COLUMNS`
_INT, _TEXT = (int,), (str,)
_NULL_INT, _NULL_TEXT, _NULL_BLOB, _NULL_FLOAT = (int, NoneType), (str, NoneType), (bytes, NoneType), (float, NoneType)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "id": _INT,
    "endpoint": _TEXT,
    "account": _TEXT,
    "job": _TEXT,
    "origin": _NULL_TEXT,
    "first_seen_us": _INT,
    "deadline_us": _NULL_INT,
    "generation": _INT,
    "phase": _NULL_TEXT,
    "polls": _INT,
    "failures": _INT,
    "status": _NULL_BLOB,
    "seen_s": _NULL_FLOAT,
    "outcome": _NULL_TEXT,
    "elapsed_s": _NULL_FLOAT,
    "error_type": _NULL_TEXT,
    "error_message": _NULL_TEXT,
    "error_data": _NULL_BLOB,
    "acknowledged": _INT,
    "cursor": _NULL_BLOB,
}
_PHASES: Mapping[str | None, Phase | None] = {None: None, **{phase.value: phase for phase in Phase}}
_KINDS = {kind.value: kind for kind in OutcomeKind}


class UnsoundRow(Exception):
    """A row is not as it was written. `damaged` says what is wrong with it."""

    def __init__(self, damaged: DamagedRow) -> None:
        super().__init__(damaged)
        self.damaged = damaged


def _time(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(0, 0, us)


def _keys(text: str) -> Mapping[str, str]:
    keys = orjson.loads(text)
    if not (isinstance(keys, dict) and all(isinstance(value, str) for value in keys.values())):
        raise TypeError("its job is not an object of keys")
    return keys


def _of_both(row: Row) -> dict[str, Any]:
    """The fields that an open watch and a concluded one have in common."""
    number, endpoint, account, job, origin, first_seen_us, deadline_us, generation, *rest = row[:_OUTCOME]
    phase, polls, failures, status, seen_s = rest
    return {
        "id": number,
        "endpoint": endpoint,
        "account": account,
        "keys": _keys(job),
        "origin": origin,
        "first_seen": _EPOCH + timedelta(0, 0, first_seen_us),
        "deadline": _time(deadline_us),
        "phase": _PHASES[phase],
        "polls": polls,
        "failures": failures,
        "status": status,
        "seen_s": None if seen_s is None else _finite(seen_s),
        "generation": generation,
        "cursor": row[CURSOR],
    }


def known_watch(row: Row) -> OpenWatch | Concluded:
    """The watch of a row of `COLUMNS`. Raises UnsoundRow if the row is not as it was written."""
    try:
        _check_checksums(row)
        _check_types(row)
        fields = _of_both(row)
        if row[_OUTCOME] is None:
            return OpenWatch(**fields)
        outcome, elapsed_s, error_type, error_message, error_data, acknowledged = row[_OUTCOME : _ACKNOWLEDGED + 1]
        return Concluded(
            **fields,
            outcome=_KINDS[outcome],
            elapsed_s=_finite(elapsed_s),
            error_type=error_type,
            error_message=error_message,
            error_data=error_data,
            acknowledged=bool(acknowledged),
        )
    except KeyError as exc:
        raise UnsoundRow(damaged_row(row, "its phase or its outcome has an unknown name")) from exc
    except (ValueError, TypeError, OverflowError) as exc:
        raise UnsoundRow(damaged_row(row, str(exc))) from exc


def elapsed_of(row: Row) -> float:
    """`elapsed_s` of the success of this row. Raises UnsoundRow if the row is not as it was written.

    It costs about half of `known_watch`. A thousand rows are read so whenever a watcher is opened.
    """
    try:
        _check_checksums(row)
        _check_types(row)
        return _finite(row[_ELAPSED])
    except (ValueError, TypeError) as exc:
        raise UnsoundRow(damaged_row(row, str(exc))) from exc


def checksums_of(row: Row) -> tuple[int, int]:
    """The checksums of the job and of the state, as the columns are now."""
    return checksum(row[JOB]), state_checksum(row[0], row[STATE], row[CURSOR])


def _check_checksums(row: Row) -> None:
    *_, of_job, of_state = row
    if of_job == OLDER == of_state:
        return
    job, state = checksums_of(row)
    if job != of_job:
        raise ValueError("its job is not as it was written")
    if state != of_state:
        raise ValueError("its state is not as it was written")


def _check_types(row: Row) -> None:
    types = tuple(map(type, row))
    if types in _known_types:
        return
    for place, (name, allowed) in enumerate(_TYPES.items()):
        if not issubclass(types[place], allowed):
            raise TypeError(f"its {name} has the type {types[place].__name__}")
    _known_types.add(types)


_known_types: set[tuple[type, ...]] = set()  # of rows that can be read


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("a duration is not finite")
    return number


def damaged_row(row: Row, reason: str) -> DamagedRow:
    """What can be read of a damaged row."""
    number, endpoint, account, job = row[:4]
    try:
        keys = _keys(job)
    except (ValueError, TypeError):
        keys = None
    return DamagedRow(
        id=number,
        reason=reason,
        endpoint=endpoint if isinstance(endpoint, str) else None,
        account=account if isinstance(account, str) else None,
        keys=keys,
        certain=keys is not None and checksum(row[JOB]) == row[-2],
    )


def _part(name: str, document: bytes | None) -> dict[str, orjson.Fragment]:
    """A JSON document as a part of its row's line. Empty if the row has none, or none that can be read."""
    try:
        return {} if document is None else {name: orjson.Fragment(orjson.dumps(orjson.loads(document)))}
    except (TypeError, ValueError):  # another program's bytes, or nested too deep for orjson
        return {}


def _cursor_parts(document: bytes | None) -> dict[str, orjson.Fragment]:
    """The cursor and the traceparent that share a column, as parts of their row's line."""
    try:
        cursor, traceparent = without_traceparent(orjson.loads(document or b"null"))
        parts = {"cursor": cursor, "traceparent": traceparent}
        return {name: orjson.Fragment(orjson.dumps(part)) for name, part in parts.items() if part is not None}
    except (TypeError, ValueError):  # as in `_part`
        return {}


def line_of(row: Row) -> bytes:
    """A row of `COLUMNS` as one line of JSON. Raises UnsoundRow if the row is not as it was written."""
    known = known_watch(row)
    ended = known if isinstance(known, Concluded) else None
    error = None
    if ended is not None and ended.error_type is not None:
        error = {"type": ended.error_type, "message": ended.error_message, **_part("data", ended.error_data)}
    try:
        status = None if known.status is None else orjson.loads(known.status)
    except ValueError as exc:
        raise UnsoundRow(damaged_row(row, f"its status is not JSON ({exc})")) from exc
    shown = {
        "outcome": None if ended is None else ended.outcome.value,
        "endpoint": known.endpoint,
        **({"account": known.account} if known.account else {}),
        "job": known.keys,
        "phase": None if known.phase is None else known.phase.value,
        "first_seen": known.first_seen,
        "deadline": known.deadline,
        "elapsed_s": None if ended is None else ended.elapsed_s,
        "detected_within_s": None if ended is None else ended.detected_within_s,
        "polls": known.polls,
        "failures": known.failures,
        "status": status,
        "error": error,
        "acknowledged": ended is not None and ended.acknowledged,
        **({} if known.origin is None else {"origin": known.origin}),
        **_cursor_parts(known.cursor),
    }
    try:
        return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    except TypeError as exc:  # orjson reads a status that is nested deeper than it writes
        raise UnsoundRow(damaged_row(row, str(exc))) from exc
