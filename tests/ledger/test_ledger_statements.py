from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pollwise.ledger.statements import fetch


def test_a_text_that_is_not_utf_8_comes_as_bytes() -> None:
    """It ends no reading, and the next statement has texts again."""
    with closing(sqlite3.connect(":memory:")) as db:
        assert fetch(db, "SELECT CAST(x'61ff' AS TEXT), ?", ["b"]) == [(b"a\xff", "b")]
        assert fetch(db, "SELECT ?, 'b'", ["a"]) == [("a", "b")]


def test_a_statement_that_sqlite_refuses_is_not_tried_again() -> None:
    """Its error is raised at once: to wait twice for a locked file would take twice the time."""
    calls: list[str] = []

    def fails_once() -> int:
        calls.append("a call")
        return 1 // (len(calls) - 1)

    with closing(sqlite3.connect(":memory:")) as db:
        db.create_function("fails_once", 0, fails_once)
        with pytest.raises(sqlite3.OperationalError, match="user-defined function"):
            fetch(db, "SELECT fails_once()")
        assert len(calls) == 1
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            fetch(db, "SELECT * FROM missing")
