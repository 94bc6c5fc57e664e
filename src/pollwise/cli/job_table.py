"""The rows of a batch in their order, and each job once.

Rule 1: a million rows use disk, not memory. They are in a private temporary SQLite file, which the system deletes when
the process ends. A small batch stays in SQLite's cache.
Rule 2: JOBS is read once, because it may change or be a pipe.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import attrs

from pollwise.cli.jobs_file import JobRow

__all__ = ["JobTable", "TableRow"]

_CHUNK = 1_000
_CACHE_KIB = 32_768
_TABLES = (
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, keys TEXT NOT NULL, UNIQUE (endpoint, keys))",
    "CREATE TABLE rows (id INTEGER PRIMARY KEY, line INTEGER NOT NULL, job INTEGER NOT NULL, rest TEXT NOT NULL)",
)
_ADD_JOB = "INSERT OR IGNORE INTO jobs (endpoint, keys) VALUES (?, ?)"
_ADD_ROW = "INSERT INTO rows (line, job, rest) SELECT ?, id, ? FROM jobs WHERE endpoint = ? AND keys = ?"
_IN_ORDER = "SELECT line, endpoint, keys, rest FROM rows JOIN jobs ON jobs.id = rows.job ORDER BY rows.id"


@attrs.frozen(kw_only=True)
class TableRow:
    """A row of JOBS. `rest` has its fields other than the endpoint and the keys, as JSON in ASCII."""

    line: int
    endpoint: str
    keys: Mapping[str, str]
    rest: str


class JobTable:
    """The rows of one batch. Use it in a `with`, which closes it."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # no name: a private temporary file
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for table in _TABLES:
            self._db.execute(table)
        self.rows = 0
        self._keys: dict[str, tuple[str, ...]] = {}  # the names of each endpoint's keys, in the order of its rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._db.close()

    def add(self, rows: Sequence[JobRow]) -> None:
        """Append rows. Raises OSError if the disk is full."""
        kept = [(row.line, _text(row.rest), row.endpoint, _text(row.keys)) for row in rows]
        try:
            self._db.execute("BEGIN")
            self._db.executemany(_ADD_JOB, [job for _, _, *job in kept])
            self._db.executemany(_ADD_ROW, kept)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            raise OSError(f"{exc}; TMPDIR says where temporary files go") from exc
        self.rows += len(kept)
        for row in rows:
            self._keys.setdefault(row.endpoint, tuple(row.keys))

    @property
    def endpoints(self) -> Mapping[str, int]:
        """The number of different jobs of each endpoint, by its name, in the order of their first rows."""
        return dict(self._db.execute("SELECT endpoint, count(*) FROM jobs GROUP BY endpoint ORDER BY min(id)"))

    def jobs(self, endpoint: str) -> Iterator[Mapping[str, str]]:
        """The keys of each job of that endpoint, once, in the order of their first rows."""
        for (keys,) in _pages(self._db.execute("SELECT keys FROM jobs WHERE endpoint = ? ORDER BY id", (endpoint,))):
            yield json.loads(keys)

    def has(self, endpoint: str, keys: Mapping[str, str]) -> bool:
        """True if a row names this job."""
        fields = {name: keys[name] for name in self._keys.get(endpoint, ()) if name in keys}
        found = self._db.execute("SELECT 1 FROM jobs WHERE endpoint = ? AND keys = ?", (endpoint, _text(fields)))
        return found.fetchone() is not None

    def rows_in_order(self) -> Iterator[Sequence[TableRow]]:
        """All rows in their order, about a thousand at a time."""
        cursor = self._db.execute(_IN_ORDER)
        while page := cursor.fetchmany(_CHUNK):
            yield [
                TableRow(line=line, endpoint=endpoint, keys=json.loads(keys), rest=rest)
                for line, endpoint, keys, rest in page
            ]


def _pages(cursor: sqlite3.Cursor) -> Iterator[Any]:
    while page := cursor.fetchmany(_CHUNK):
        yield from page


_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


def _text(fields: Mapping[str, Any]) -> str:
    return _ENCODER.encode(fields) if fields else "{}"
