# A test that looks at files and processes has its loop to itself, so it may block it.
# ruff: noqa: ASYNC221

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from ledger_values import ENDPOINT, acks, every, new, raw

from pollwise.ledger import LedgerFailed, OpenWatch, OutcomeKind, SqliteLedger

CHILD = Path(__file__).with_name("ledger_child.py")
BATCH = 10
KILLED_AFTER_LINES = [1, 7, 40, 90, 153]


def work_until_killed(path: Path, first: int, lines: int) -> list[list[str]]:
    """Let another process work, kill it right after it promised something, and return all that it promised."""
    with subprocess.Popen(
        [sys.executable, CHILD, "work", path, str(first)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        written = [other.stdout.readline() for _ in range(lines)]
        other.kill()
        written += [line for line in other.stdout if line.endswith("\n")]
    return [line.split() for line in written]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_gone_is_noticed(path: Path, replaced: bool) -> None:
    """SQLite would go on writing a deleted file, so each write is an error."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        elsewhere = path.with_name("elsewhere")
        path.rename(elsewhere)
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(LedgerFailed, match="deleted, moved or replaced"):
            await ledger.record([new(2)])
        elsewhere.replace(path)
        await ledger.record([new(3)])
    async with SqliteLedger(path) as ledger:
        assert [known.keys["job_id"] for known in await every(ledger.open_watches(ENDPOINT))] == ["ZX-1", "ZX-3"]


async def test_nothing_promised_is_lost(path: Path) -> None:
    """Killed at any moment: every promise is kept, no call is half done, and what was acknowledged is so once."""
    promised: list[list[str]] = []
    for run, lines in enumerate(KILLED_AFTER_LINES):
        promised += work_until_killed(path, 1_000_000 * run, lines)
    kept = {
        word: {int(number) for name, *numbers in promised if name == word for number in numbers}
        for word in ("recorded", "updated", "concluded")
    }
    acknowledged = {int(number) for name, *numbers in promised if name == "acknowledged" for number in numbers[1:]}
    assert all(count == "2" for name, count, *_ in promised if name == "acknowledged")

    async with SqliteLedger(path) as ledger:
        still_open = {watch.id: watch for watch in await every(ledger.open_watches(ENDPOINT))}
        waiting = {known.id: known for known in await every(ledger.unacknowledged(ENDPOINT))}
        assert not acknowledged & waiting.keys()
        assert not kept["concluded"] & still_open.keys()
        assert all(known.outcome is OutcomeKind.SUCCEEDED for known in waiting.values())
        assert all(still_open[number].polls == 7 for number in kept["updated"] & still_open.keys())
        assert await ledger.acknowledge(acks(*sorted(acknowledged))) == 0
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]
    rows = raw(path, "SELECT id, job, polls, outcome, acknowledged FROM watches")
    assert kept["recorded"] <= {row[0] for row in rows}
    assert len(kept["recorded"]) > sum(KILLED_AFTER_LINES)
    whole(rows)


def whole(rows: list[tuple[int, str, int, str | None, int]]) -> None:
    """Every call that touched a row touched all that it named."""
    batches: dict[tuple[str, str], Counter[str]] = {}
    for _, job, polls, outcome, acknowledged in rows:
        keys = json.loads(job)
        seen = batches.setdefault((keys["caller"], keys["batch"]), Counter())
        seen.update(recorded=1, updated=polls > 0, concluded=outcome is not None, acknowledged=acknowledged)
    for seen in batches.values():
        assert seen["recorded"] == BATCH
        assert seen["updated"] in {0, BATCH}
        assert seen["concluded"] in {0, 5}
        assert seen["acknowledged"] in {0, 2}


@pytest.mark.parametrize("room", [140_000, 250_001])
async def test_a_full_disk_and_room_again(path: Path, room: int) -> None:
    """Without room each call raises, nothing is half kept, and with room again the same ledger goes on."""
    done = subprocess.run([sys.executable, CHILD, "fill", path, str(room)], capture_output=True, check=True, text=True)
    story = json.loads(done.stdout)
    assert story["errors"] == ["LedgerFull"] * 10  # five callers, and the same again
    assert len(story["lost"]) == 5
    async with SqliteLedger(path) as ledger:
        found = await every(ledger.open_watches(ENDPOINT))
    assert all(isinstance(watch, OpenWatch) for watch in found)
    batches = Counter(int(watch.keys["batch"]) for watch in found)
    assert batches == dict.fromkeys(story["kept"], BATCH)
    assert raw(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("room", [0, 5_000])
def test_no_room_to_begin(path: Path, room: int) -> None:
    """Where there is no room for a new ledger there is none, not half a one, and with room it is made."""
    command = [sys.executable, CHILD, "begin_without_room", path, str(room)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines() == ["LedgerFull", f"{path.name}-lock", "recorded"]
