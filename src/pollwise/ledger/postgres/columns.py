"""The values of a ledger as arrays of columns, and rows of PostgreSQL as values.

Rule 1: rows.py decides what can be kept and how it is read, for both ledgers. This file adds what PostgreSQL needs.
Rule 2: a value that cannot be kept is a `ConfigurationError`, before anything is sent.

PostgreSQL refuses the character NUL in texts (its manual, 8.3). In an error message it is escaped; anywhere else it is an error.
The keys of a job are kept as JSON, which escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, TypeAlias

import orjson

from pollwise.errors import ConfigurationError
from pollwise.ledger.checksums import OLDER
from pollwise.ledger.intents import NewIntent
from pollwise.ledger.records import Change, Concluded, Conclusion, NewWatch, OpenWatch
from pollwise.ledger.rows import UNSEEN, Row, json_of, key_text, known_watch, microseconds, state_of

__all__ = [
    "COLUMNS",
    "change_row",
    "columns_of",
    "conclusion_row",
    "identity_of",
    "intent_row",
    "lock_key",
    "plain_text",
    "unchecked",
    "watch_of",
    "watch_row",
]

COLUMNS = (
    "id, endpoint, account, job, origin, first_seen_us, deadline_us, generation, phase, polls, failures, status, seen_s,"
    " outcome, elapsed_s, error_type, error_message, error_data, acknowledged, cursor"
)
"""Of a watch, in the order of rows.py, which adds two checksums. A server has checksums of its own."""

_LONGEST_SHARD = 1_000  # bytes of endpoint and account, because both are in an index
_BIGGEST = 2**63 - 1
_MARK = "\uffff"  # a noncharacter of Unicode, so hardly any text has it
_TYPE, _MESSAGE = 15, 16  # indexes in `COLUMNS`

Columns: TypeAlias = Sequence[Sequence[Any]]


def lock_key(*parts: str) -> int:
    """The number of the advisory lock with this name."""
    return int.from_bytes(blake2b(orjson.dumps(parts), digest_size=8, person=b"pollwise").digest(), "big", signed=True)


def identity_of(endpoint: str, account: str, key: str) -> bytes:
    """16 bytes that stand for these three texts in an index."""
    return blake2b(orjson.dumps((endpoint, account, key)), digest_size=16).digest()


def plain_text(text: str | None, name: str) -> str | None:
    """The text. Raises ConfigurationError, with this name, if PostgreSQL cannot keep it."""
    if text is not None:
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise ConfigurationError(f"the {name} {text!r} cannot be kept: {exc}") from exc
        if "\0" in text:
            raise ConfigurationError(
                f"the {name} {text!r} cannot be kept: PostgreSQL has no texts with the character NUL"
            )
    return text


def _shard(endpoint: str, account: str) -> tuple[str, str]:
    plain_text(endpoint, "endpoint")
    plain_text(account, "account")
    if len(endpoint.encode()) + len(account.encode()) > _LONGEST_SHARD:
        raise ConfigurationError(
            f"endpoint and account together must have at most {_LONGEST_SHARD:,} bytes in PostgreSQL; shorten the account"
            f" of the endpoint {endpoint[:60]!r}"
        )
    return endpoint, account


def _count(number: int, name: str) -> int:
    if not -_BIGGEST - 1 <= number <= _BIGGEST:
        raise ConfigurationError(f"{name} must have at most 64 bits, got {number!r}")
    return number


def _state(known: Change | Conclusion) -> Row:
    phase, polls, failures, status, seen_s, outcome, elapsed_s, error_type, message, data, _ = state_of(known)
    _count(polls, "polls")
    _count(failures, "failures")
    return (
        phase,
        polls,
        failures,
        status,
        seen_s,
        outcome,
        elapsed_s,
        _without_nul(error_type),
        _without_nul(message),
        data,
    )


def _without_nul(text: str | None) -> str | None:
    if text is None or not ("\0" in text or _MARK in text):
        return text
    return text.replace(_MARK, f"{_MARK}1").replace("\0", f"{_MARK}0")


def _with_nul(text: str | None) -> str | None:
    if text is None or _MARK not in text:
        return text
    return text.replace(f"{_MARK}0", "\0").replace(f"{_MARK}1", _MARK)


def watch_row(watch: NewWatch) -> Row:
    """Identity, endpoint, account, job, origin and times; the state from `phase` to `error_data`; the cursor."""
    endpoint, account = _shard(watch.endpoint, watch.account)
    job = key_text(watch.keys)
    end = watch.outcome
    state = UNSEEN[:-1] if end is None else _state(end)
    cursor = json_of(watch.cursor if end is None else end.cursor, "cursor")
    return (
        identity_of(endpoint, account, job),
        endpoint,
        account,
        job,
        plain_text(watch.origin, "origin"),
        microseconds(watch.first_seen),
        microseconds(watch.deadline),
        *state,
        cursor,
    )


def change_row(change: Change) -> Row:
    """The number, the state from `phase` to `seen_s`, and the cursor."""
    return (_count(change.id, "id"), *_state(change)[:5], json_of(change.cursor, "cursor"))


def conclusion_row(end: Conclusion) -> Row:
    """The number, the state from `phase` to `error_data`, and the cursor."""
    return (_count(end.id, "id"), *_state(end), json_of(end.cursor, "cursor"))


def intent_row(intent: NewIntent) -> Row:
    """Identity, endpoint, account, key, digest and time."""
    endpoint, account = _shard(intent.endpoint, intent.account)
    plain_text(intent.key, "key")
    plain_text(intent.digest, "digest")
    identity = identity_of(endpoint, account, intent.key)
    return (identity, endpoint, account, intent.key, intent.digest, microseconds(intent.began))


def columns_of(rows: Iterable[Row], width: int) -> Columns:
    """Rows of this many columns as one list a column."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def unchecked(row: Iterable[Any]) -> Row:
    """A row of `COLUMNS` as rows.py reads it."""
    found = (*row, OLDER, OLDER)
    if found[_MESSAGE] is None:
        return found
    return (*found[:_TYPE], _with_nul(found[_TYPE]), _with_nul(found[_MESSAGE]), *found[_MESSAGE + 1 :])


def watch_of(row: Iterable[Any]) -> OpenWatch | Concluded:
    """The watch of a row of `COLUMNS`. Raises UnsoundRow if another program changed it to what cannot be read."""
    return known_watch(unchecked(row))
