"""Where a ledger can be kept safely.

SQLite finds the write-ahead log by the name of the ledger. A process that opens the ledger under another name, or in another
mount, does not find it, so what is only in the log is lost.

Rule 1: refused are a file with several names, a file that is a mount point of its own, and a network file system.
Rule 2: a check never refuses on a guess. Where the system does not tell, as outside Linux, the ledger is opened.
Rule 3: a check opens no descriptor that SQLite's locks depend on: closing one opened with O_PATH drops no lock.
Rule 4: the address of a database is not taken for the name of a file. It may have a password, which would be written to the disk
and shown in messages. So the refusal quotes nothing of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import LedgerUnsafe
from pollwise.ledger.inode_lock import file_id

__all__ = ["file_system_of", "mount_id", "refuse_database", "refuse_links", "refuse_place"]

_NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "auristorfs", "coda", "ceph", "fuse.ceph",
    "fuse.ceph-fuse", "fuse.glusterfs", "fuse.sshfs",
})  # fmt: skip
# A URL, also as pathlib and os.path shorten it; and the keywords and values of libpq. C:/ is a path of Windows.
_ADDRESS = re.compile(
    r"\s*[A-Za-z][A-Za-z0-9+.-]+:/(?:/|.*@)|(?:.*\s)?password\s*=|\s*(?:host|hostaddr|port|dbname|user)\s*=.*\s[a-z_]+\s*=",
    re.DOTALL,
)
_LOCAL_DISK = "Put the ledger on a disk of this machine"


def refuse_database(path: str | os.PathLike[str]) -> None:
    """Raise `ConfigurationError` for the address of a database in place of a file. It quotes nothing of the address."""
    if _ADDRESS.match(os.fsdecode(path)):
        raise ConfigurationError(
            "the ledger is named by the address of a database, and not by a file. Name a database in PostgreSQL by a URL such as"
            " postgresql://user@host:5432/database, for PostgresLedger or a command. Other databases are not supported"
        )


def refuse_place(path: str, *, read_only: bool) -> None:
    """Raise `LedgerUnsafe` if the file at this real path, or its folder, is in a place where it cannot be kept."""
    folder = mount_id(os.path.dirname(path))  # noqa: PTH120 - all of a ledger's paths are texts
    if folder is None:
        return
    own = mount_id(path)
    if own is not None and own != folder:
        raise LedgerUnsafe(
            path,
            "it is mounted alone, as a single file, so its -wal and -lock are not those of other processes",
            "Mount the folder that contains it, and open it in that folder",
        )
    kind = file_system_of(_mount_table(), folder)
    if kind in _NETWORK and not (read_only and file_id(f"{path}-wal") is None):
        raise LedgerUnsafe(
            path,
            f"it is on a network file system ({kind}), where SQLite's write-ahead log does not work",
            _LOCAL_DISK
            if not read_only
            else "Look at it on the machine that writes it, or at a copy made after it was closed",
        )


def refuse_links(path: str) -> None:
    """Raise `LedgerUnsafe` if the file has several names."""
    links = os.stat(path).st_nlink  # noqa: PTH116 - all of a ledger's paths are texts
    if links > 1:
        raise LedgerUnsafe(
            path,
            f"it has {links} names (hard links), and each name has a -wal of its own",
            "Keep one name: copy the file if you need both, then delete the other name (`find -samefile` finds it)",
        )


def mount_id(path: str) -> int | None:
    """The ID of the mount that the file or folder is in, as in /proc/self/mountinfo. None if the system does not tell."""
    if not hasattr(os, "O_PATH"):
        return None
    try:
        descriptor = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id" and value.strip().isdecimal():
            return int(value)
    return None


def file_system_of(mount_table: str, mount: int) -> str | None:
    """The type of a mount's file system, from the text of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    for line in mount_table.splitlines():
        before, dash, after = line.partition(" - ")
        if dash and before.partition(" ")[0] == str(mount):
            return after.partition(" ")[0]
    return None


def _mount_table() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return ""
