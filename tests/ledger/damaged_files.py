"""Ledgers with known rows, ways to damage their files, and what is saved of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ledger_values import new, raw, success

from pollwise.ledger import SqliteLedger
from pollwise.ledger.recovery import Survey, check_ledger, recover_ledger

SAMPLES = Path(__file__).parents[1] / "samples" / "ledger"
PAGE = 4096
LEAF_OF_A_TABLE = 0x0D  # sqlite.org/fileformat2.html
ROWS = 400


_made: dict[int, bytes] = {}


async def filled(path: Path, rows: int = ROWS) -> bytes:
    """A closed ledger without a log. The first half of its watches has outcomes."""
    if rows not in _made:
        async with SqliteLedger(path) as ledger:
            await ledger.record([new(number) for number in range(1, rows + 1)])
            await ledger.conclude([success(number) for number in range(1, rows // 2 + 1)])
        raw(path, "PRAGMA journal_mode = DELETE")
        Path(f"{path}-lock").unlink()
        _made[rows] = path.read_bytes()
    path.write_bytes(_made[rows])
    return _made[rows]


async def exported(path: Path) -> bytes:
    async with SqliteLedger(path, read_only=True) as ledger:
        return b"".join([lines async for lines in ledger.export(include_open=True)])


def saved(path: Path) -> Survey:
    """What `recover` saves. `check` says the same, and neither changes the file."""
    fresh = path.with_name("new.ledger")
    before = path.read_bytes()
    survey = check_ledger(str(path))
    assert recover_ledger(str(path), str(fresh)) == survey
    assert path.read_bytes() == before
    assert check_ledger(str(fresh)) == Survey(sound=survey.sound, damaged=[], faults=[])
    assert raw(fresh, "SELECT count(*) FROM watches") == [(survey.sound,)]
    return survey


def page_of(data: bytes, text: bytes) -> int:
    """Where the page of the table begins that has this text."""
    return next(at for at in range(0, len(data), PAGE) if data[at] == LEAF_OF_A_TABLE and text in data[at : at + PAGE])


def cells(data: bytes) -> Iterator[tuple[int, int]]:
    """Each row's number below 128, and where in the file this number is."""
    leaves = (at for at in range(0, len(data), PAGE) if data[at] == LEAF_OF_A_TABLE)
    for page in (at for at in leaves if b"ZX-" in data[at : at + PAGE]):
        for n in range(int.from_bytes(data[page + 3 : page + 5], "big")):
            place = page + int.from_bytes(data[page + 8 + 2 * n : page + 10 + 2 * n], "big")
            while data[place] >= 0x80:  # the size of the row
                place += 1
            if data[place + 1] < 0x80:
                yield data[place + 1], place + 1


def root_of(path: Path, name: str) -> int:
    ((root,),) = raw(path, f"SELECT rootpage FROM sqlite_schema WHERE name = '{name}'")  # noqa: S608
    return (int(root) - 1) * PAGE


def overwritten(path: Path, place: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[place : place + len(data)] = data
    path.write_bytes(whole)
