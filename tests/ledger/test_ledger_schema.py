# A test that looks at files and processes has its loop to itself, so it may block it.

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledger_values import ENDPOINT, every, folder_of, new, raw

from pollwise.ledger import LedgerCorrupt, LedgerFailed, LedgerTooNew, LedgerUnwritable, SqliteLedger, files
from pollwise.ledger.schema import APPLICATION_ID, MIGRATIONS, migrate, version_of

# A version that does not exist yet: what the next one may look like.
NEXT = ("ALTER TABLE watches ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",)
BROKEN = (*NEXT, "ALTER TABLE no_such_table ADD COLUMN note TEXT")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        yield db


def test_from_nothing_to_now(db: sqlite3.Connection) -> None:
    """Version 0, an empty database, is led to the present version and marked as ours."""
    migrate(db, MIGRATIONS)
    assert version_of(db) == len(MIGRATIONS)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert db.execute("SELECT * FROM watches").fetchall() == []


def test_each_step_once(db: sqlite3.Connection) -> None:
    """Only what is missing is done; again, nothing."""
    migrate(db, MIGRATIONS)
    migrate(db, (*MIGRATIONS, NEXT))
    migrate(db, (*MIGRATIONS, NEXT))
    assert version_of(db) == len(MIGRATIONS) + 1


def test_a_step_that_fails_leaves_no_trace(db: sqlite3.Connection) -> None:
    """A migration is done whole or not at all."""
    migrate(db, MIGRATIONS)
    before = list(db.iterdump())
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        migrate(db, (*MIGRATIONS, BROKEN))
    assert list(db.iterdump()) == before
    assert version_of(db) == len(MIGRATIONS)


async def test_an_older_file_is_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer pollwise opens an older ledger, keeps what is in it, and the older one then refuses it."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    monkeypatch.setattr(files, "MIGRATIONS", (*MIGRATIONS, NEXT))
    async with SqliteLedger(path) as ledger:
        assert len(await every(ledger.open_watches(ENDPOINT))) == 1
    assert raw(path, "SELECT note FROM watches") == [("none",)]
    monkeypatch.undo()
    with pytest.raises(LedgerTooNew):
        await SqliteLedger(path).__aenter__()


async def test_a_file_that_cannot_be_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a migration fails, the older pollwise goes on as if nothing had been tried."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    with monkeypatch.context() as patch:
        patch.setattr(files, "MIGRATIONS", (*MIGRATIONS, BROKEN))
        with pytest.raises(LedgerFailed, match="no_such_table"):
            await SqliteLedger(path).__aenter__()
    async with SqliteLedger(path) as ledger:
        assert len(await every(ledger.open_watches(ENDPOINT))) == 1


async def test_looking_does_not_migrate(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening an older ledger with `read_only=True` does not change it."""
    async with SqliteLedger(path):
        pass
    monkeypatch.setattr(files, "MIGRATIONS", (*MIGRATIONS, NEXT))
    before = path.read_bytes()
    reason = "it is of an older schema version, and opening it for writing would migrate it"
    with pytest.raises(LedgerUnwritable, match=rf": {reason}\. To"):
        await SqliteLedger(path, read_only=True).__aenter__()
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_newer_file_is_left_alone(path: Path, *, read_only: bool) -> None:
    """A ledger of a newer pollwise is refused, saying both versions, without a byte changed."""
    async with SqliteLedger(path):
        pass
    raw(path, "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 99")
    before = folder_of(path)
    with pytest.raises(LedgerTooNew) as caught:
        await SqliteLedger(path, read_only=read_only).__aenter__()
    assert (caught.value.found, caught.value.supported) == (99, len(MIGRATIONS))
    assert folder_of(path) == before


@pytest.mark.parametrize(
    "meddling",
    [
        "CREATE TRIGGER meddler AFTER UPDATE ON watches BEGIN DELETE FROM watches; END",
        "DROP INDEX watches_by_job",
        "ALTER TABLE watches DROP COLUMN error_type",
        "ALTER TABLE watches RENAME TO monitors",
        "PRAGMA user_version = 0",
    ],
)
async def test_altered_tables_are_damage(path: Path, meddling: str) -> None:
    """Tables that are not as they were made are refused: what is written there could not be trusted."""
    async with SqliteLedger(path):
        pass
    raw(path, meddling)
    with pytest.raises(LedgerCorrupt, match=r": its tables are not as they were made\. It"):
        await SqliteLedger(path).__aenter__()
