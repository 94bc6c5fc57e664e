"""A watch that has a row in a ledger, or will have one before it is asked about."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol, TypeVar

from pollwise.core.machine import StepResult, WatchMachine
from pollwise.errors import ConfigurationError, LedgerWriteFailed, WatcherClosed
from pollwise.ledger import LedgerError
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.tracebacks import strip_tracebacks
from pollwise.runtime.watch import Owner, Watch

__all__ = ["RecordedWatch", "is_left_open", "trouble", "words_of"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Notes(Protocol):
    """Who wants to know that a watch got further."""

    def add(self, watch: RecordedWatch[Any, Any], /) -> None:
        """This one did."""
        ...


class RecordedWatch(Watch[J, S]):
    """A watch of a watcher that has a ledger. Its machine may be over before it is: see `outcome`.

    Attributes:
        number: Its row's; 0 while it has none.
    """

    __slots__ = ("_notes", "_told", "number")

    def __init__(self, machine: WatchMachine[J, S], keeper: Owner, notes: Notes, number: int = 0) -> None:
        super().__init__(machine, keeper)
        self._notes = notes
        self._told: Outcome[J, S] | None = None
        self.number = number

    @property
    def outcome(self) -> Outcome[J, S] | None:
        """The one terminal event, once it is on disk; None while the watch goes on."""
        return self._told

    def tell(self, news: StepResult, now: float) -> None:
        """Something happened: note it, and let everybody know who waits for it."""
        self._notes.add(self)
        super().tell(news, now)

    def take_up(self, machine: WatchMachine[J, S], now: float) -> None:
        """It turns out that this watch was begun before."""
        self.machine = machine
        if machine.phase is not None:
            super().tell(StepResult.PROGRESSED, now)

    def conclude(self, outcome: Outcome[J, S], now: float) -> None:
        """This is how it ended, for everybody to know."""
        self._told = outcome
        super().tell(StepResult.OVER, now)


def is_left_open(outcome: Outcome[Any, Any]) -> bool:
    """Whether an outcome only says that this process stopped looking, so that the ledger's row stays open."""
    return isinstance(outcome, Abandoned) and isinstance(outcome.error, WatcherClosed)


def trouble(watch: RecordedWatch[J, S], exc: Exception, now: float, *, asked: bool = True) -> Abandoned[J, S]:
    """What is told in place of what could not be written down; `asked` as in `LedgerWriteFailed`."""
    error = LedgerWriteFailed(watch.job, type(exc).__name__, words_of(exc), asked)
    error.__cause__ = strip_tracebacks(exc)
    return watch.machine.abandoned(error, now=now)


def words_of(exc: Exception) -> str:
    """What a ledger's error says. A stranger's may hold anything, so it is not repeated."""
    return str(exc) if isinstance(exc, (LedgerError, ConfigurationError)) else "see __cause__"
