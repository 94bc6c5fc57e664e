"""A ledger whose calls are timed.

Rule 1: calls, results and errors pass unchanged. A lost lease is also reported, before its error is raised. What is not
timed is the ledger's own attribute. `checkpoints.py` times its own calls.
Rule 2: the number of unacknowledged outcomes is read once, then counted on. It is read again after rows were opened again,
because an outcome that is removed may have been acknowledged or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from pollwise.core.counters import Row, add_to, histogram
from pollwise.ledger import LeaseLost, Ledger, NewWatch, Recorded
from pollwise.model.stats import REQUEST_BOUNDS, LedgerStats

__all__ = ["LedgerCounts", "timed_ledger", "untimed"]

_TIMED: Final = frozenset(
    {"record", "conclude", "acknowledge", "reopen", "relocate", "intend_submits", "forget_submits"}
)


class LedgerCounts:
    """The calls of a ledger by one watcher.

    Args:
        endpoint: The name of the watcher's endpoint.
        account: Its account.

    Attributes:
        errors: How many calls failed, by name and by the class name of the error.
        rows: A row of durations for each name of a call.
        unacknowledged: Outcomes that were not acknowledged, or None if that is not known.
    """

    def __init__(self, endpoint: str, account: str) -> None:
        self._of = endpoint, account
        self.rows: defaultdict[str, Row] = defaultdict(lambda: [*[0] * (len(REQUEST_BOUNDS) + 1), 0.0])
        self.errors: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.unacknowledged: int | None = None

    def stats(self, backlog: Mapping[str, int]) -> LedgerStats:
        """These counts as one value. Any thread may call it."""
        return LedgerStats(
            operations={name: histogram(row, REQUEST_BOUNDS) for name, row in list(self.rows.items())},
            errors=dict(self.errors),
            backlog=backlog,
            unacknowledged=self.unacknowledged,
        )

    async def count_unacknowledged(self, ledger: Ledger) -> None:
        """Ask the ledger. What it raises is no fault of a watch, so the number is unknown then."""
        self.unacknowledged = None
        count: Callable[[str, str], Awaitable[int | None]] | None = getattr(ledger, "count_unacknowledged", None)
        if count is None:
            return
        try:
            self.unacknowledged = await count(*self._of)
        except Exception as exc:  # noqa: BLE001  # foreign code
            self.errors["count_unacknowledged", type(exc).__name__] += 1

    def add_unacknowledged(self, count: object, sign: int) -> None:
        """Count outcomes that the ledger has written (`sign` 1) or acknowledged (-1)."""
        if self.unacknowledged is not None and isinstance(count, int):
            self.unacknowledged = max(0, self.unacknowledged + sign * count)


def timed_ledger(
    ledger: Ledger,
    counts: LedgerCounts,
    now: Callable[[], float],
    on_lease_lost: Callable[[LeaseLost], object] = lambda _: None,
) -> Ledger:
    """The same ledger, with `counts` of its calls. `now` returns monotonic seconds."""
    return cast("Ledger", _TimedLedger(ledger, counts, now, on_lease_lost))


def untimed(ledger: Ledger) -> Ledger:
    """The caller's own ledger."""
    return ledger.ledger if isinstance(ledger, _TimedLedger) else ledger


class _TimedLedger:
    def __init__(
        self,
        ledger: Ledger,
        counts: LedgerCounts,
        now: Callable[[], float],
        on_lease_lost: Callable[[LeaseLost], object],
    ) -> None:
        self.ledger = ledger
        self._counts = counts
        self._now = now
        self._on_lease_lost = on_lease_lost

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.ledger, name)
        return partial(self._timed, name, found) if name in _TIMED else found

    async def _timed(self, name: str, call: Callable[[Any], Awaitable[Any]], items: Any, /) -> Any:
        counts, began = self._counts, self._now()
        try:
            result = await call(items)
        except Exception as exc:
            counts.errors[name, type(exc).__name__] += 1
            if isinstance(exc, LeaseLost):
                self._on_lease_lost(exc)
            raise
        finally:
            add_to(counts.rows[name], self._now() - began, REQUEST_BOUNDS)
        if name == "record":  # the row of a job that was over in the reply to its start has an outcome
            counts.add_unacknowledged(sum(map(_adds_outcome, items, result)), 1)
        elif name == "conclude":
            counts.add_unacknowledged(result, 1)
        elif name == "acknowledge":
            counts.add_unacknowledged(result, -1)
        elif name == "reopen":
            await counts.count_unacknowledged(self.ledger)
        return result


def _adds_outcome(row: NewWatch, recorded: Recorded) -> bool:
    return row.outcome is not None and recorded.known is None
