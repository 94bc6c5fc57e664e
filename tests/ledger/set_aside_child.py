"""Moves a ledger aside and is killed at each line of the code, one after another. Writes how often it was killed before and after the move.

The ledger is as after a crash: its newest rows are in the -wal alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

from ledger_values import new

from pollwise.ledger import SqliteLedger
from pollwise.ledger.set_aside import set_aside

ROWS = 20


async def fill(path: Path) -> None:
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(n) for n in range(ROWS)])
        os._exit(0)  # as killed: the -wal stays


def rows_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM watches").fetchone()[0])


def killed_at(number: int, path: Path) -> bool:
    """Whether the process was killed at this line. False if there are fewer."""
    pid = os.fork()
    if not pid:
        lines = 0

        def trace(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal lines
            if event == "line" and frame.f_code.co_filename.endswith("set_aside.py"):
                lines += 1
                if lines == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        set_aside(path)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def main(folder: Path) -> None:
    crashed = folder / "crashed"
    crashed.mkdir()
    if not os.fork():
        asyncio.run(fill(crashed / "ledger"))
    os.wait()
    assert (crashed / "ledger-wal").stat().st_size
    number, found = 1, {"stays": 0, "moved": 0}
    while True:
        place = folder / str(number)
        shutil.copytree(crashed, place)
        killed = killed_at(number, place / "ledger")
        is_moved = not (place / "ledger").exists()
        assert rows_of(place / ("ledger.1" if is_moved else "ledger")) == ROWS
        if is_moved:
            assert not (place / "ledger-wal").exists()
        elif (place / "ledger.1").exists():
            assert not (place / "ledger.1").stat().st_size
        if not killed:
            break
        found["moved" if is_moved else "stays"] += 1
        number += 1
    assert is_moved
    sys.stdout.write(f"{found['stays']} {found['moved']}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
