# A test that looks at files and processes has its loop to itself, so it may block it.

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledger_values import ENDPOINT, every, folder_of, new, of_a_child

from pollwise.ledger import LedgerInUse, LedgerUnsafe, SqliteLedger, file_safety
from pollwise.ledger.file_safety import file_system_of, mount_id

needs_proc = pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="needs Linux's /proc")
MOUNTING_CHILD = Path(__file__).with_name("mounting_child.py")
MOUNT_TABLE = """\
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,errors=remount-ro
127 27 0:51 /export /srv/a\\040b rw,relatime - nfs4 server:/export rw,vers=4.2
128 27 0:52 / /odd rw - fuse.sshfs a - b rw
"""


async def opened(path: Path, *, read_only: bool = False) -> int:
    async with SqliteLedger(path, busy_timeout_s=0.0, read_only=read_only) as ledger:
        return len(await every(ledger.open_watches(ENDPOINT)))


async def filled(path: Path) -> None:
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])


# --- several names ------------------------------------------------------------------------------


async def test_a_ledger_with_two_names(path: Path) -> None:
    """A file with two names is not written under either of them, and is unchanged. With one name it is used as before."""
    await filled(path)
    link, before = path.with_name("link.ledger"), path.read_bytes()
    os.link(path, link)
    for name in (path, link):
        with pytest.raises(LedgerUnsafe) as caught:
            await opened(name)
        assert caught.value.where == str(name)
        assert caught.value.detail == "it has 2 names (hard links), and each name has a -wal of its own"
        assert caught.value.advice == (
            "Keep one name: copy the file if you need both, then delete the other name (`find -samefile` finds it)"
        )
    assert path.read_bytes() == before
    assert await opened(link, read_only=True) == 1
    link.unlink()
    assert await opened(path) == 1


async def test_a_link_that_was_made_while_it_is_open(path: Path) -> None:
    """A backup program that links an open ledger does not end the work, and the second name cannot be written."""
    async with SqliteLedger(path) as ledger:
        link = path.with_name("link.ledger")
        os.link(path, link)
        assert len(await ledger.record([new(1)])) == 1
        with pytest.raises(LedgerUnsafe):
            await opened(link)


# --- network file systems -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"])
async def test_a_network_file_system(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """No ledger is begun or written there, and no file is put there."""
    monkeypatch.setattr(file_safety, "file_system_of", lambda *_: kind)
    with pytest.raises(LedgerUnsafe) as caught:
        await opened(path)
    assert caught.value.where == str(path)
    assert caught.value.detail == (
        f"it is on a network file system ({kind}), where SQLite's write-ahead log does not work"
    )
    assert caught.value.advice == "Put the ledger on a disk of this machine"
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["ext4", "overlay", "tmpfs", "btrfs", "9p", "virtiofs", "fuse", "fuse.unknown", None])
async def test_any_other_file_system(path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
    """A file system that is not known to be on a network is used, if SQLite can use it."""
    monkeypatch.setattr(file_safety, "file_system_of", lambda *_: kind)
    assert await opened(path) == 0


async def test_reading_on_a_network_file_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed ledger can be read there. One with a log cannot, because another machine may be writing it."""
    await filled(path)
    monkeypatch.setattr(file_safety, "file_system_of", lambda *_: "nfs")
    assert await opened(path, read_only=True) == 1
    log = Path(f"{path}-wal")
    log.touch()
    with pytest.raises(LedgerUnsafe) as caught:
        await opened(path, read_only=True)
    assert caught.value.advice == "Look at it on the machine that writes it, or at a copy made after it was closed"


async def test_a_closed_ledger_on_a_network_file_system_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only reading is allowed without a log."""
    await filled(path)
    monkeypatch.setattr(file_safety, "file_system_of", lambda *_: "nfs")
    with pytest.raises(LedgerUnsafe):
        await opened(path)


@needs_proc
async def test_the_file_system_is_that_of_the_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its type is looked up in the mounts of this process, also for a ledger that does not exist yet."""
    mount = mount_id(str(path.parent))
    assert mount is not None
    kind = file_system_of(Path("/proc/self/mountinfo").read_text(), mount)
    assert kind is not None
    monkeypatch.setattr(file_safety, "_NETWORK", {kind})
    with pytest.raises(LedgerUnsafe, match=rf"network file system \({kind}\)"):
        await opened(path)


@needs_proc
async def test_a_mount_whose_name_is_not_utf_8(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strange name in the table of mounts keeps no ledger from being opened, and hides no other mount."""
    mount = mount_id(str(path.parent))
    table = tmp_path / "mountinfo"
    table.write_bytes(f"1 0 0:1 / /caf\xe9 rw - ext4 a rw\n{mount} 0 0:1 / / rw - nfs4 b rw\n".encode("latin-1"))
    read = Path.read_text

    def instead(place: Path, *args: Any, **options: Any) -> str:
        return read(table if str(place) == "/proc/self/mountinfo" else place, *args, **options)

    monkeypatch.setattr(Path, "read_text", instead)
    with pytest.raises(LedgerUnsafe, match=r"network file system \(nfs4\)"):
        await opened(path)
    table.write_bytes(f"{mount} 0 0:1 / /caf\xe9 rw - ext4 a rw\n".encode("latin-1"))
    assert await opened(path) == 0


# --- mounts -------------------------------------------------------------------------------------


def test_the_table_of_mounts() -> None:
    """The type is that of the mount with this ID, and None if there is none."""
    types = [file_system_of(MOUNT_TABLE, mount) for mount in (22, 27, 127, 128, 2, 99)]
    assert types == ["proc", "ext4", "nfs4", "fuse.sshfs", None, None]
    assert file_system_of("", 22) is None
    assert file_system_of("22 no table\n\n", 22) is None


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_file_in_another_mount_than_its_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    """A file that is mounted alone is neither read nor written, and no file is put beside it."""
    await filled(path)
    before = folder_of(path)
    monkeypatch.setattr(file_safety, "mount_id", lambda place: 2 if place == str(path) else 1)
    with pytest.raises(LedgerUnsafe) as caught:
        await opened(path, read_only=read_only)
    assert caught.value.where == str(path)
    assert caught.value.detail == (
        "it is mounted alone, as a single file, so its -wal and -lock are not those of other processes"
    )
    assert caught.value.advice == "Mount the folder that contains it, and open it in that folder"
    assert folder_of(path) == before


async def test_a_system_that_does_not_tell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, or with another system's, there is no refusal."""
    monkeypatch.setattr(file_safety, "mount_id", lambda _: None)
    assert await opened(path) == 0
    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(OSError("no /proc")))
    assert mount_id(str(path)) is None
    assert await opened(path) == 0
    monkeypatch.undo()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "pos:\t0\nflags:\t02\n")
    assert mount_id(str(path)) is None
    monkeypatch.undo()
    monkeypatch.delattr(os, "O_PATH", raising=False)
    assert mount_id(str(path)) is None


