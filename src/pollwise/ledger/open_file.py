"""The writer's connection, and the check that the next process finds what this one writes.

Rule 1: SQLite goes on writing a file that was deleted or moved. So the file, its -wal and its -shm are compared with those that
the connection opened, before each transaction and after each commit.
Rule 2: if the file itself is not in its place, the call fails. SQLite cannot write what a later process would open.
Rule 3: if only -wal or -shm is gone, the connection still has all rows. They are written into the file itself, and a new
connection makes a new -wal and -shm. Callers do not notice.
Rule 4: a reader compares the files before each call. It reads the log that the writer uses, or raises.
Rule 5: a foreign -wal in the place of ours is not used and not deleted while the ledger is open. The next call fails until
it is moved away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import attrs

from pollwise.ledger.errors import LedgerFailed, LedgerUnsafe
from pollwise.ledger.inode_lock import FileId, file_id

__all__ = ["OpenFile"]


@attrs.define(eq=False)
class OpenFile:
    """An open ledger.

    Attributes:
        path: The path as the caller gave it.
        real_path: The same without links; SQLite puts -wal and -shm beside it.
        main: The file that was opened.
        connect: Opens a connection for writing, or for reading.
        is_written: Whether it is open for writing.
    """

    path: str
    real_path: str
    main: FileId
    connect: Callable[[], sqlite3.Connection]
    is_written: bool
    _db: sqlite3.Connection | None = None
    _log: FileId | None = None
    _memory: FileId | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection."""
        if self._db is None:
            db = self.connect()
            self._log, self._memory = self._found()
            self._db = db
        return self._db

    def close(self) -> None:
        """Close the connection. SQLite writes the log into the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def check_main(self) -> None:
        """Raise unless the path still leads to the file that was opened."""
        if file_id(self.path) != self.main:
            raise LedgerFailed(self.path, "it was deleted, moved or replaced while it was in use")

    def check(self) -> None:
        """Make sure that a later process finds all that was written. Not inside a transaction.

        Raises:
            LedgerFailed: The file is not in its place.
            LedgerUnsafe: The log is not in its place, and its rows could not be saved.
        """
        self.check_main()
        if self._db is not None and not self._log_is_in_place():
            self._save(self._db)

    def check_to_read(self) -> None:
        """Make sure that a reader sees what the writer writes. Does nothing for a writer, which checks its transactions.

        Raises:
            LedgerFailed: The file is not in its place.
        """
        if self.is_written:
            return
        self.check_main()
        if self._found() != (self._log, self._memory):
            self.close()  # the next read opens the log that the writer uses now

    def save_log(self) -> None:
        """Save the rows of a log that was deleted, if the file itself is in its place. Does nothing for a reader."""
        if self.is_written and file_id(self.path) == self.main:
            self.check()

    def _log_is_in_place(self) -> bool:
        log, memory = self._found()
        return log is not None and log == self._log and memory == self._memory

    def _found(self) -> tuple[FileId | None, FileId | None]:
        """The files that stand in the places of -wal and -shm."""
        return file_id(f"{self.real_path}-wal"), file_id(f"{self.real_path}-shm")

    def _save(self, db: sqlite3.Connection) -> None:
        """Write the rows of the log into the file itself, then open a new log."""
        busy, logged, saved = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy or logged != saved:
            raise LedgerUnsafe(
                self.path,
                "its -wal or -shm was deleted or replaced while it was in use, and another process reads the ledger, so"
                " the newest rows could not be saved yet",
                "End the process that reads the ledger, then repeat the call",
            )
        log = Path(f"{self.real_path}-wal")
        if log.exists() and log.stat().st_size:  # ours is empty now
            raise LedgerUnsafe(
                self.path,
                "a foreign file was put in the place of its -wal; all earlier rows are saved in the ledger itself",
                f"Move {log} away, then repeat the call",
            )
        self.close()
        # A reader may have made an -shm of its own, which does not fit the log. A new connection would believe it.
        for end in ("-wal", "-shm"):
            Path(f"{self.real_path}{end}").unlink(missing_ok=True)
        _ = self.db
