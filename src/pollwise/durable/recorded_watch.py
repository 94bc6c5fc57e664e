"""A watch that has a row in a ledger, or will have one before its job is polled.

Rule 1: only the machine has the outcome. The record's state says whether it may be published.
Rule 2: this file alone uses what a record adds to a watch. The other files of `durable/` call its functions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Protocol, TypeVar

from pollwise.core.machine import WatchMachine
from pollwise.core.record_states import FACTS, Facts, RecordEvent, RecordState, Write, next_state
from pollwise.core.watch_state import StepResult
from pollwise.errors import ConfigurationError, LedgerWriteFailed, WatcherClosed
from pollwise.ledger import LedgerError
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.tracebacks import strip_tracebacks
from pollwise.runtime.driven_watch import DrivenWatch, Owner

__all__ = [
    "RecordedWatch",
    "advance",
    "continue_from",
    "end_from",
    "facts_of",
    "is_left_open",
    "on_machine_end",
    "publish_outcome",
    "row_id_of",
    "rows_to_update",
    "safe_message",
    "set_row_id",
    "state_of",
    "write_failed",
]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Progress(Protocol):
    """Notes which watches got further."""

    def add(self, watch: RecordedWatch[Any, Any], /) -> None:
        """The state of this watch has changed."""
        ...


class RecordOwner(Protocol):
    """Records what happens to a watch."""

    @property
    def checkpoints(self) -> Progress:
        """Notes which watches got further."""
        ...

    def on_machine_end(self, watch: RecordedWatch[Any, Any], /) -> None:
        """The machine of this watch has come to an outcome."""
        ...


class RecordedWatch(DrivenWatch[J, S]):
    """A watch of a watcher that has a ledger. Its outcome is published when it is on disk."""

    __slots__ = ("_recorder", "_row_id", "_state")

    notes_every_poll = True

    def __init__(
        self, machine: WatchMachine[J, S], owner: Owner, recorder: RecordOwner, row_id: int | None = None
    ) -> None:
        super().__init__(machine, owner)
        self._recorder = recorder
        self._row_id = row_id
        self._state = RecordState.PENDING if row_id is None else RecordState.OPEN

    @property
    def outcome(self) -> Outcome[J, S] | None:
        """The one terminal event, or None until it is on disk."""
        return self.machine.outcome if FACTS[self._state].published else None

    def notify(self, step: StepResult, now: float) -> None:
        """A poll gave this result: note it for the ledger, and notify subscribers."""
        self._recorder.checkpoints.add(self)
        super().notify(step, now)


# --- the internals, for the other files of durable/ ---------------------------------------------


def on_machine_end(watch: DrivenWatch[Any, Any]) -> None:
    """The machine of this watch has come to an outcome, which is not published yet."""
    assert isinstance(watch, RecordedWatch)  # noqa: S101  # a watcher with a ledger makes no others
    watch._recorder.on_machine_end(watch)


def state_of(watch: RecordedWatch[Any, Any]) -> RecordState:
    """The state of the record."""
    return watch._state


def facts_of(watch: RecordedWatch[Any, Any]) -> Facts:
    """The facts of the record's state."""
    return FACTS[watch._state]


def advance(watch: RecordedWatch[Any, Any], event: RecordEvent) -> Facts:
    """Put the record into its next state. Only the recorder calls this."""
    watch._state = next_state(watch._state, event)
    return FACTS[watch._state]


def row_id_of(watch: RecordedWatch[Any, Any]) -> int:
    """The ID of the watch's row, which must be on disk."""
    assert watch._row_id is not None  # noqa: S101  # the record's state says that there is a row
    return watch._row_id


def rows_to_update(watches: Iterable[RecordedWatch[J, S]]) -> list[tuple[int, WatchMachine[J, S]]]:
    """Row IDs and machines of those watches whose outcome is not being written."""
    return [
        (watch._row_id, watch.machine)
        for watch in watches
        if FACTS[watch._state].write is Write.UPDATE and watch._row_id is not None
    ]


def set_row_id(watch: RecordedWatch[Any, Any], row_id: int) -> None:
    """The ledger has a row for the job."""
    watch._row_id = row_id


def continue_from(watch: RecordedWatch[J, S], machine: WatchMachine[J, S], now: float) -> None:
    """Continue the watch from the open row that the ledger had for the job."""
    watch.machine = machine
    if machine.phase is not None:
        DrivenWatch.notify(watch, StepResult.PROGRESSED, now)


def end_from(watch: RecordedWatch[J, S], machine: WatchMachine[J, S], now: float) -> None:
    """End the watch, which was ended before it was polled, as if it had continued from the ledger's row."""
    outcome = watch.machine.outcome
    assert isinstance(outcome, Abandoned)  # noqa: S101  # the job was not polled
    machine.replace_outcome(machine.abandoned(outcome.error, now=now))
    watch.machine = machine


def publish_outcome(watch: RecordedWatch[Any, Any], now: float) -> None:
    """Publish the outcome: notify all subscribers."""
    DrivenWatch.notify(watch, StepResult.OVER, now)


# --- outcomes -----------------------------------------------------------------------------------


def is_left_open(outcome: Outcome[Any, Any]) -> bool:
    """Whether an outcome says only that this process stopped polling. Then the ledger's row stays open."""
    return isinstance(outcome, Abandoned) and isinstance(outcome.error, WatcherClosed)


def write_failed(watch: RecordedWatch[J, S], exc: Exception, now: float, *, asked: bool) -> Abandoned[J, S]:
    """The outcome to publish if the real one could not be written. `asked` is as in `LedgerWriteFailed`."""
    error = LedgerWriteFailed(watch.job, type(exc).__name__, safe_message(exc), asked)
    error.__cause__ = strip_tracebacks(exc)
    return watch.machine.abandoned(error, now=now)


def safe_message(exc: Exception) -> str:
    """The message of a ledger's error. The message of a foreign error may hold secrets, so it is not repeated."""
    return str(exc) if isinstance(exc, (LedgerError, ConfigurationError)) else "see __cause__"