@needs_proc
async def test_a_folder_that_does_not_tell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mount of the folder nothing is compared with the mount of the file."""
    await filled(path)
    monkeypatch.setattr(file_safety, "mount_id", lambda place: 2 if place == str(path) else None)
    assert await opened(path) == 1


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("pos:\t0\nflags:\t010000000\nmnt_id:\t27\nino:\t5\n", 27),
        ("pos:\t0\nmnt_id:\tunknown\nino:\t5\n", None),
        ("mnt_id:\n", None),
        ("mnt_id 27\n", None),
        ("pos:\t7\n", None),
        ("mnt_id: 27: 28\n", None),
        ("", None),
    ],
)
@needs_proc
def test_what_the_system_says_of_a_descriptor(
    path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mount: int | None
) -> None:
    """The ID of the mount is one number in a line of its own (proc_pid_fdinfo(5)). Anything else is no ID."""
    path.touch()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert mount_id(str(path)) == mount


@needs_proc
def test_a_look_at_the_mount_drops_no_lock(path: Path) -> None:
    """The descriptor of the look is not one whose close drops SQLite's locks."""
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        assert mount_id(str(path)) is not None
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert "database is locked" in done.stderr


@needs_proc
def test_a_look_at_the_mount_leaves_no_descriptor(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed, also where the system does not tell."""
    path.touch()
    before = list(Path("/proc/self/fd").iterdir())
    mount_id(str(path))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(OSError("no /proc")))
    mount_id(str(path))
    assert list(Path("/proc/self/fd").iterdir()) == before


@needs_proc
def test_the_id_of_a_mount(path: Path) -> None:
    """A file is in the mount of its folder. What does not exist is in none."""
    assert mount_id(str(path)) is None
    path.touch()
    assert mount_id(str(path)) == mount_id(str(path.parent))
    table = Path("/proc/self/mountinfo").read_text()
    mount = mount_id("/proc")
    assert mount is not None
    assert file_system_of(table, mount) == "proc"


def mounted(mode: str, folder: Path) -> list[str]:
    """Run `mounting_child.py` where it may mount, or skip the test where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare(1)")
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [unshare, "--mount", *rights, sys.executable, str(MOUNTING_CHILD), mode, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=of_a_child())
    if "not mounted" in done.stdout or done.stderr.startswith("unshare:"):
        pytest.skip("mounts are not allowed here")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_file_that_is_mounted_alone(tmp_path: Path) -> None:
    """As `docker run -v ./jobs.ledger:/data/jobs.ledger`: refused to write and to read, while the host goes on."""
    assert mounted("file", tmp_path) == ["LedgerUnsafe", "LedgerUnsafe", "recorded", "2"]


@pytest.mark.parametrize("mode", ["folder", "tmpfs", "overlay", "hidden"])
def test_a_folder_that_is_mounted(tmp_path: Path, mode: str) -> None:
    """A mounted folder is used as any other, also on overlayfs, and there is one writer."""
    assert mounted(mode, tmp_path) == ["recorded", LedgerInUse.__name__, "2"]


def test_a_disk_that_becomes_read_only(tmp_path: Path) -> None:
    """The ledger is read, checked and recovered elsewhere, and a run that would write says so. Then all is as before."""
    assert mounted("read_only_remount", tmp_path) == [
        *("recorded", "LedgerUnwritable", "recorded", "1", "1"),
        *("not-writable", "removed", "1", "there", "True"),
        *("recorded", "2"),
    ]


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """On a real full disk nothing is half kept, also by a recovery. With room, the open ledger goes on."""
    found = mounted("full_disk", tmp_path)
    assert found[:5] == ["LedgerFull", "full", "removed", "True", "True"]
    assert int(found[5]) > 1
    assert found[6:] == ["there"]
