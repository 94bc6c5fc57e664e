"""One flipped bit anywhere in a ledger is told, or is harmless: it is never silent, and no row comes back changed.

Each flip is read by all calls, and by `pollwise ledger check` and `recover`. The suite flips 60 bits, and 900 with `--slow`.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from ledger_values import NOON, abandoned, acks, change, every, new, raw, success

from pollwise.ledger import LedgerCorrupt, LedgerError, NewWatch, SqliteLedger
from pollwise.ledger.recovery import Survey, check_ledger, recover_ledger

PAGE = 4096
ROWS = 160
GROUPS = [("oracle-content", ""), ("oracle-content", "acme"), ("document360", "")]


def watch(number: int) -> NewWatch:
    endpoint, account = GROUPS[number % 3]
    keys = {"file_id": f"D-{number:05}", "job_id": "ZX"}
    origin = "https://a.example" if number % 2 else None
    deadline = NOON + timedelta(hours=number) if number % 5 else None
    return new(number, endpoint=endpoint, account=account, keys=keys, origin=origin, deadline=deadline)


async def filled(path: Path) -> None:
    """A closed ledger with rows of all kinds, of which some are larger than a page."""
    numbers = range(1, ROWS + 1)
    async with SqliteLedger(path) as ledger:
        await ledger.record([watch(number) for number in numbers])
        await ledger.update([change(number) for number in numbers if number % 4])
        status = orjson.dumps({"progress": "SUCCEEDED", "files": ["x" * 50] * 10})
        large = orjson.dumps({"files": ["y" * 50] * 120})
        await ledger.conclude([success(number, status=status) for number in numbers if number % 3 == 1])
        await ledger.conclude([success(number, status=large) for number in numbers if number % 40 == 3])
        await ledger.conclude([abandoned(number, error_data=b'{"a": 1}') for number in numbers if number % 10 == 5])
        await ledger.acknowledge(acks(*(number for number in numbers if number % 9 == 1)))
    raw(path, "PRAGMA journal_mode = DELETE")  # else what SQLite does at opening could differ from run to run


@attrs.frozen
class Found:
    """What one ledger answers, by row number, and which rows it leaves out."""

    lines: Mapping[int, bytes]
    rows: Mapping[str, dict[int, Any]]
    left_out: frozenset[int]


async def answers(path: Path) -> Found:
    """All that the calls of a ledger say."""
    async with SqliteLedger(path, busy_timeout_s=0.0) as ledger:
        lines = b"".join([chunk async for chunk in ledger.export(include_open=True)]).splitlines()
        still_open = [row for group in GROUPS for row in await every(ledger.open_watches(*group))]
        ended = [row for group in GROUPS for row in await every(ledger.unacknowledged(*group))]
        for group in GROUPS:
            await ledger.durations(*group)
            await ledger.origins(*group)
        left_out = frozenset(row.id for row in ledger.damaged)
    rows = {"open": {row.id: row for row in still_open}, "ended": {row.id: row for row in ended}}
    return Found({number_of(line): line for line in lines}, rows, left_out)


def number_of(line: bytes) -> int:
    return int(orjson.loads(line)["job"]["file_id"].removeprefix("D-"))


async def no_second_row(path: Path, left_out: frozenset[int]) -> None:
    """Each job of a sound row has this row, and no job of a damaged one gets a second row."""
    async with SqliteLedger(path, busy_timeout_s=0.0) as ledger:
        sound = [number for number in range(1, ROWS + 1) if number not in left_out]
        recorded = await ledger.record([watch(number) for number in sound])
        assert [one.id for one in recorded if one.known is not None] == sound
        for number in left_out:
            with pytest.raises(LedgerCorrupt) as caught:
                await ledger.record([watch(number)])
            assert caught.value.rows == (number,)


async def flip(path: Path, place: int, bit: int, known: Found) -> str:
    """Flip one bit of the file, look at it in all ways, and say how it was told."""
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1 << bit
    path.write_bytes(damaged)
    refused = ""
    left_out: frozenset[int] | None = None
    try:
        found = await answers(path)
    except LedgerError as exc:
        refused = type(exc).__name__
        assert path.read_bytes() == damaged
    else:
        left_out = found.left_out
        same(found, known, left_out)
        path.write_bytes(damaged)
    survey = surveyed(path, path.with_name("new.ledger"), damaged)
    if left_out is not None:
        assert survey is not None
        assert {row.id for row in survey.damaged} == left_out
        await no_second_row(path, left_out)
        return "rows by number" if left_out else "harmless"
    if survey is None:
        return f"{refused}, no row saved"
    assert survey.faults or survey.damaged, f"refused as {refused}, and the check says that all is well"
    saved = await answers(path.with_name("new.ledger"))
    assert saved.left_out == frozenset()
    same(saved, known, frozenset(row.id for row in survey.damaged))
    assert len(saved.lines) == survey.sound
    lost = len(known.lines) - survey.sound
    return (
        f"{refused}, all rows saved" if not lost else f"{refused}, all rows but {'one' if lost == 1 else 'some'} saved"
    )


def surveyed(path: Path, fresh: Path, damaged: bytes) -> Survey | None:
    """What `check` and `recover` say, which is the same. None if no row can be read."""
    try:
        survey = check_ledger(str(path))
    except LedgerError as exc:
        with pytest.raises(type(exc)):
            recover_ledger(str(path), str(fresh))
        assert not fresh.exists()
        return None
    finally:
        assert path.read_bytes() == damaged
    saved = recover_ledger(str(path), str(fresh))
    assert path.read_bytes() == damaged
    assert (saved.sound, [row.id for row in saved.damaged]) == (survey.sound, [row.id for row in survey.damaged])
    return saved


def same(found: Found, known: Found, left_out: frozenset[int]) -> None:
    """The rows are those that were written, and each of the others is named."""
    assert found.lines == {number: line for number, line in known.lines.items() if number not in left_out}
    for kind, rows in known.rows.items():
        assert found.rows[kind].items() <= rows.items()  # a row that is left out may be whole in an index
        assert rows.keys() - left_out <= found.rows[kind].keys()


async def flips(folder: Path, count: int, seed: int) -> Counter[str]:
    """So many flips of bits, evenly spread over the pages."""
    dice = random.Random(seed)
    original = folder / "original.ledger"
    await filled(original)
    known = await answers(original)
    assert len(known.lines) == ROWS
    raw(original, "PRAGMA journal_mode = DELETE")
    pages = original.stat().st_size // PAGE
    told: Counter[str] = Counter()
    for number in range(count):
        place = folder / "flipped"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path = place / "jobs.ledger"
        shutil.copy(original, path)
        told[await flip(path, number % pages * PAGE + dice.randrange(PAGE), dice.randrange(8), known)] += 1
    print(f"{pages} pages:", *(f"\n{times:5} {how}" for how, times in told.most_common()))  # noqa: T201
    return told


FEW = 60


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 15))], ids=lambda seed: f"seed{seed}"
)
async def test_a_flipped_bit_is_told_or_harmless(tmp_path: Path, seed: int) -> None:
    """A flip gives a typed error, or rows by their number, or no difference. All other rows are as they were.

    With `--slow` it is all 900 flips, with `-s` their numbers.
    """
    told = await flips(tmp_path, FEW, seed)
    assert told["rows by number"]
    assert told.total() == FEW
