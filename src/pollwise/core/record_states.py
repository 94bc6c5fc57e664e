"""The states of a watch's record: what is on disk, and whether its job is polled and its outcome published.

    PENDING -> OPEN -> CONCLUDING -> CONCLUDED -> ACKED

Rule 1: a job is polled only while its record is OPEN.
Rule 2: an outcome is published when it is on disk. It is published without that only if the ledger refused a write for
good, if the watcher was left, or if the watch ended before there was a row.
Rule 3: there is one outcome. Once it may be published, no event changes it.
Rule 4: a row that was written stays. Leaving the watcher is no outcome: the row stays open for the next run (RELEASED).
Rule 5: each write may be repeated, because a call that fails or is cancelled may have been carried out.
Rule 6: the history of a row gets no shorter. Whatever is written to a row of an earlier run goes on from what the row has,
also if the watch was stopped before it was polled (`continues_row`).
Rule 7: a job that the ledger knows gets no second row. An open row goes on, the outcome of a concluded row is published,
and an abandoned row is opened again (REOPENING), which forgets its outcome.

The states and events are data: `FACTS` and `TRANSITIONS`. Crashes need no event. Memory is lost, the row stays, and the
next run begins at PENDING, or at OPEN with the rows that it reads.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = [
    "FACTS",
    "TRANSITIONS",
    "Facts",
    "OnDisk",
    "RecordEvent",
    "RecordState",
    "Write",
    "continues_row",
    "next_state",
]


class RecordState(enum.Enum):
    """How far the record of one watch has got, as this process knows it."""

    __hash__ = (
        object.__hash__
    )  # members are singletons; the hash of an Enum is a call of Python for each look at a table

    PENDING = enum.auto()
    """The row is to be written."""
    RELOCATING = enum.auto()
    """There is an open row with the API's earlier origin. The new origin is to be written."""
    REOPENING = enum.auto()
    """There is a row with an abandoned outcome. It is to be opened again."""
    ENDING = enum.auto()
    """The outcome is known before the row is written. The write under way is awaited."""
    LEAVING = enum.auto()
    """The watcher was left before the row was written. The row is written for the next run."""
    OPEN = enum.auto()
    """There is an open row, and the job is polled."""
    CONCLUDING = enum.auto()
    """The outcome is known, and is to be written."""
    CONCLUDED = enum.auto()
    """The outcome is on disk."""
    ACKED = enum.auto()
    """The outcome is on disk and acknowledged."""
    RELEASED = enum.auto()
    """This process has ended the watch, and its row stays as it is for the next run."""
    UNRECORDED = enum.auto()
    """This process has ended the watch, and has no row for it."""


class RecordEvent(enum.Enum):
    """What happens to a record."""

    __hash__ = object.__hash__

    ROW_WRITTEN = enum.auto()
    """A new row is on disk."""
    FOUND_OPEN = enum.auto()
    """The ledger had an open row for the job."""
    FOUND_ELSEWHERE = enum.auto()
    """The ledger had an open row with an origin from which the API has moved."""
    FOUND_FOREIGN = enum.auto()
    """The ledger had an open row with another origin, and the API has not moved."""
    FOUND_ABANDONED = enum.auto()
    """The ledger had a row with an abandoned outcome."""
    FOUND_CONCLUDED = enum.auto()
    """The ledger had a row with the outcome of a job that is over."""
    RELOCATED = enum.auto()
    """The new origin is on disk."""
    REOPENED = enum.auto()
    """The abandoned row is open again on disk."""
    OUTCOME_KNOWN = enum.auto()
    """The machine came to an outcome."""
    OUTCOME_REPLACED = enum.auto()
    """The outcome cannot be kept as it is, and another one is to be written in its place."""
    OUTCOME_WRITTEN = enum.auto()
    """The outcome is on disk."""
    WRITE_FAILED = enum.auto()
    """A write failed, and may be tried again."""
    WRITE_INTERRUPTED = enum.auto()
    """The task that writes was cancelled. Whether the write was carried out is not known."""
    WRITE_REFUSED = enum.auto()
    """A write failed, and is not tried again."""
    LEFT = enum.auto()
    """The watcher was left, so that the machine's outcome is `WatcherClosed`."""
    DETACHED = enum.auto()
    """The watcher was left, and nothing more is written."""
    ACKNOWLEDGED = enum.auto()
    """The acknowledgement is on disk."""


