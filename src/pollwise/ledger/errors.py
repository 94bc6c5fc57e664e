"""The exceptions of a ledger, as one tree below `PollwiseError`.

    LedgerError             the ledger could not be opened, read or written
    ├── LedgerMissing
    ├── NotALedger
    ├── LedgerTooNew
    ├── LedgerTooOld
    ├── LedgerCorrupt
    ├── LedgerFull
    ├── LedgerUnwritable
    ├── LedgerUnsafe
    ├── LedgerInUse
    ├── LedgerFailed
    ├── LedgerUnreachable
    ├── LedgerRefused
    ├── LedgerReadOnly
    ├── LeaseLost
    ├── LedgerNotRecovered
    └── LedgerClosed

A watch that ends because its ledger fails ends with `pollwise.errors.LedgerWriteFailed`, which is about the watch.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pollwise.errors import ConfigurationError, PollwiseError
from pollwise.ledger.shards import Shard

__all__ = [
    "LeaseLost",
    "LedgerClosed",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerFailed",
    "LedgerFull",
    "LedgerInUse",
    "LedgerMissing",
    "LedgerNotRecovered",
    "LedgerReadOnly",
    "LedgerRefused",
    "LedgerTooNew",
    "LedgerTooOld",
    "LedgerUnreachable",
    "LedgerUnsafe",
    "LedgerUnwritable",
    "NotALedger",
]


@attrs.define
class LedgerError(PollwiseError):
    """The ledger could not be opened, read or written. `where` is its file, or the URL of its database without credentials.

    Nothing that an earlier call promised is lost, and no file was damaged or replaced by a new one.
    """

    where: str


@attrs.define
class LedgerMissing(LedgerError):
    """The file does not exist, and `read_only=True` makes no file."""

    def __str__(self) -> str:
        return f"{self.where} does not exist. Check the path; a ledger is made when it is opened for writing."


@attrs.define
class NotALedger(LedgerError):
    """The file is no ledger, or was overwritten. It was left as it is."""

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.where} is not a ledger ({self.detail}) and was left as it is."
            " Check the path, or restore the ledger from a copy."
        )


@attrs.define
class LedgerTooNew(LedgerError):
    """The ledger was written by a newer pollwise. `found` and `supported` are schema versions."""

    found: int
    supported: int

    def __str__(self) -> str:
        return (
            f"{self.where} has schema version {self.found}, and this pollwise knows versions up to {self.supported}."
            " Upgrade pollwise; the ledger was left as it is."
        )


@attrs.define
class LedgerTooOld(LedgerError):
    """The ledger's schema is older than this pollwise needs, or its database has none yet. It is migrated by a command only.

    `found` and `supported` are schema versions. `found` is 0 if there is no schema.
    """

    found: int
    supported: int

    def __str__(self) -> str:
        has = f"has schema version {self.found}" if self.found else "has no schema of a ledger yet"
        return (
            f"{self.where} {has}, and this pollwise needs version {self.supported}. Run `pollwise ledger migrate LEDGER`"
            " once; the ledger was left as it is."
        )


@attrs.define
class LedgerCorrupt(LedgerError):
    """The file is, or was, a ledger, but it is damaged.

    `rows` are the numbers of the damaged rows that the call needs. Then all other rows can be used. If it is empty, the
    file as a whole cannot be used.
    """

    detail: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.rows:
            return (
                f"{self.where} is damaged in {row_names(self.rows)}: {self.detail}. All other rows can be used. To record"
                " the job again, write them to a new ledger: `pollwise ledger recover LEDGER NEW`."
                " `pollwise ledger check LEDGER` lists all damaged rows."
            )
        return (
            f"{self.where} is damaged: {self.detail}. It was left as it is. Restore a copy, or save its sound rows:"
            " `pollwise ledger check LEDGER` lists what is damaged, and `pollwise ledger recover LEDGER NEW` writes the"
            " rest to a new ledger."
        )


@attrs.define
class LedgerFull(LedgerError):
    """The disk, a quota or a file size limit is full. Nothing of the call was kept."""

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.where} could not grow ({self.detail}): the disk is full, or a quota or size limit is reached."
            " Nothing of this call was kept. Make room and call again; the ledger is still usable."
        )


@attrs.define
class LedgerUnwritable(LedgerError):
    """The file or its directory cannot be opened in this way: permissions, a read-only file system, or a wrong path.

    `read_only` is True where the ledger object itself was opened with `read_only=True`.
    """

    detail: str
    read_only: bool = False

    def __str__(self) -> str:
        return (
            f"{self.where} cannot be opened here: {self.detail}. To write it, make the file and its directory"
            " writable. To read it with read_only=True, make the file readable."
        )


@attrs.define
class LedgerUnsafe(LedgerError):
    """The ledger's files are where a later process would not find what is written. See docs/ledger-containers.md.

    `detail` says why: several names, a mount of the single file, a network file system, or a -wal that was deleted. `advice`
    says what to do. If opening raises this, nothing was changed. A call of an open ledger that raises this may be repeated.
    """

    detail: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where} cannot be kept safely: {self.detail}. {self.advice}."


@attrs.define
class LedgerInUse(LedgerError):
    """Another process, or another ledger object of this process, has the file open for writing or holds its write lock.

    A watcher tries again for `ledger_patience_s` before it raises this.
    """

    def __str__(self) -> str:
        return (
            f"{self.where} is in use: one ledger is written by one process at a time. Stop the other one, use another"
            " file, or only look at it with read_only=True."
        )


@attrs.define
class LedgerFailed(LedgerError):
    """The file system or the database failed in some other way, named in `detail`. Nothing of the call was kept.

    `advice` says what to do.
    """

    detail: str
    advice: str = "Check the disk, then call again"

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}. Nothing of this call was kept. {self.advice}."


@attrs.define
class LedgerUnreachable(LedgerError):
    """The ledger's server cannot be reached, or the connection was lost, as `detail` says.

    Whether a call that was under way was carried out is unknown. It may be repeated, because a repeated call changes nothing.
    A watcher does so for `ledger_patience_s`.
    """

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.where} cannot be reached: {self.detail}. Check that the server runs and that the network leads to it,"
            " then call again; a repeated call changes nothing."
        )


@attrs.define
class LedgerRefused(LedgerError):
    """The ledger's server refuses this client: its password, rights, database, TLS or version. `detail` says which.

    `advice` says what to do. Nothing of the call was kept.
    """

    detail: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where} refuses: {self.detail}. {self.advice}."


@attrs.define
class LedgerReadOnly(LedgerError):
    """The ledger's server takes no writes: it is a standby in recovery, or the transactions of this role are read-only.

    Nothing of the call was kept. `detail` says more. A watcher repeats the call for its `ledger_patience_s`, because a
    standby may be promoted.
    """

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.where} is read-only: {self.detail}. Use the URL of the primary, or several hosts with"
            " ?target_session_attrs=read-write; to look only, open it with read_only=True."
        )


@attrs.define
class LeaseLost(LedgerError):
    """Another process owns this shard now. Nothing of the call was kept, and a repeated call fails in the same way.

    Stop watching the jobs of `shard` in this process. The other process watches them. `detail` says how the lease was lost.
    """

    shard: Shard
    detail: str

    def __str__(self) -> str:
        return (
            f"{self.where}: this process no longer owns the shard {str(self.shard)!r} ({self.detail}). Nothing of this"
            " call was kept. Stop watching its jobs here; another process watches them."
        )


@attrs.define
class LedgerNotRecovered(LedgerError):
    """The new file of a recovery could not be written. `where` is that file, and `damaged` is the damaged ledger.

    Nothing was changed: the damaged ledger is as it was, and the unfinished file was removed. `detail` says what failed.
    `is_full` is True if the disk, a quota or a file size limit is full.
    """

    damaged: str
    detail: str
    is_full: bool = False

    def __str__(self) -> str:
        reason, advice = (
            (f"the disk is full, or a quota or size limit is reached ({self.detail})", "Free some space")
            if self.is_full
            else (self.detail, "Name a file in a folder that can be written")
        )
        return (
            f"{self.where} could not be written: {reason}. Nothing was changed: {self.damaged} is as it was, and the"
            f" unfinished file was removed. {advice}, then recover again."
        )


@attrs.define
class LedgerClosed(LedgerError):
    """The ledger is not open, or it belongs to another process or another event loop. `detail` says which."""

    detail: str

    def __str__(self) -> str:
        return f"{self.where} is not open here: {self.detail}. Use it inside its own `async with` block."


_MOST_NAMED = 10


def is_of_one(error: Exception) -> bool:
    """Whether a call failed because of one of its items, so that the others can be written without it."""
    return isinstance(error, ConfigurationError) or (isinstance(error, LedgerCorrupt) and bool(error.rows))


def row_names(rows: Sequence[int]) -> str:
    """Rows by their numbers, such as "row 5" or "rows 5, 7 and 9"; of many rows the first ten."""
    names = [f"{number}" for number in rows[:_MOST_NAMED]]
    if len(rows) > _MOST_NAMED:
        names.append(f"{len(rows) - _MOST_NAMED:,} more")
    if len(names) == 1:
        return f"row {names[0]}"
    return f"rows {', '.join(names[:-1])} and {names[-1]}"
