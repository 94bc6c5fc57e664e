"""Reads a ledger whose first page is damaged, so that SQLite finds no table in it.

Rule 1: the first page of a ledger has the file's header and its tables, and no row. So it is replaced by that of a new ledger.
Rule 2: this is done in memory. The file stays as it is.
Rule 3: only the file itself is read. What is in its -wal alone is not found.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from pollwise.ledger.schema import MIGRATIONS, VIEWS, migrate

__all__ = ["has_log", "open_without_first_page"]

_IN_MEMORY = ":memory:"
# sqlite.org/fileformat2.html
_PAGE = 4096
_NUMBER = struct.Struct(">I")
_PAGES_AT, _VERSION_AT = 28, 60  # in the header: the number of pages, and the schema version


def open_without_first_page(path: str) -> sqlite3.Connection | None:
    """The file in memory, with the first page of a new ledger. None if this build of SQLite cannot do that."""
    if not hasattr(sqlite3.Connection, "deserialize"):
        return None
    data = bytearray(Path(path).read_bytes())  # no other connection of this process has the file open
    version = _NUMBER.unpack_from(data.ljust(_PAGE), _VERSION_AT)[0]
    data[:_PAGE] = _first_page(version if version in VIEWS else len(MIGRATIONS))
    _NUMBER.pack_into(data, _PAGES_AT, len(data) // _PAGE)
    db = sqlite3.connect(_IN_MEMORY)
    db.deserialize(bytes(data))
    return db


def has_log(path: str) -> bool:
    """Whether the ledger has changes in its -wal."""
    log = Path(f"{path}-wal")
    return log.is_file() and bool(log.stat().st_size)


def _first_page(version: int) -> bytes:
    """The first page of a new ledger. The table of watches begins at the second page in each version."""
    with closing(sqlite3.connect(_IN_MEMORY)) as db:
        migrate(db, MIGRATIONS[:version])
        return db.serialize()[:_PAGE]
