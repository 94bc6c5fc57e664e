"""Opens and creates a ledger's file, without damage to any file.

Rule 1: a file is inspected before it is opened. A foreign, newer or empty file is not changed, and no file is put beside it.
Rule 2: a new ledger is created under another name and then moved into place. So an empty file is not a new ledger but
lost data, and is reported.
Rule 3: a ledger has one writer. It holds a lock of SQLite on `FILE-lock`, which works wherever SQLite works, and a lock on the
inode of the file (inode_lock.py). Both end with the process, and a forked child inherits neither. Readers need no lock.
Rule 4: only SQLite and inode_lock.py open these files. Closing a descriptor drops SQLite's POSIX locks on the file in this
whole process (sqlite.org/howtocorrupt.html, 2.2).
Rule 5: a new file has the mode 0600. SQLite gives -wal and -shm the mode of the ledger. An existing file keeps its mode.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Literal, TypeAlias

import attrs

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import (
    LedgerCorrupt,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnwritable,
    NotALedger,
)
from pollwise.ledger.file_safety import refuse_links, refuse_place
from pollwise.ledger.inode_lock import FileId, create_private, hold_inode, in_use
from pollwise.ledger.integrity import check_integrity
from pollwise.ledger.open_file import OpenFile
from pollwise.ledger.schema import APPLICATION_ID, MIGRATIONS, NO_SUBMITS, VIEWS, migrate, version_of

__all__ = [
    "Opening",
    "Synchronous",
    "check_tables",
    "connect_to_read",
    "is_file",
    "ledger_error_of",
    "make_ledger",
    "open_ledger",
    "sync_folder",
]

Synchronous: TypeAlias = Literal["full", "normal"]

_FRESH = "-pollwise-new"
_WAL_LIMIT = 64 * 1024 * 1024  # bytes: a write-ahead log that grew during a long read is cut to this


@attrs.frozen(kw_only=True)
class Opening:
    """How to open a ledger. `path` is absolute."""

    path: str
    synchronous: Synchronous
    busy_timeout_s: float
    read_only: bool


def open_ledger(opening: Opening, held: ExitStack) -> OpenFile:
    """Open the ledger. `held` closes it and the locks.

    Raises:
        LedgerError: The file cannot be opened in this way, and is unchanged.
    """
    try:
        path = os.path.realpath(opening.path)  # one file has one lock, also where links lead to it
        return _open_to_read(path, opening, held) if opening.read_only else _open_to_write(path, opening, held)
    except (sqlite3.Error, OSError, UnicodeDecodeError) as exc:
        raise ledger_error_of(exc, opening.path) from exc


def _open_to_write(path: str, opening: Opening, held: ExitStack) -> OpenFile:
    _inspect(path)
    refuse_place(path, read_only=False)
    _lock(path, opening.busy_timeout_s, held)
    if not _inspect(path):  # again, because the last holder of the lock may have made it
        _create(path)
    _remove(path + _FRESH)  # left by a process that was killed while it made this ledger, when the file had both names
    refuse_links(path)
    main = held.enter_context(hold_inode(path, opening.busy_timeout_s))
    # Read all of it before it is opened for writing, because closing then would write the log into a damaged file.
    with closing(_connect(path, "mode=ro", opening.busy_timeout_s)) as db:
        _check(db, path)
    file = _opened(path, opening, held, main, lambda: _connect_to_write(path, opening))
    file.check_main()  # the file that is locked is the file that was opened
    return file


def _connect_to_write(path: str, opening: Opening) -> sqlite3.Connection:
    with ExitStack() as cleanup:
        db = cleanup.enter_context(closing(_connect(path, "mode=rw", opening.busy_timeout_s)))
        if str(db.execute("PRAGMA journal_mode = WAL").fetchone()[0]) != "wal":
            raise LedgerUnwritable(path, "its file system does not let processes share memory, as SQLite's WAL needs")
        # FULL: on disk when a commit returns, power loss included. NORMAL: safe from kill -9, not from power loss.
        db.execute(f"PRAGMA synchronous = {opening.synchronous}")
        # macOS: its fsync does not reach the disk.
        db.execute(f"PRAGMA fullfsync = {int(opening.synchronous == 'full')}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        if version_of(db) < len(MIGRATIONS):  # reading also makes -wal
            migrate(db, MIGRATIONS)
        cleanup.pop_all()
    return db


def _open_to_read(path: str, opening: Opening, held: ExitStack) -> OpenFile:
    if not _inspect(path):
        raise LedgerMissing(path)
    refuse_place(path, read_only=True)
    main = held.enter_context(in_use(path))
    return _opened(path, opening, held, main, lambda: _connect_to_read(path, opening))


def _opened(
    path: str, opening: Opening, held: ExitStack, main: FileId, connect: Callable[[], sqlite3.Connection]
) -> OpenFile:
    file = OpenFile(opening.path, path, main, connect, not opening.read_only)
    held.callback(file.close)
    _ = file.db
    return file


def _connect_to_read(path: str, opening: Opening) -> sqlite3.Connection:
    with ExitStack() as cleanup:
        db = cleanup.enter_context(closing(connect_to_read(path, opening.busy_timeout_s)))
        _check(db, path)
        _read_as_newest(db, path)
        cleanup.pop_all()
    return db


def connect_to_read(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that changes nothing, also to a file that is damaged, or is on a read-only disk."""
    with ExitStack() as cleanup:
        db = cleanup.enter_context(closing(_connect(path, "mode=ro", busy_timeout_s)))
        try:
            version_of(db)
        except sqlite3.OperationalError as exc:
            if _primary(exc) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} or _size(f"{path}-wal"):
                raise
            # No process has it open, and no file can be put beside it, as on a read-only disk: SQLite reads it as it is.
            db.close()
            db = cleanup.enter_context(closing(_connect_to_look(path)))
        cleanup.pop_all()
    return db