class OnDisk(enum.Enum):
    """What a state promises about the disk."""

    UNKNOWN = enum.auto()
    """A row of an earlier run, a row of a write that failed, or none."""
    ROW = enum.auto()
    """A row, open or with an outcome."""
    OPEN = enum.auto()
    """A row without an outcome."""
    OUTCOME = enum.auto()
    """A row with the outcome that is published."""
    ACKED = enum.auto()
    """A row with an outcome that is acknowledged."""


class Write(enum.Enum):
    """The ledger's calls that a state asks for, named after the methods of `Ledger`."""

    RECORD = enum.auto()
    RELOCATE = enum.auto()
    REOPEN = enum.auto()
    UPDATE = enum.auto()
    CONCLUDE = enum.auto()
    ACKNOWLEDGE = enum.auto()


@attrs.frozen
class Facts:
    """What holds in one state.

    Attributes:
        on_disk: What is on disk.
        write: The call that is due, or None. `UPDATE` is due when the watch got further.
        polled: Whether the job is polled.
        published: Whether the outcome may be published.
    """

    on_disk: OnDisk
    write: Write | None
    polled: bool
    published: bool

    @property
    def has_row(self) -> bool:
        """Whether the row is known to be on disk."""
        return self.on_disk is not OnDisk.UNKNOWN


_STATE, _EVENT = RecordState, RecordEvent

FACTS: Final[Mapping[RecordState, Facts]] = {
    # state: on disk, write, polled, published
    _STATE.PENDING: Facts(OnDisk.UNKNOWN, Write.RECORD, False, False),
    _STATE.RELOCATING: Facts(OnDisk.OPEN, Write.RELOCATE, False, False),
    _STATE.REOPENING: Facts(OnDisk.ROW, Write.REOPEN, False, False),
    _STATE.ENDING: Facts(OnDisk.UNKNOWN, Write.RECORD, False, False),
    _STATE.LEAVING: Facts(OnDisk.UNKNOWN, Write.RECORD, False, True),
    _STATE.OPEN: Facts(OnDisk.OPEN, Write.UPDATE, True, False),
    _STATE.CONCLUDING: Facts(OnDisk.ROW, Write.CONCLUDE, False, False),
    _STATE.CONCLUDED: Facts(OnDisk.OUTCOME, Write.ACKNOWLEDGE, False, True),
    _STATE.ACKED: Facts(OnDisk.ACKED, None, False, True),
    _STATE.RELEASED: Facts(OnDisk.ROW, Write.UPDATE, False, True),
    _STATE.UNRECORDED: Facts(OnDisk.UNKNOWN, None, False, True),
}

_OF_A_ROW: Final = frozenset({_EVENT.FOUND_OPEN, _EVENT.FOUND_ELSEWHERE, _EVENT.RELOCATED, _EVENT.REOPENED})
"""The row of an earlier run is open."""

_BEFORE_THE_ROW: Final[Mapping[RecordEvent, RecordState]] = {
    _EVENT.WRITE_FAILED: _STATE.PENDING,  # from the start: another process may have changed the row meanwhile
    _EVENT.WRITE_INTERRUPTED: _STATE.PENDING,
    _EVENT.WRITE_REFUSED: _STATE.UNRECORDED,
    _EVENT.OUTCOME_KNOWN: _STATE.ENDING,
    _EVENT.LEFT: _STATE.LEAVING,
    _EVENT.DETACHED: _STATE.UNRECORDED,
}

