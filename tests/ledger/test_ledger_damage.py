"""What the calls that write do with damaged rows and indexes, and how many statements they take."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from ledger_values import abandoned, acks, change, new, success

from pollwise.ledger import Relocation, Renewal
from pollwise.ledger.schema import MIGRATIONS, migrate
from pollwise.ledger.statements import DamagedRows
from pollwise.ledger.work import ACKNOWLEDGE, CONCLUDE, RECORD, RELOCATE, REOPEN, UPDATE


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """The tables of a ledger, in memory, with the jobs 1, 2 and 3."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS)
        RECORD.run(db, [new(1), new(2), new(3)])
        yield db


def behind(db: sqlite3.Connection, index: str, *statements: str) -> None:
    """Change the table without this index, as a broken disk does."""
    (entry,) = db.execute("SELECT * FROM sqlite_schema WHERE name = ?", (index,)).fetchall()
    db.execute("PRAGMA writable_schema = ON")
    db.execute("DELETE FROM sqlite_schema WHERE name = ?", (index,))
    db.execute("PRAGMA writable_schema = RESET")
    for statement in statements:
        db.execute(statement)
    db.execute("PRAGMA writable_schema = ON")
    db.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", entry)
    db.execute("PRAGMA writable_schema = RESET")


def outcomes(db: sqlite3.Connection) -> list[Any]:
    return [outcome for (outcome,) in db.execute("SELECT outcome FROM watches ORDER BY id")]


def test_a_job_that_only_an_index_has(db: sqlite3.Connection) -> None:
    """To record it again raises, and says of which job the row is missing. It gets no second row."""
    behind(db, "watches_by_job", "DELETE FROM watches WHERE id = 2")
    with pytest.raises(DamagedRows) as caught:
        RECORD.run(db, [new(1), new(2)])
    (row,) = caught.value.damaged
    assert (row.id, row.reason) == (0, "an index has a row that the table does not have")
    assert row.keys == {"file_id": "D1", "job_id": "ZX-2"}


def test_an_outcome_of_a_row_that_an_index_lacks(db: sqlite3.Connection) -> None:
    """If the row is damaged, it is named."""
    behind(db, "watches_open", "UPDATE watches SET endpoint = 'oracle-contend' WHERE id = 2")
    with pytest.raises(DamagedRows) as caught:
        CONCLUDE.run(db, [success(2)])
    assert [row.id for row in caught.value.damaged] == [2]


def test_an_outcome_of_a_sound_row_that_an_index_lacks(db: sqlite3.Connection) -> None:
    """Then it is the file that is damaged, and SQLite's error says so."""
    db.execute("UPDATE watches SET outcome = 'failed' WHERE id = 2")
    behind(db, "watches_open", "UPDATE watches SET outcome = NULL WHERE id = 2")
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        CONCLUDE.run(db, [success(2)])


def test_another_error_of_an_outcome(db: sqlite3.Connection) -> None:
    """It is raised as it is, also where damaged rows are about, and where it is the sqlite3 module's own."""
    db.execute("UPDATE watches SET polls = 99 WHERE id = 2")
    db.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        CONCLUDE.run(db, [success(2)])
    db.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        CONCLUDE.run(db, [success(2)])


def test_an_outcome_of_a_row_whose_job_is_damaged(db: sqlite3.Connection) -> None:
    """It is written, because it needs nothing of the job, and the job stays damaged."""
    db.execute("UPDATE watches SET origin = 'https://damaged.example' WHERE id = 2")
    assert CONCLUDE.run(db, [success(2), success(3)]) == 2
    assert outcomes(db) == [None, "succeeded", "succeeded"]


def test_an_outcome_of_a_row_that_may_have_one(db: sqlite3.Connection) -> None:
    """A call that writes fewer outcomes than it has looks at its rows: a damaged one may only look as if it were over."""
    db.execute("UPDATE watches SET outcome = 'failed' WHERE id = 2")
    with pytest.raises(DamagedRows) as caught:
        CONCLUDE.run(db, [success(1), success(2)])
    assert [row.id for row in caught.value.damaged] == [2]


def test_a_number_that_the_ledger_does_not_have(db: sqlite3.Connection) -> None:
    """It counts for nothing."""
    assert CONCLUDE.run(db, [success(77)]) == 0
    assert ACKNOWLEDGE.run(db, acks(77)) == 0
    assert REOPEN.run(db, [Renewal(id=77, generation=0, deadline=None)]) == 0


def test_numbers_go_on_after_the_highest(db: sqlite3.Connection) -> None:
    """No number is used twice, also if the last row was deleted by hand, or the note of the last number is damaged."""
    db.execute("DELETE FROM watches WHERE id = 3")
    assert [one.id for one in RECORD.run(db, [new(4)])] == [4]
    db.execute("UPDATE sqlite_sequence SET seq = 'damaged'")
    assert [one.id for one in RECORD.run(db, [new(5)])] == [5]


CALLS: list[tuple[str, Callable[[sqlite3.Connection, range], object]]] = [
    ("INSERT", lambda db, numbers: RECORD.run(db, [new(1_000 + number) for number in numbers])),
    ("SELECT", lambda db, numbers: ACKNOWLEDGE.run(db, acks(*numbers))),
    ("SELECT", lambda db, numbers: REOPEN.run(db, [Renewal(id=n, generation=0, deadline=None) for n in numbers])),
    ("SELECT", lambda db, numbers: RELOCATE.run(db, [Relocation(id=n, origin="https://a.example") for n in numbers])),
]


@pytest.mark.parametrize(("kind", "call"), CALLS)
def test_many_rows_take_few_statements(
    db: sqlite3.Connection, kind: str, call: Callable[[sqlite3.Connection, range], object]
) -> None:
    """A hundred rows are inserted, or looked up, by one statement."""
    for count, wanted in ((100, 1), (101, 2), (250, 3)):
        statements: list[str] = []
        db.set_trace_callback(statements.append)
        call(db, range(count, 2 * count))
        db.set_trace_callback(None)
        found = [
            statement for statement in statements if statement.startswith(kind) and "sqlite_sequence" not in statement
        ]
        assert sum("id > " not in statement for statement in found) == wanted


def test_each_row_of_a_large_call_is_met(db: sqlite3.Connection) -> None:
    """None is left out where one statement ends and the next begins."""
    numbers = range(1, 251)
    assert [one.id for one in RECORD.run(db, [new(number) for number in range(4, 251)])] == list(range(4, 251))
    assert db.execute("SELECT count(*) FROM watches WHERE job LIKE '%-' || id || '\"%'").fetchall() == [(250,)]
    UPDATE.run(db, [change(number) for number in numbers])
    assert CONCLUDE.run(db, [abandoned(number) for number in numbers]) == 250
    assert ACKNOWLEDGE.run(db, acks(*numbers)) == 250
    assert REOPEN.run(db, [Renewal(id=number, generation=0, deadline=None) for number in numbers]) == 250
    RELOCATE.run(db, [Relocation(id=number, origin="https://a.example") for number in numbers])
    assert db.execute("SELECT DISTINCT origin, outcome, generation FROM watches").fetchall() == [
        ("https://a.example", None, 1)
    ]
