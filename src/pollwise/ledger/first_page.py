"""Reads a ledger whose first page is damaged, so that SQLite finds no table in it.

Rule 1: the first page of a ledger has the file's header and its tables, and no row. So it is replaced by that of a new ledger.
Rule 2: the table of watches begins at the second page in each version. In a file that was migrated, the table of intents
begins anywhere, so its first page is searched for.
Rule 3: this is done in memory. The file stays as it is.
Rule 4: only the file itself is read. What is in its -wal alone is not found.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from pollwise.ledger.schema import MIGRATIONS, VIEWS, migrate

__all__ = ["has_log", "open_without_first_page"]

_IN_MEMORY = ":memory:"
# sqlite.org/fileformat2.html
_PAGE = 4096
_NUMBER = struct.Struct(">I")
_PAGES_AT, _VERSION_AT = 28, 60  # in the header: the number of pages, and the schema version
_SHORT = struct.Struct(">H")
_INTERIOR, _LEAF = 0x05, 0x0D  # the kinds of the pages of a table
_COLUMNS = 8  # of an intent: a number, which a record has as NULL, four texts, a time, a number or NULL, a checksum
_FIRST_TEXT = 13  # in a record, a text has an odd type from this one on


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
    _point_to_intents(db, _root_of_intents(data))
    return db


def has_log(path: str) -> bool:
    """Whether the ledger has changes in its -wal."""
    log = Path(f"{path}-wal")
    return log.is_file() and bool(log.stat().st_size)


def _first_page(version: int) -> bytes:
    """The first page of a new ledger."""
    with closing(sqlite3.connect(_IN_MEMORY)) as db:
        migrate(db, MIGRATIONS[:version])
        return db.serialize()[:_PAGE]


# --- the table of intents ---------------------------------------------------------------------


def _point_to_intents(db: sqlite3.Connection, root: int | None) -> None:
    """Correct where the table of intents begins. Its indexes are not read."""
    db.execute("PRAGMA writable_schema = ON")
    db.execute("DELETE FROM sqlite_master WHERE tbl_name = 'submits' AND (type = 'index' OR ? IS NULL)", (root,))
    db.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'submits'", (root,))
    db.commit()
    db.execute("PRAGMA writable_schema = RESET")


def _root_of_intents(data: bytearray) -> int | None:
    """The number of the first page of the table, or None if no page has an intent.

    Pages that are not used any more may have some, too. No page refers to these, and the tree has more pages than they.
    """
    found = {number: 1 for number in _pages(data, _LEAF) if _has_intents(data, number)}
    children = {number: list(_children(data, number)) for number in _pages(data, _INTERIOR)}
    while new := {
        number: sum(found.get(child, 0) for child in below)
        for number, below in children.items()
        if number not in found and not found.keys().isdisjoint(below)
    }:
        found |= new
    referred: Collection[int] = {child for number in found for child in children.get(number, ())}
    return max(found.keys() - referred, key=lambda number: (found[number], -number), default=None)


def _pages(data: bytearray, kind: int) -> Iterator[int]:
    return (place // _PAGE + 1 for place in range(_PAGE, len(data), _PAGE) if data[place] == kind)


def _children(data: bytearray, number: int) -> Iterator[int]:
    """The pages that an interior page refers to."""
    page = data[(number - 1) * _PAGE : number * _PAGE].ljust(_PAGE)
    yield _NUMBER.unpack_from(page, 8)[0]
    for at in range(12, min(12 + 2 * _SHORT.unpack_from(page, 3)[0], _PAGE - 1), 2):
        cell = _SHORT.unpack_from(page, at)[0]
        if cell <= _PAGE - _NUMBER.size:
            yield _NUMBER.unpack_from(page, cell)[0]


def _has_intents(data: bytearray, number: int) -> bool:
    """Whether the first cell of this leaf looks like an intent. Each row is checked when it is read."""
    page = bytes(data[(number - 1) * _PAGE : number * _PAGE])
    if len(page) < _PAGE or not _SHORT.unpack_from(page, 3)[0]:
        return False
    numbers = _varints(page, _SHORT.unpack_from(page, 8)[0])
    found = list(islice(numbers, 3 + _COLUMNS))  # size, number, size of the types, types
    types = found[3:]
    return (
        len(types) == _COLUMNS
        and found[2] == 1 + sum(max(1, -(-kind.bit_length() // 7)) for kind in types)  # there are no further columns
        and types[0] == 0
        and all(kind >= _FIRST_TEXT and kind % 2 for kind in types[1:5])
        and all(kind < _FIRST_TEXT for kind in types[5:])
    )


def _varints(page: bytes, at: int) -> Iterator[int]:
    value = 0
    for byte in page[at:]:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            yield value
            value = 0
