"""How long a call that fails in the ledger is repeated.

Rule 1: a call is repeated for `patience_s`, counted from when it was first due, or from when the ledger began to fail if
that was later. The last try may begin one pause earlier.
Rule 2: pauses grow from a quarter of a second to five seconds. A success resets them.
Rule 3: a permanent error ends the tries: a closed, damaged or foreign ledger, a ledger of another version, a ledger that was
opened read-only, a lost lease, and a value that cannot be kept.
Rule 4: after the watcher is left there is one last try.
Rule 5: an error that goes on is logged once, and again when calls are not repeated. The message of a foreign error is
not logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from pollwise.durable.background_job import pause
from pollwise.durable.recorded_watch import safe_message
from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    LeaseLost,
    LedgerClosed,
    LedgerCorrupt,
    LedgerMissing,
    LedgerTooNew,
    LedgerTooOld,
    LedgerUnwritable,
    NotALedger,
)
from pollwise.model.log_fields import log_fields

__all__ = ["Patience", "Pending", "in_halves"]

T = TypeVar("T")
R = TypeVar("R")

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_PERMANENT = (
    ConfigurationError,
    LeaseLost,
    LedgerClosed,
    LedgerCorrupt,
    LedgerMissing,
    LedgerTooNew,
    LedgerTooOld,
    NotALedger,
)

_log = logging.getLogger(__name__)


async def in_halves(change: Callable[[Sequence[T]], Awaitable[Sequence[T]]], items: Sequence[T]) -> Sequence[T]:
    """The results for both halves of these items, of which one made a call for all of them fail."""
    middle = len(items) // 2
    return [*await change(items[:middle]), *await change(items[middle:])]


class Pending(Protocol):
    """A row that waits to be written. It was first due at `since`. `error` is the error of the last try."""

    since: float
    error: Exception | None


P = TypeVar("P", bound=Pending)


class Patience:
    """Decides which calls are repeated, and when.

    Args:
        what: The written values, as a plural noun for the log.
        patience_s: How long a call is repeated, in seconds.
        now: Returns monotonic seconds.
        closing: Set when the watcher is left.
    """

    def __init__(self, what: str, *, patience_s: float, now: Callable[[], float], closing: asyncio.Event) -> None:
        self._what = what
        self._patience_s = patience_s
        self._now = now
        self._closing = closing
        self._failing_since: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._logged = ""  # the error that goes on

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failing_since is not None

    def succeeded(self) -> None:
        """A call succeeded."""
        self._failing_since = None
        self._pause_s = _FIRST_PAUSE_S
        self._logged = ""

    def failed(self, pending: Sequence[P]) -> tuple[list[P], list[P]]:
        """A call failed with the `error` of each of these. Returns the rows to try again, and the others."""
        now = self._now()
        if self._failing_since is None:
            self._failing_since = now
        again: list[P] = []
        refused: list[P] = []
        for one in pending:
            (again if self._allows(one.error, one.since, now) else refused).append(one)
        for error in {type(one.error): one.error for one in pending}.values():
            self._log(error, len(pending), len(again))
        return again, refused

    async def pause(self) -> None:
        """Wait for the next try, or until the watcher is left."""
        await pause(self._pause_s, self._closing)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    async def call(self, call: Callable[[], Awaitable[R]]) -> R:
        """Return what this call returns; it is repeated while it fails.

        Raises:
            LedgerError: `patience_s` have passed, or the error is permanent.
            ConfigurationError: A value cannot be kept.
        """
        since = self._now()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await call()
            except Exception as exc:
                if not self._allows(exc, since, self._now()):
                    raise
                level = logging.WARNING if pause_s == _FIRST_PAUSE_S else logging.DEBUG
                _log.log(
                    level,
                    "the ledger fails (%s: %s); the call is repeated",
                    type(exc).__name__,
                    safe_message(exc),
                    extra=log_fields(error_type=type(exc).__name__),
                )
            await pause(pause_s, self._closing)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _allows(self, error: Exception | None, since: float, now: float) -> bool:
        if self._closing.is_set() or isinstance(error, _PERMANENT):
            return False
        if isinstance(error, LedgerUnwritable) and error.read_only:
            return False
        failing_since = since if self._failing_since is None else self._failing_since
        return now - max(since, failing_since) < self._patience_s

    def _log(self, error: Exception | None, count: int, again: int) -> None:
        why = f"{type(error).__name__}: {'' if error is None else safe_message(error)}"
        known, self._logged = why == self._logged and again == count, why
        # a lost lease ends the watcher, which raises it
        level = logging.DEBUG if known or isinstance(error, LeaseLost) else logging.WARNING
        _log.log(
            level,
            "the ledger does not take %d %s (%s); %d are tried again",
            count,
            self._what,
            why,
            again,
            extra=log_fields(error_type=type(error).__name__, rows=count),
        )