def _read_as_newest(db: sqlite3.Connection, path: str) -> None:
    """Make an older ledger readable as one of the newest version. The file stays as it is."""
    version = version_of(db)
    if version == len(MIGRATIONS):
        return
    if version not in VIEWS:
        raise LedgerUnwritable(path, "it is of an older schema version, and opening it for writing would migrate it")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute(f"CREATE TEMP VIEW watches AS {VIEWS[version]}")  # SQLite looks for a name in temp before main
    db.execute(f"CREATE TEMP VIEW submits AS {NO_SUBMITS}")


def _connect(path: str, how: str, busy_timeout_s: float = 0.0) -> sqlite3.Connection:
    # isolation_level None: BEGIN and COMMIT are explicit. trusted_schema and cell_size_check guard against hostile files.
    db = sqlite3.connect(f"{Path(path).as_uri()}?{how}", timeout=busy_timeout_s, isolation_level=None, uri=True)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db


def _connect_to_look(path: str) -> sqlite3.Connection:
    """A connection that takes no lock, ignores the write-ahead log, and makes no file."""
    return _connect(path, "mode=ro&immutable=1")


def _inspect(path: str) -> bool:
    """Whether there is a ledger. Raises for a file that is not a ledger, and for a newer ledger. Changes nothing.

    Without the write-ahead log, this may read a half checkpointed state. Then the opening decides.
    """
    if not is_file(path):
        return False
    try:
        with closing(_connect_to_look(path)) as db:
            _recognize(db, path)
    except sqlite3.DatabaseError as exc:
        if _primary(exc) != sqlite3.SQLITE_CORRUPT:
            raise
    return True


def is_file(path: str) -> bool:
    """Whether there is a file. Raises NotALedger for one without a byte, and for what is no regular file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - all of this file's paths are texts
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise NotALedger(path, "it is no regular file")
    if found.st_size == 0:
        raise NotALedger(path, "the file is empty")
    return True


def _recognize(db: sqlite3.Connection, path: str) -> int:
    """The schema version, if the file is a ledger that this pollwise can use."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise NotALedger(path, "it is another program's SQLite database")
    version = version_of(db)
    if version > len(MIGRATIONS):
        raise LedgerTooNew(path, version, len(MIGRATIONS))
    return version


def _check(db: sqlite3.Connection, path: str) -> None:
    """Read the whole file once, so that damage is found now and not later."""
    version = check_tables(db, path)
    check_integrity(db, path, version)  # last, because it trusts the tables


def check_tables(db: sqlite3.Connection, path: str) -> int:
    """The schema version. Raises LedgerError unless the file has the tables of a ledger of this version."""
    version = _recognize(db, path)
    with closing(sqlite3.connect(":memory:")) as model:
        migrate(model, MIGRATIONS[:version])
        if _layout(db) != _layout(model):  # a trigger, for example, could undo a write
            raise LedgerCorrupt(path, "its tables are not as they were made")
    return version


