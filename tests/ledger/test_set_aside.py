"""A ledger is moved aside, so that another one can begin under its name."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from ledger_values import new

from pollwise.ledger import (
    LedgerCorrupt,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerUnwritable,
    NotALedger,
    SqliteLedger,
)
from pollwise.ledger import set_aside as module
from pollwise.ledger.set_aside import set_aside

CHILD = Path(__file__).with_name("set_aside_child.py")


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    """The file of a closed ledger with three watches."""
    path = tmp_path / "ledger"
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(n) for n in range(3)])
    return path


async def rows_of(path: Path) -> int:
    async with SqliteLedger(path, read_only=True) as ledger:
        return sum([len(lines.splitlines()) async for lines in ledger.export(include_open=True)])


async def test_the_ledger_gets_the_next_free_number(ledger: Path) -> None:
    """It is whole under its new name, and another ledger can begin under the old one. No file is replaced."""
    (ledger.parent / "ledger.2-wal").write_text("of a ledger that was deleted")
    ledger.chmod(0o640)
    assert set_aside(ledger) == f"{ledger}.1"
    assert await rows_of(ledger.parent / "ledger.1") == 3
    assert (ledger.parent / "ledger.1").stat().st_mode & 0o777 == 0o640
    assert set_aside(ledger) is None
    for number in (3, 5):
        async with SqliteLedger(ledger):
            pass
        assert set_aside(ledger, taken=[f"{ledger}.4"]) == f"{ledger}.{number}"
    assert sorted(path.name for path in ledger.parent.iterdir()) == [
        "ledger-lock",
        "ledger.1",
        "ledger.2-wal",
        "ledger.3",
        "ledger.5",
    ]


async def test_what_a_link_leads_to_is_moved(ledger: Path) -> None:
    """The link stays, and leads to the next ledger."""
    link = ledger.parent / "link"
    link.symlink_to(ledger)
    assert set_aside(link) == f"{ledger}.1"
    async with SqliteLedger(link):
        assert ledger.is_file()


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_ledger_in_use_stays(ledger: Path, read_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether another process writes or reads it."""
    monkeypatch.setattr(module, "_PATIENCE_S", 0.01)
    if read_only:
        with closing(sqlite3.connect(ledger)) as reader:  # as another process: no lock of this package
            reader.execute("SELECT count(*) FROM watches").fetchone()
            with pytest.raises(LedgerInUse):
                set_aside(ledger)
    else:
        async with SqliteLedger(ledger):
            with pytest.raises(LedgerInUse):
                set_aside(ledger)
    assert await rows_of(ledger) == 3
    assert not (ledger.parent / "ledger.1").exists()


def test_what_is_no_ledger_stays(tmp_path: Path) -> None:
    """Another file, a device, and an empty file, which may be a ledger that was lost."""
    other = tmp_path / "other"
    other.write_text("x" * 5_000)
    (tmp_path / "empty").touch()
    for path in (other, tmp_path / "empty", Path("/dev/full"), tmp_path):
        with pytest.raises(NotALedger):
            set_aside(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "other"]


def test_a_damaged_ledger_stays(ledger: Path) -> None:
    """With all that is beside it, so that its rows can be recovered."""
    content = bytearray(ledger.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    ledger.write_bytes(content)
    with pytest.raises(LedgerCorrupt):
        set_aside(ledger)
    assert ledger.read_bytes() == content


async def test_a_move_that_fails_leaves_all_as_it_was(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder that cannot be written, or on a full disk."""

    def fails(number: int, *_: object) -> None:
        raise OSError(number, "no")

    for number, error in ((28, LedgerFull), (13, LedgerUnwritable)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", partial(fails, number))
            with pytest.raises(error):
                set_aside(ledger)
        assert await rows_of(ledger) == 3
        assert not (ledger.parent / "ledger.1").exists()


async def test_a_log_that_does_not_go_away_is_not_left_behind(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its newest part the ledger is not moved."""
    monkeypatch.setattr(os.path, "lexists", lambda path: str(path).endswith("-wal"))
    with pytest.raises(LedgerFailed, match="newest part"):
        set_aside(ledger)
    assert ledger.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_kill_at_any_line_loses_nothing(tmp_path: Path) -> None:
    """All rows are in one file, under one of the two names, also if the newest of them were in the log alone."""
    done = subprocess.run([sys.executable, CHILD, tmp_path], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    stays, moved = map(int, done.stdout.split())
    assert stays > 10
    assert moved >= 2