TRANSITIONS: Final[Mapping[RecordState, Mapping[RecordEvent, RecordState]]] = {
    _STATE.PENDING: {
        _EVENT.ROW_WRITTEN: _STATE.OPEN,
        _EVENT.FOUND_OPEN: _STATE.OPEN,
        _EVENT.FOUND_ELSEWHERE: _STATE.RELOCATING,
        _EVENT.FOUND_FOREIGN: _STATE.UNRECORDED,
        _EVENT.FOUND_ABANDONED: _STATE.REOPENING,
        _EVENT.FOUND_CONCLUDED: _STATE.CONCLUDED,
        **_BEFORE_THE_ROW,
    },
    _STATE.RELOCATING: {_EVENT.RELOCATED: _STATE.OPEN, **_BEFORE_THE_ROW},
    _STATE.REOPENING: {_EVENT.REOPENED: _STATE.OPEN, **_BEFORE_THE_ROW},
    _STATE.ENDING: {
        _EVENT.ROW_WRITTEN: _STATE.CONCLUDING,
        _EVENT.FOUND_OPEN: _STATE.CONCLUDING,
        _EVENT.FOUND_ELSEWHERE: _STATE.CONCLUDING,
        _EVENT.FOUND_FOREIGN: _STATE.UNRECORDED,
        _EVENT.FOUND_ABANDONED: _STATE.CONCLUDED,  # the ledger's outcome says more than that this watch was stopped
        _EVENT.FOUND_CONCLUDED: _STATE.CONCLUDED,
        _EVENT.RELOCATED: _STATE.CONCLUDING,
        _EVENT.REOPENED: _STATE.CONCLUDING,
        _EVENT.WRITE_FAILED: _STATE.UNRECORDED,  # it was never polled, so no row is missing
        _EVENT.WRITE_INTERRUPTED: _STATE.ENDING,
        _EVENT.DETACHED: _STATE.UNRECORDED,
    },
    _STATE.LEAVING: {
        _EVENT.ROW_WRITTEN: _STATE.RELEASED,
        _EVENT.FOUND_OPEN: _STATE.RELEASED,
        _EVENT.FOUND_ELSEWHERE: _STATE.RELEASED,
        _EVENT.FOUND_FOREIGN: _STATE.UNRECORDED,
        _EVENT.FOUND_ABANDONED: _STATE.UNRECORDED,  # it is not open again, so no later run would go on with it
        _EVENT.FOUND_CONCLUDED: _STATE.RELEASED,
        _EVENT.RELOCATED: _STATE.RELEASED,
        _EVENT.REOPENED: _STATE.RELEASED,
        _EVENT.WRITE_FAILED: _STATE.UNRECORDED,
        _EVENT.WRITE_INTERRUPTED: _STATE.LEAVING,
        _EVENT.DETACHED: _STATE.UNRECORDED,
    },
    _STATE.OPEN: {
        _EVENT.OUTCOME_KNOWN: _STATE.CONCLUDING,
        _EVENT.LEFT: _STATE.RELEASED,
        _EVENT.DETACHED: _STATE.RELEASED,
    },
    _STATE.CONCLUDING: {
        _EVENT.OUTCOME_WRITTEN: _STATE.CONCLUDED,
        _EVENT.OUTCOME_REPLACED: _STATE.CONCLUDING,
        _EVENT.WRITE_FAILED: _STATE.CONCLUDING,
        _EVENT.WRITE_INTERRUPTED: _STATE.CONCLUDING,
        _EVENT.WRITE_REFUSED: _STATE.RELEASED,
        _EVENT.DETACHED: _STATE.RELEASED,
    },
    _STATE.CONCLUDED: {_EVENT.ACKNOWLEDGED: _STATE.ACKED},
    _STATE.ACKED: {},
    _STATE.RELEASED: {},
    _STATE.UNRECORDED: {},
}


def next_state(state: RecordState, event: RecordEvent) -> RecordState:
    """The state after this event.

    Raises:
        AssertionError: The event cannot happen in this state. That is a bug of pollwise.
    """
    after = TRANSITIONS[state].get(event)
    if after is None:
        raise AssertionError(f"a record that is {state.name} got the event {event.name}: this is a bug of pollwise")
    return after


def continues_row(state: RecordState, event: RecordEvent) -> bool:
    """Whether the watch goes on from the row that this event is about, because it may write to that row from now on.

    Raises:
        AssertionError: The event cannot happen in this state.
    """
    after = FACTS[next_state(state, event)]
    return event in _OF_A_ROW and not after.published and after.write in {Write.UPDATE, Write.CONCLUDE}
