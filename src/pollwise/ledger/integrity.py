"""Whether a ledger's file is damaged, and whether the ledger can be used all the same.

Rule 1: damage of single rows ends nothing: those rows are left out by their number. Then each index still has exactly the
sound rows, and may have anything about the damaged ones.
Rule 2: any other damage makes the file unusable, because an index that lacks a sound row would allow a second row of its job.

Measured with 100,000 rows (63 MB): `integrity_check` takes 0.15 s and `quick_check` 0.05 s, which sees no damage of a key.
"""

from __future__ import annotations

import re
import sqlite3

from pollwise.ledger.errors import LedgerCorrupt
from pollwise.ledger.records import Concluded
from pollwise.ledger.rows import COLUMNS, UnsoundRow, known_watch
from pollwise.ledger.schema import MIGRATIONS
from pollwise.ledger.statements import fetch

__all__ = ["check_integrity"]

_MOST = 100  # messages
_OF_ROWS = re.compile(
    r"row \d+ missing from index |wrong # of entries in index |non-unique entry in index |\w+ value in "
)
_INDEXES = {
    "watches_by_job": "SELECT endpoint, account, job, id FROM watches INDEXED BY watches_by_job WHERE endpoint >= ''",
    "watches_open": "SELECT endpoint, account, id FROM watches INDEXED BY watches_open WHERE outcome IS NULL",
    "watches_unacknowledged": (
        "SELECT endpoint, account, id FROM watches INDEXED BY watches_unacknowledged"
        " WHERE outcome IS NOT NULL AND acknowledged = 0"
    ),
}


def check_integrity(db: sqlite3.Connection, path: str, version: int) -> None:
    """Read the whole file once, so that damage is found now and not later.

    Raises:
        LedgerCorrupt: The damage is not that of single rows.
    """
    found = [str(message) for (message,) in db.execute(f"PRAGMA integrity_check({_MOST})")]
    if found == ["ok"]:
        return
    of_rows = version == len(MIGRATIONS) and len(found) < _MOST and all(map(_is_of_rows, found))
    if not (of_rows and _indexes_have_the_sound_rows(db)):
        raise LedgerCorrupt(path, found[0])


def _is_of_rows(message: str) -> bool:
    """Whether SQLite says that single rows of the watches are damaged."""
    return _OF_ROWS.match(message) is not None and "submits" not in message


def _indexes_have_the_sound_rows(db: sqlite3.Connection) -> bool:
    expected: dict[str, set[tuple[object, ...]]] = {name: set() for name in _INDEXES}
    damaged: set[int] = set()
    for row in fetch(db, f"SELECT {COLUMNS} FROM watches NOT INDEXED"):  # noqa: S608  constants alone
        number, endpoint, account, job = row[:4]
        try:
            known = known_watch(row)
        except UnsoundRow:
            damaged.add(number)
            continue
        expected["watches_by_job"].add((endpoint, account, job, number))
        if not isinstance(known, Concluded):
            expected["watches_open"].add((endpoint, account, number))
        elif not known.acknowledged:
            expected["watches_unacknowledged"].add((endpoint, account, number))
    return bool(damaged) and all(
        expected[name] == {entry for entry in fetch(db, sql) if entry[-1] not in damaged}
        for name, sql in _INDEXES.items()
    )
