from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pollwise.ledger.statements import fetch


def test_a_text_that_is_not_utf_8_comes_as_bytes() -> None:
    """It ends no reading, and the next statement has texts again."""
    with closing(sqlite3.connect(":memory:")) as db:
        assert fetch(db, "SELECT CAST(x'61ff' AS TEXT), 'b'") == [(b"a\xff", "b")]
        assert fetch(db, "SELECT ?, 'b'", ["a"]) == [("a", "b")]
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            fetch(db, "SELECT * FROM missing")
