"""The statements of the calls that read a ledger.

Rule 1: this code runs on the writer's thread, and outside its transactions.
Rule 2: each row is checked when it is read. Damaged rows are returned beside the sound ones, and end no reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from itertools import islice
from typing import TypeVar

import attrs

from pollwise.ledger.records import Concluded, DamagedRow, OpenWatch, OriginCount
from pollwise.ledger.rows import COLUMNS, Row, UnsoundRow, damaged_row, elapsed_of, known_watch, line_of
from pollwise.ledger.statements import AT_ONCE, Found, Work, fetch, rows_by_id, sound_rows

__all__ = [
    "COUNT_UNACKNOWLEDGED",
    "DURATIONS",
    "EXPORT",
    "OPEN",
    "ORIGINS",
    "UNACKNOWLEDGED",
    "UNCLAIMED",
    "Page",
    "Unclaimed",
]

R = TypeVar("R")

_MISLED = "an index has it in a place that is not its own"

_FEW = 100  # rows that are read together when the first one is damaged


@attrs.frozen
class Page:
    """The next `limit` rows after the watch `after`: of one endpoint and account, or of all for an export."""

    after: int
    limit: int
    endpoint: str = ""
    account: str = ""
    include_open: bool = False


@attrs.frozen
class Unclaimed:
    """The first `limit` unacknowledged outcomes of one endpoint and account, without those that are claimed."""

    endpoint: str
    account: str
    limit: int
    claimed: Collection[int]


# S608 below: the statements are made of constants alone.
_NEXT = "id > ? ORDER BY id LIMIT ?"
_OPEN = f"SELECT {COLUMNS} FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NULL AND {_NEXT}"  # noqa: S608
_UNACKNOWLEDGED = (
    f"SELECT {COLUMNS} FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NOT NULL AND acknowledged = 0"  # noqa: S608
    f" AND {_NEXT}"
)
# Of the index alone. The row of a claimed outcome is not read.
_FREE = (
    "SELECT id FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NOT NULL AND acknowledged = 0 ORDER BY id"
)
_COUNT = "SELECT count(*) FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NOT NULL AND acknowledged = 0"
_EXPORT = f"SELECT {COLUMNS} FROM watches WHERE {_NEXT}"  # noqa: S608
# The plus keeps SQLite from using the endpoint's index, for which it would sort all rows of the endpoint.
_DURATIONS = (
    f"SELECT {COLUMNS} FROM watches WHERE +endpoint = ? AND account = ? AND outcome = 'succeeded'"  # noqa: S608
    " ORDER BY id DESC LIMIT ?"
)
_ORIGINS = (
    "SELECT origin, count(*), min(id) AS first FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NULL"
    " GROUP BY origin ORDER BY first"
)
_AT_ORIGIN = (
    f"SELECT {COLUMNS} FROM watches WHERE endpoint = ? AND account = ? AND outcome IS NULL AND origin IS ?"  # noqa: S608
    f" AND {_NEXT}"
)


def _open(db: sqlite3.Connection, page: Page) -> Found[OpenWatch]:
    return _page(db, _OPEN, (page.endpoint, page.account, page.after, page.limit), _open_watch)


def _unacknowledged(db: sqlite3.Connection, page: Page) -> Found[Concluded]:
    return _page(db, _UNACKNOWLEDGED, (page.endpoint, page.account, page.after, page.limit), _concluded)


def _unclaimed(db: sqlite3.Connection, wanted: Unclaimed) -> Found[Concluded]:
    sound: list[Concluded] = []
    damaged: list[DamagedRow] = []
    with closing(db.execute(_FREE, (wanted.endpoint, wanted.account))) as numbers:
        free = (number for (number,) in numbers if number not in wanted.claimed)
        while some := list(islice(free, min(AT_ONCE, wanted.limit - len(sound)))):
            found, unsound = sound_rows(rows_by_id(db, some), _concluded)
            sound += found
            damaged += unsound
    return Found(sound, damaged)


def _open_watch(row: Row) -> OpenWatch:
    known = known_watch(row)
    if isinstance(known, OpenWatch):
        return known
    raise UnsoundRow(damaged_row(row, _MISLED))


def _concluded(row: Row) -> Concluded:
    known = known_watch(row)
    if isinstance(known, Concluded) and not known.acknowledged:
        return known
    raise UnsoundRow(damaged_row(row, _MISLED))


def _export(db: sqlite3.Connection, page: Page) -> Found[bytes]:
    found = _page(db, _EXPORT, (page.after, page.limit), line_of if page.include_open else _ended_line)
    return attrs.evolve(found, rows=[line for line in found.rows if line])


def _ended_line(row: Row) -> bytes:
    # An open row is checked as well: damage may have taken its outcome.
    return b"" if isinstance(known_watch(row), OpenWatch) else line_of(row)


def _page(db: sqlite3.Connection, sql: str, values: Sequence[object], read: Callable[[Row], R]) -> Found[R]:
    rows = fetch(db, sql, values)
    return Found(*sound_rows(rows, read), rows[-1][0] if rows else 0)


def _count_unacknowledged(db: sqlite3.Connection, wanted: tuple[str, str]) -> int:
    return int(db.execute(_COUNT, wanted).fetchone()[0])


def _durations(db: sqlite3.Connection, wanted: tuple[str, str, int]) -> Found[float]:
    return Found(*sound_rows(fetch(db, _DURATIONS, wanted), elapsed_of))


def _origins(db: sqlite3.Connection, wanted: tuple[str, str]) -> Found[OriginCount]:
    counts: list[OriginCount] = []
    damaged: list[DamagedRow] = []
    for origin, watches, first in fetch(db, _ORIGINS, wanted):
        known, unsound = _first_at(db, wanted, origin, first)
        damaged += unsound
        if known is not None:  # else only damaged rows have this origin
            counts.append(OriginCount(origin=known.origin, watches=watches, keys=known.keys))
    return Found(counts, damaged)


def _first_at(
    db: sqlite3.Connection, wanted: tuple[str, str], origin: object, first: int
) -> tuple[OpenWatch | Concluded | None, list[DamagedRow]]:
    """The first sound row at this origin, and the damaged ones before it."""
    damaged: list[DamagedRow] = []
    after, limit = first - 1, 1
    while rows := fetch(db, _AT_ORIGIN, (*wanted, origin, after, limit)):
        known, unsound = sound_rows(rows, known_watch)
        damaged += unsound
        if known:
            return known[0], damaged
        after, limit = rows[-1][0], _FEW
    return None, damaged


OPEN = Work(_open)
UNCLAIMED = Work(_unclaimed)
UNACKNOWLEDGED = Work(_unacknowledged)
EXPORT = Work(_export)
COUNT_UNACKNOWLEDGED = Work(_count_unacknowledged)
DURATIONS = Work(_durations)
ORIGINS = Work(_origins)
