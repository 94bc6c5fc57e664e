"""The rows of intents. What a caller sees of them is tested in test_ledger_intents.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pollwise.ledger.intent_rows import finish, insert_intent, intents_to_save
from pollwise.ledger.schema import MIGRATIONS, migrate
from pollwise.ledger.statements import DamagedIntents


def test_a_row_can_be_saved_again() -> None:
    """A page that is linked twice has its rows twice; the first one stays."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS)
        row = (1, "toy", "", "a", "00", 7, None)
        insert_intent(db, row)
        insert_intent(db, (2, *row[1:]), again=True)
        with pytest.raises(sqlite3.IntegrityError):
            insert_intent(db, (2, *row[1:]))
        assert intents_to_save(db) == ([row], 0)


def test_a_row_is_checked_before_it_is_finished() -> None:
    """A damaged one would get a right checksum."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS)
        insert_intent(db, (1, "toy", "", "a", "00", 7, None))
        db.execute("UPDATE submits SET digest = '01'")
        with pytest.raises(DamagedIntents):
            finish(db, 1, 5)


def test_a_file_without_the_table_has_none() -> None:
    """And one that cannot be read says so."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        assert intents_to_save(db) == ([], 0)
        db.execute("CREATE VIEW submits AS SELECT * FROM nowhere")
        assert intents_to_save(db) == ([], -1)
