"""Values to put into a ledger, and ways to look at its file from outside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs
import orjson

import pollwise
from pollwise.ledger import Acknowledgement, Change, Conclusion, Intent, Ledger, NewIntent, NewWatch, OutcomeKind
from pollwise.ledger.checksums import register
from pollwise.ledger.schema import MIGRATIONS
from pollwise.model.reading import Phase

T = TypeVar("T")

ENDPOINT = "oracle-content"
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def new(number: int, **other: Any) -> NewWatch:
    given = {
        "endpoint": ENDPOINT,
        "keys": {"file_id": "D1", "job_id": f"ZX-{number}"},
        "first_seen": NOON,
        "deadline": NOON + timedelta(hours=1),
    }
    return NewWatch(**{**given, **other})


def change(number: int, **other: Any) -> Change:
    given = {
        "id": number,
        "phase": Phase.RUNNING,
        "polls": 3,
        "failures": 1,
        "status": b'{"progress": "PROCESSING"}',
        "seen_s": 7.5,
    }
    return Change(**{**given, **other})


def success(number: int, **other: Any) -> Conclusion:
    given = {
        "id": number,
        "outcome": OutcomeKind.SUCCEEDED,
        "phase": Phase.SUCCEEDED,
        "polls": 4,
        "status": b'{"progress": "SUCCEEDED"}',
        "elapsed_s": 12.5,
        "seen_s": 10.0,
    }
    return Conclusion(**{**given, **other})


def abandoned(number: int, **other: Any) -> Conclusion:
    given = {
        "outcome": OutcomeKind.ABANDONED,
        "phase": Phase.RUNNING,
        "failures": 8,
        "error_type": "RetriesExhausted",
        "error_message": "gave up",
    }
    return success(number, **{**given, **other})


def acks(*numbers: int, generation: int = 0) -> list[Acknowledgement]:
    return [Acknowledgement(id=number, generation=generation) for number in numbers]


def intent(key: str = "a", **other: Any) -> NewIntent:
    return NewIntent(**{"endpoint": ENDPOINT, "key": key, "digest": "00ff", "began": NOON, **other})


def started(number: int, by: int) -> NewWatch:
    """The row of a job that this intent has started."""
    return attrs.evolve(new(number), intent=by)


def known_intent(number: int, given: NewIntent, **other: Any) -> Intent:
    return Intent(id=number, **{**attrs.asdict(given, recurse=False), **other})


async def every(chunks: AsyncIterator[Sequence[T]]) -> list[T]:
    return [one async for chunk in chunks for one in chunk]


async def exported(ledger: Ledger, *, include_open: bool = False) -> list[dict[str, Any]]:
    """The lines of an export, as JSON."""
    text = b"".join([lines async for lines in ledger.export(include_open=include_open)])
    return [orjson.loads(line) for line in text.splitlines()]


def raw(path: Path, *statements: str) -> list[Any]:
    """Do to the file what pollwise would not. Returns the rows of the last statement."""
    rows: list[Any] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
    return rows


def sealed(path: Path, *statements: str) -> None:
    """Do to the file what pollwise would not, and give each row the checksums of what it has then."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        register(db)
        for statement in (*statements, MIGRATIONS[3][-1]):
            db.execute(statement)


def folder_of(path: Path) -> dict[str, bytes]:
    """Every file beside this one, and itself, with what is in it."""
    return {found.name: found.read_bytes() for found in path.parent.iterdir() if found.is_file()}


def of_a_child() -> dict[str, str]:
    """The environment of a child process that imports the same pollwise as this one, installed or not."""
    return {**os.environ, "PYTHONPATH": str(Path(pollwise.__file__).parents[1])}
