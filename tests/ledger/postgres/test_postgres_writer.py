"""Calls that wait together become one statement, and each gets its own result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerFull
from pollwise.ledger.postgres.writer import Writer

SESSION: Any = object()


@attrs.define(eq=False)
class Toy:
    """A kind of call whose rows are its items. `bad` rows make a whole statement fail."""

    urgent: bool = True
    bad: str = ""
    error: Exception = attrs.field(factory=lambda: ConfigurationError("wrong"))
    sent: list[Sequence[Sequence[Any]]] = attrs.field(factory=list)
    gate: asyncio.Event | None = None

    def rows_of(self, items: Sequence[Any], /) -> Sequence[Any]:
        return [(item,) for item in items]

    async def carry_out(self, _session: Any, calls: Sequence[Sequence[Any]], /) -> Sequence[Any]:
        self.sent.append(calls)
        if self.gate is not None:
            await self.gate.wait()
        if any(row == (self.bad,) for call in calls for row in call):
            raise self.error
        return [len(call) for call in calls]


async def test_calls_that_wait_share_a_statement() -> None:
    """While one statement is under way, the next calls come together."""
    writer, toy = Writer(SESSION, linger_s=0.0, name="toy"), Toy(gate=asyncio.Event())
    first = asyncio.ensure_future(writer.call(toy, ["a"]))
    while not toy.sent:
        await asyncio.sleep(0)
    rest = [asyncio.ensure_future(writer.call(toy, [n] * n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    assert toy.gate is not None
    toy.gate.set()
    assert await first == 1
    assert await asyncio.gather(*rest) == [1, 2, 3, 4, 5]
    assert len(toy.sent) == 2
    await writer.aclose()


async def test_the_order_of_kinds_is_kept() -> None:
    """A call of another kind between two is carried out between them."""
    writer, one, other = Writer(SESSION, linger_s=0.0, name="toy"), Toy(), Toy()
    await asyncio.gather(*(writer.call(kind, ["a"]) for kind in (one, one, other, one)))
    assert [len(calls) for calls in one.sent] == [2, 1]
    assert len(other.sent) == 1
    await writer.aclose()


@pytest.mark.looptime
async def test_an_update_waits_for_others(looptime: Any) -> None:
    """A call that is not urgent waits for `linger_s`, unless it is large or an urgent one comes."""
    writer, toy, now = Writer(SESSION, linger_s=0.05, name="toy"), Toy(urgent=False), asyncio.get_running_loop().time
    began = now()
    await asyncio.gather(*(writer.call(toy, [n]) for n in range(10)))
    assert now() - began == pytest.approx(0.05)
    assert len(toy.sent) == 1
    began = now()
    await writer.call(toy, range(100))
    await asyncio.gather(writer.call(toy, ["late"]), writer.call(Toy(), ["urgent"]))
    assert now() == began
    await writer.aclose()


async def test_a_wrong_value_fails_its_own_call_alone() -> None:
    """The other calls of the statement are repeated without it."""
    writer, toy = Writer(SESSION, linger_s=0.0, name="toy"), Toy(bad="x")
    found = await asyncio.gather(*(writer.call(toy, [item]) for item in "abxc"), return_exceptions=True)
    assert [type(one) for one in found] == [int, int, ConfigurationError, int]
    await writer.aclose()


async def test_each_caller_gets_an_error_of_its_own() -> None:
    """Of a statement that fails, every call raises another object, so no traceback grows with the callers."""
    writer, toy = Writer(SESSION, linger_s=0.0, name="toy"), Toy(bad="x", error=LedgerFull("here", "no room"))
    found = await asyncio.gather(*(writer.call(toy, [item]) for item in "axb"), return_exceptions=True)
    assert [str(one) for one in found] == [str(LedgerFull("here", "no room"))] * 3
    assert len({id(one) for one in found}) == 3
    await writer.aclose()


async def test_a_cancelled_caller_changes_nothing_for_others() -> None:
    """The call may be carried out, and the rest goes on."""
    writer, toy = Writer(SESSION, linger_s=0.0, name="toy"), Toy(gate=asyncio.Event())
    both = [asyncio.ensure_future(writer.call(toy, ["a"])) for _ in range(2)]
    await asyncio.sleep(0)
    both[0].cancel()
    assert toy.gate is not None
    toy.gate.set()
    assert await both[1] == 1
    await writer.aclose()
    await writer.aclose()


async def test_callers_do_not_wait_for_a_task_that_was_ended() -> None:
    """At the end of a program all tasks are cancelled: those that wait for a result are, too."""
    writer, toy = Writer(SESSION, linger_s=0.0, name="toy"), Toy(gate=asyncio.Event())
    calling = asyncio.ensure_future(writer.call(toy, ["a"]))
    while not toy.sent:
        await asyncio.sleep(0)
    later = asyncio.ensure_future(writer.call(toy, ["b"]))
    await asyncio.sleep(0)
    writer._task.cancel()
    assert {type(one) for one in await asyncio.gather(calling, later, return_exceptions=True)} == {
        asyncio.CancelledError
    }


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("uc"), st.integers(0, 9_000)), max_size=12))
def test_no_statement_is_too_large(calls: list[tuple[str, int]]) -> None:
    """Calls are grouped up to 10,000 rows. A larger call is a statement of its own."""
    kinds = {"u": Toy(), "c": Toy()}

    async def run() -> None:
        writer = Writer(SESSION, linger_s=0.0, name="toy")
        results = await asyncio.gather(*(writer.call(kinds[kind], range(count)) for kind, count in calls))
        assert results == [count for _, count in calls]
        await writer.aclose()

    asyncio.run(run())
    for kind in kinds.values():
        assert all(sum(map(len, some)) <= 10_000 for some in kind.sent)
