"""Checksums: each change of a value changes them, and those on disk stay right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import abandoned, acks, change, new, raw, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Relocation, Renewal, SqliteLedger
from pollwise.ledger.checksums import checksum, register
from pollwise.ledger.schema import MIGRATIONS

VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()


def test_the_encoding_is_that_of_version_4() -> None:
    """These numbers are on the disks of users, so they stay as they are."""
    assert checksum(()) == -5426141060434712860
    assert checksum((1, "a", None, 1.5, b"a", "\u00e9")) == 7845354558646503502


@given(VALUES, VALUES, VALUES)
def test_values_of_another_type_or_place_differ(one: object, two: object, three: object) -> None:
    """NULL, an empty text and 0 differ, and no value can move into its neighbour. A text differs not from its bytes."""
    assert (checksum((one, three)) == checksum((two, three))) is (same(one) == same(two))
    assert (checksum((one, two)) == checksum((two, one))) is (same(one) == same(two))
    assert checksum((one,)) != checksum((one, None))


def same(value: object) -> object:
    return ("bytes", repr(value.encode())) if isinstance(value, str) else (type(value).__name__, repr(value))


@given(st.binary(min_size=1, max_size=200), st.data())
def test_each_flipped_bit_is_seen(text: bytes, data: st.DataObject) -> None:
    """In any place."""
    flipped = bytearray(text)
    flipped[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert checksum((text,)) != checksum((bytes(flipped),))


def test_what_sqlite_cannot_have_is_a_bug() -> None:
    """It raises."""
    with pytest.raises(TypeError, match="no value of SQLite: object"):
        checksum((object(),))


@pytest.mark.parametrize("code", [0xD800, 0xDC80, 0xDCFF])
async def test_a_text_that_utf_8_does_not_have_is_refused(path: Path, code: int) -> None:
    """A lone surrogate is an error of the caller, and nothing is written."""
    char = chr(code)
    with pytest.raises(UnicodeEncodeError):
        checksum((char,))
    async with SqliteLedger(path) as ledger:
        with pytest.raises(ConfigurationError, match=r"a value cannot be kept: .*surrogates not allowed"):
            await ledger.record([new(1), new(2, account=char)])
    assert raw(path, "SELECT * FROM watches") == []


async def test_each_call_leaves_right_checksums(path: Path) -> None:
    """The migration's statement, which computes all of them from the table, changes none."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number, keys={"\u00e9": str(number)}) for number in range(9)])
        await ledger.update([change(1), change(2, seen_s=-0.0), change(3, seen_s=3, polls=True)])
        await ledger.conclude([success(2), abandoned(3, error_message="\ud800"), abandoned(4), success(5, elapsed_s=7)])
        await ledger.acknowledge(acks(2, 3))
        await ledger.reopen([Renewal(id=number, generation=0, deadline=None, origin="http://a") for number in (3, 4)])
        await ledger.relocate([Relocation(id=1, origin="https://b.example")])
    look = "SELECT id, job_checksum, state_checksum FROM watches"
    before = raw(path, look)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        register(db)
        db.execute(MIGRATIONS[3][-1])
    assert raw(path, look) == before
    assert len(before) == 9
