"""The values of records.py as rows, and rows as values.

Rule: a value is written only if it can be read back: texts are UTF-8, a status is JSON, a time is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import orjson

from pollwise.errors import ConfigurationError
from pollwise.ledger.files import UnreadableRow
from pollwise.ledger.records import Change, Concluded, Conclusion, OpenWatch, OriginCount, OutcomeKind
from pollwise.model.reading import Phase

__all__ = [
    "COLUMNS",
    "OPEN_COLUMNS",
    "Row",
    "concluded",
    "json_of",
    "key_text",
    "known_watch",
    "line_of",
    "microseconds",
    "open_watch",
    "origin_count",
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
    """Return `document`. Raises ConfigurationError, with this name, unless it is one JSON document."""
    if document is not None:
        try:
            orjson.loads(document)
        except ValueError as exc:
            raise ConfigurationError(f"the {name} is not one JSON document: {exc}") from exc
    return document


def text_of(words: str | None) -> str | None:
    """The text as UTF-8 has it: lone surrogates are escaped."""
    return None if words is None else words.encode("utf-8", "backslashreplace").decode()


def seconds(number: float, name: str = "elapsed_s") -> float:
    """Return `number`. Raises ConfigurationError, with this name, for a number that JSON does not have."""
    if not math.isfinite(number):
        raise ConfigurationError(f"{name} must be a finite number of seconds, got {number!r}")
    return number


def state_of(known: Change | Conclusion) -> Row:
    """The columns that a change and a conclusion have in common."""
    return (
        None if known.phase is None else known.phase.value,
        known.polls,
        known.failures,
        json_of(known.status, "status"),
        None if known.seen_s is None else seconds(known.seen_s, "seen_s"),
    )


# --- out of rows ------------------------------------------------------------------------------

OPEN_COLUMNS = "id, endpoint, account, job, origin, first_seen_us, deadline_us, phase, polls, failures, status, seen_s"
COLUMNS = f"{OPEN_COLUMNS}, outcome, elapsed_s, error_type, error_message, error_data, acknowledged"
_OUTCOME = len(OPEN_COLUMNS.split(", "))  # the index of `outcome` in `COLUMNS`
_PHASES: Mapping[str | None, Phase | None] = {None: None, **{phase.value: phase for phase in Phase}}
_KINDS = {kind.value: kind for kind in OutcomeKind}


def _time(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(0, 0, us)


def _keys(text: str) -> Mapping[str, str]:
    keys = orjson.loads(text)
    if not isinstance(keys, dict):
        raise TypeError("its job is not an object of keys")
    return keys


def _of_both(row: Row) -> dict[str, Any]:
    """The fields that an open watch and a concluded one have in common."""
    number, endpoint, account, job, origin, first_seen_us, deadline_us, *rest = row[:_OUTCOME]
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
        "seen_s": None if seen_s is None else float(seen_s),
    }


def open_watch(row: Row) -> OpenWatch:
    """A row whose first columns are `OPEN_COLUMNS`. Raises UnreadableRow for values that no ledger writes."""
    try:
        return OpenWatch(**_of_both(row))
    except (ValueError, TypeError, KeyError, OverflowError) as exc:
        raise UnreadableRow(f"the row of watch {row[0]} cannot be read ({exc})") from exc


def concluded(row: Row) -> Concluded:
    """A row of `COLUMNS` that has an outcome. Raises UnreadableRow for values that no ledger writes."""
    outcome, elapsed_s, error_type, error_message, error_data, acknowledged = row[_OUTCOME:]
    try:
        return Concluded(
            **_of_both(row),
            outcome=_KINDS[outcome],
            elapsed_s=float(elapsed_s),
            error_type=error_type,
            error_message=error_message,
            error_data=error_data,
            acknowledged=bool(acknowledged),
        )
    except (ValueError, TypeError, KeyError, OverflowError) as exc:
        raise UnreadableRow(f"the row of watch {row[0]} cannot be read ({exc})") from exc


def origin_count(row: Row) -> OriginCount:
    """A row of an origin, a number and a job. Raises UnreadableRow for values that no ledger writes."""
    origin, watches, job = row
    try:
        return OriginCount(origin=origin, watches=watches, keys=_keys(job))
    except (ValueError, TypeError) as exc:
        raise UnreadableRow(f"the job of an open watch cannot be read ({exc})") from exc


def known_watch(row: Row) -> OpenWatch | Concluded:
    """A row of `COLUMNS`, with an outcome or without. Raises UnreadableRow for values that no ledger writes."""
    return open_watch(row) if row[_OUTCOME] is None else concluded(row)


def _data_of(error_data: bytes | None) -> dict[str, orjson.Fragment]:
    """The error's data as a part of its line. Empty if the row has none, or none that can be read."""
    try:
        return {} if error_data is None else {"data": orjson.Fragment(orjson.dumps(orjson.loads(error_data)))}
    except (TypeError, ValueError):  # another program's bytes, or nested too deep for orjson
        return {}


def line_of(row: Row) -> bytes:
    """A row of `COLUMNS` as one line of JSON. Raises UnreadableRow for values that no ledger writes."""
    known = known_watch(row)
    ended = known if isinstance(known, Concluded) else None
    error = None
    if ended is not None and ended.error_type is not None:
        error = {"type": ended.error_type, "message": ended.error_message, **_data_of(ended.error_data)}
    try:
        status = None if known.status is None else orjson.loads(known.status)
    except ValueError as exc:
        raise UnreadableRow(f"the status of watch {known.id} cannot be read ({exc})") from exc
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
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
