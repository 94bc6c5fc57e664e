"""How long a call is repeated: a property of times and errors, and the pauses between tries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.durable import Patience
from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    LeaseLost,
    LedgerClosed,
    LedgerCorrupt,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerTooNew,
    LedgerTooOld,
    LedgerUnreachable,
    LedgerUnsafe,
    LedgerUnwritable,
    NotALedger,
    Shard,
)

PASSING = [
    LedgerInUse("p"),
    LedgerFull("p", "disk full"),
    LedgerFailed("p", "I/O error"),
    LedgerUnwritable("p", "too many open files"),
    LedgerUnsafe("p", "its -wal was deleted", "Repeat the call"),
    LedgerUnreachable("p", "connection refused"),
    OSError("of a foreign ledger"),
]
LASTING = [
    LedgerClosed("p", "closed"),
    LedgerCorrupt("p", "cut short"),
    LedgerMissing("p"),
    LedgerTooNew("p", 9, 3),
    LedgerTooOld("p", 2, 3),
    LeaseLost("p", Shard("toy"), "its epoch is over"),
    NotALedger("p", "a picture"),
    LedgerUnwritable("p", "opened with read_only=True", read_only=True),
    ConfigurationError("a value cannot be kept"),
]


@attrs.define(eq=False)
class Row:
    since: float
    error: Exception | None = attrs.field(factory=lambda: LedgerInUse("p"))


class Hand:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def patience(now: Callable[[], float], patience_s: float = 60.0, *, closing: bool = False) -> Patience:
    event = asyncio.Event()
    if closing:
        event.set()
    return Patience("rows", patience_s=patience_s, now=now, closing=event)


@given(
    st.lists(st.floats(0, 300), min_size=1), st.floats(0.1, 100), st.lists(st.floats(0, 20), min_size=1, max_size=30)
)
def test_each_row_is_tried_for_as_long(sinces: list[float], patience_s: float, steps: list[float]) -> None:
    """A row is refused, once, when both the row and the failure are `patience_s` old."""
    clock = Hand()
    clock.now = began = max(sinces)
    under = patience(clock, patience_s)
    rows = [Row(since) for since in sinces]
    for step in steps:
        again, over = under.failed(rows)
        assert sorted(map(id, again + over)) == sorted(map(id, rows))
        assert all(clock.now - max(row.since, began) < patience_s for row in again)
        assert all(clock.now - max(row.since, began) >= patience_s for row in over)
        assert under.failing
        rows = again
        clock.now += step
    under.succeeded()
    assert not under.failing
    assert under.failed([fresh := Row(clock.now)]) == ([fresh], [])


@pytest.mark.parametrize("error", LASTING)
def test_what_lasts_is_not_tried_again(error: Exception) -> None:
    """Trying again mends no closed, damaged, foreign or read-only ledger."""
    row = Row(0.0, error)
    assert patience(Hand()).failed([row]) == ([], [row])


@pytest.mark.parametrize("error", PASSING)
def test_leaving_allows_no_further_try(error: Exception) -> None:
    """What passes by itself is tried again, unless the watcher is left."""
    row = Row(0.0, error)
    assert patience(Hand()).failed([row]) == ([row], [])
    assert patience(Hand(), closing=True).failed([row]) == ([], [row])


def failing(error: Exception, times: int) -> Callable[[], Awaitable[int]]:
    tries = 0

    async def call() -> int:
        nonlocal tries
        tries += 1
        if tries <= times:
            raise error
        return tries

    return call


@pytest.mark.looptime
@pytest.mark.parametrize("error", PASSING)
async def test_a_call_is_made_again(error: Exception) -> None:
    """With pauses that grow to five seconds."""
    now = asyncio.get_running_loop().time
    assert await patience(now).call(failing(error, 7)) == 8
    assert now() == pytest.approx(0.25 + 0.5 + 1 + 2 + 4 + 5 + 5)


@pytest.mark.looptime
async def test_a_call_that_keeps_failing_raises_its_last_error() -> None:
    """After the patience, with the ledger's own error."""
    now = asyncio.get_running_loop().time
    with pytest.raises(LedgerInUse):
        await patience(now, 20.0).call(failing(LedgerInUse("p"), 1_000))
    assert 20 <= now() < 25


@pytest.mark.looptime
@pytest.mark.parametrize("error", LASTING)
async def test_a_call_that_cannot_succeed_raises_at_once(error: Exception) -> None:
    """No call waits a minute for a closed ledger."""
    now = asyncio.get_running_loop().time
    with pytest.raises(type(error)):
        await patience(now).call(failing(error, 1_000))
    assert now() == 0.0


@pytest.mark.looptime
async def test_trouble_ends_with_a_success() -> None:
    """The next trouble begins with a short pause again."""
    now = asyncio.get_running_loop().time
    under = patience(now)
    for _ in range(5):
        under.failed([Row(now())])
        await under.pause()
    assert now() == pytest.approx(0.25 + 0.5 + 1 + 2 + 4)
    under.succeeded()
    under.failed([Row(now())])
    await under.pause()
    assert now() == pytest.approx(8.0)