def _layout(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return db.execute(
        """
        SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
        ORDER BY type, name
        """
    ).fetchall()


def _lock(path: str, busy_timeout_s: float, held: ExitStack) -> None:
    lock = f"{path}-lock"
    try:
        create_private(lock, _mode(path))
        holder = held.enter_context(closing(_connect(lock, "mode=rw", busy_timeout_s)))
        holder.execute("PRAGMA journal_mode = MEMORY")  # so that no journal is left beside the lock
        holder.execute("BEGIN EXCLUSIVE")  # never committed, so the file stays empty
    except sqlite3.Error as exc:
        if _primary(exc) == sqlite3.SQLITE_BUSY:
            raise LedgerInUse(path) from exc
        raise LedgerUnwritable(path, _obstacle(path) or f"{lock}: {exc}") from exc
    except OSError as exc:
        if reason := _obstacle(path):
            raise LedgerUnwritable(path, reason) from exc
        raise


def _mode(path: str) -> int:
    """The mode of the files beside the ledger: its own, as SQLite does it, or that of a new ledger."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode) & 0o666 | 0o600  # noqa: PTH116 - all of this file's paths are texts
    except OSError:
        return 0o600


def _create(path: str) -> None:
    """Make a ledger, under the lock."""
    if _size(f"{path}-wal"):
        # SQLite would write this log into any file in the main file's place.
        raise LedgerCorrupt(path, f"the file itself is gone, and its newest part is left in {path}-wal")
    with contextlib.suppress(FileExistsError):  # made by a process without our lock: it is inspected like any other
        make_ledger(path, path + _FRESH, lambda _db: None)


def make_ledger(path: str, fresh: str, fill: Callable[[sqlite3.Connection], object]) -> None:
    """Make a ledger under the name `fresh`, fill it, and move it into place. Its mode is 0600.

    Raises:
        FileExistsError: There is a file at `path`. It is left as it is.
    """
    with ExitStack() as cleanup:
        cleanup.callback(_remove, fresh)
        _remove(fresh)  # left by a process that was killed here
        create_private(fresh)
        with closing(_connect(fresh, "mode=rw")) as db:
            db.execute("PRAGMA journal_mode = MEMORY")
            migrate(db, MIGRATIONS)
            fill(db)
        try:
            os.link(fresh, path)  # unlike a rename, never replaces
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            os.rename(fresh, path)  # noqa: PTH104 - all of this file's paths are texts
    sync_folder(path)


def sync_folder(path: str) -> None:
    """Make the name of the file durable, too. Where a folder cannot be opened, as on Windows, this is not needed."""
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(path), os.O_RDONLY)  # noqa: PTH120 - all of this file's paths are texts
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - all of this file's paths are texts


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - all of this file's paths are texts
    except FileNotFoundError:
        return 0


def _primary(exc: sqlite3.Error) -> int | None:
    """SQLite's primary result code. None for an error of the sqlite3 module itself."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _obstacle(path: str) -> str | None:
    """A reason for SQLite's "unable to open database file", or None if none is found."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f"{folder} is not a folder that exists"
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return f"no permission to write in {folder}"
    return None


_ERROR_BY_CODE: Mapping[int, type[LedgerCorrupt | LedgerFull | LedgerUnwritable | NotALedger]] = {
    sqlite3.SQLITE_CORRUPT: LedgerCorrupt,
    sqlite3.SQLITE_NOTADB: NotALedger,
    sqlite3.SQLITE_FULL: LedgerFull,
    # SQLite has one code for a quota, a file size limit and a broken disk.
    sqlite3.SQLITE_IOERR_WRITE: LedgerFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: LedgerFull,
    sqlite3.SQLITE_IOERR_TRUNCATE: LedgerFull,
    sqlite3.SQLITE_AUTH: LedgerUnwritable,
    sqlite3.SQLITE_CANTOPEN: LedgerUnwritable,
    sqlite3.SQLITE_PERM: LedgerUnwritable,
    sqlite3.SQLITE_READONLY: LedgerUnwritable,
}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_REFUSED = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def ledger_error_of(exc: Exception, path: str) -> Exception:
    """The error of this package for an error of SQLite, of its module or of the system. Any other error as it is."""
    match exc:
        case sqlite3.Error():
            return _sqlite_error(exc, path)
        case UnicodeDecodeError():  # the module's own error for a message of SQLite that has a damaged name
            return LedgerCorrupt(path, "a name in it is not UTF-8")
        case OverflowError() | UnicodeEncodeError():
            return ConfigurationError(f"a value cannot be kept: {exc}")
        case OSError():
            kind = LedgerFull if exc.errno in _NO_ROOM else LedgerUnwritable
            return kind(path, exc.strerror or str(exc))
    return exc


def _sqlite_error(exc: sqlite3.Error, path: str) -> Exception:
    code = _primary(exc)
    if code is None and isinstance(exc, sqlite3.OperationalError):
        return LedgerCorrupt(path, str(exc))  # the module's own error for a text that is not UTF-8
    if code is None or code in _REFUSED:
        return ConfigurationError(f"a value cannot be kept: {exc}")
    if code in _BUSY:
        return LedgerInUse(path)
    kind = _ERROR_BY_CODE.get(exc.sqlite_errorcode) or _ERROR_BY_CODE.get(code) or LedgerFailed
    return kind(path, (kind is LedgerUnwritable and _obstacle(path)) or str(exc))
