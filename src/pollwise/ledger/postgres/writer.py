"""The task that sends the writes of a ledger to PostgreSQL. It groups calls into statements, and returns their results.

Rule 1: calls are carried out in the order in which they were made. All waiting calls of one kind in a row become one
statement, hence one commit.
Rule 2: a statement that fails makes each of its calls fail, with an error of its own. If a value of one call was wrong, each
call is repeated alone.
Rule 3: no error ends this task. A close ends it, after all earlier calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import Any

import attrs

from pollwise.ledger.errors import is_of_one
from pollwise.ledger.postgres.kinds import Kind, Session
from pollwise.ledger.rows import Row

__all__ = ["Writer"]

_MOST_ROWS = 10_000
_MOST_BYTES = 16_000_000  # of the documents of one statement
_URGENT_ROWS = 100  # a call with this many rows does not wait for others: its commit is a small part of its cost


@attrs.frozen(eq=False)
class _Call:
    kind: Kind
    rows: Sequence[Row]
    future: asyncio.Future[Any]
    size: int


class Writer:
    """Collects calls, and sends them.

    Args:
        session: How a statement is sent.
        linger_s: Seconds that a call that is not urgent waits for others.
        name: Of the task.
    """

    def __init__(self, session: Session, *, linger_s: float, name: str) -> None:
        self._session = session
        self._linger_s = linger_s
        self._waiting: list[_Call] = []
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._serve(), name=name)

    async def call(self, kind: Kind, items: Sequence[Any]) -> Any:
        """The result of a call with these items.

        Raises:
            LedgerError: It failed.
            ConfigurationError: A value cannot be kept.
        """
        rows = kind.rows_of(items)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Call(kind, rows, future, sum(map(_size, rows))))
        if kind.urgent or len(rows) >= _URGENT_ROWS or self._linger_s == 0:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._linger_s, self._flush)
        return await future

    async def aclose(self) -> None:
        """Finish all calls that were made."""
        self._closing = True
        self._flush()
        await asyncio.shield(self._task)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake.set()

    async def _serve(self) -> None:
        calls: list[_Call] = []
        try:
            while not self._closing or self._waiting:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    calls, self._waiting = self._waiting, []
                    for group in _groups(calls):
                        await self._carry_out(group)
        finally:  # the loop cancels this task if it is closed first
            for call in (*calls, *self._waiting):
                call.future.cancel()

    async def _carry_out(self, calls: Sequence[_Call]) -> None:
        try:
            results = await calls[0].kind.carry_out(self._session, [call.rows for call in calls])
        except Exception as exc:  # noqa: BLE001 - rule 3
            if len(calls) > 1 and is_of_one(exc):
                for call in calls:
                    await self._carry_out([call])
                return
            for number, call in enumerate(calls):
                _settle(call.future, exc if number == 0 else _own(exc))
            return
        for call, result in zip(calls, results, strict=True):
            _settle(call.future, result)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():  # the caller was cancelled
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _own(error: Exception) -> Exception:
    """Another exception object with the same content: each caller adds its own traceback."""
    other = copy(error)
    other.__cause__ = error.__cause__
    return other.with_traceback(None)


def _groups(calls: Sequence[_Call]) -> Sequence[Sequence[_Call]]:
    """Calls in a row that go into one statement."""
    groups: list[list[_Call]] = []
    rows = size = 0
    for call in calls:
        rows, size = rows + len(call.rows), size + call.size
        if groups and groups[-1][0].kind is call.kind and rows <= _MOST_ROWS and size <= _MOST_BYTES:
            groups[-1].append(call)
        else:
            groups.append([call])
            rows, size = len(call.rows), call.size
    return groups


def _size(row: Row) -> int:
    return sum(len(value) for value in row if type(value) is bytes)
