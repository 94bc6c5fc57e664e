"""Reads a ledger whose first page is damaged, so that SQLite finds no table in it.

Rule 1: the first page of a ledger has the file's header and its tables, and no row. So it is replaced by that of a new ledger.
Rule 2: this is done in memory. The file stays as it is.
Rule 3: only the file itself is read. What is in its -wal alone is not found.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pollwise.ledger.schema import MIGRATIONS, migrate

__all__ = ["has_log", "open_without_first_page"]

# sqlite.org/fileformat2.html
_PAGE = 4096
_SIZE, _VERSION = slice(28, 32), slice(60, 64)  # of the header: the number of pages, and the schema version
_TABLE = (0x05, 0x0D)  # the first byte of a page of a table
_ROOT = _PAGE  # the table of watches begins at the second page in each schema version


def open_without_first_page(path: str) -> sqlite3.Connection | None:
    """The ledger in memory, with a new first page. None if its other pages are not those of a ledger."""
    data = bytearray(Path(path).read_bytes())  # no other connection of this process has the file open
    if len(data) <= _ROOT or data[_ROOT] not in _TABLE or not hasattr(sqlite3.Connection, "deserialize"):
        return None
    version = int.from_bytes(data[_VERSION], "big")
    data[:_PAGE] = _first_page(version if 1 <= version < len(MIGRATIONS) else len(MIGRATIONS))
    data[_SIZE] = (len(data) // _PAGE).to_bytes(4, "big")
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.deserialize(bytes(data))
    return db


def has_log(path: str) -> bool:
    """Whether the ledger has changes in its -wal."""
    log = Path(f"{path}-wal")
    return log.is_file() and log.stat().st_size > 0


def _first_page(version: int) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:version])
        return db.serialize()[:_PAGE]
