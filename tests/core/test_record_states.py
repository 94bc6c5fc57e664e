"""The states of a record: the table is whole, and no order of events, crashes and refused writes breaks a promise."""

from __future__ import annotations

from itertools import count

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pollwise.core.record_states import (
    FACTS,
    TRANSITIONS,
    OnDisk,
    RecordEvent,
    RecordState,
    Write,
    continues_row,
    next_state,
)

PROMISES = (OnDisk.ROW, OnDisk.OPEN, OnDisk.OUTCOME, OnDisk.ACKED)


def reachable(start: RecordState) -> set[RecordState]:
    found, new = {start}, [start]
    while new:
        for after in TRANSITIONS[new.pop()].values():
            if after not in found:
                found.add(after)
                new.append(after)
    return found


# --- the table ----------------------------------------------------------------------------------


def test_every_state_has_facts_and_can_be_reached() -> None:
    """No state and no event is there in vain."""
    assert set(FACTS) == set(TRANSITIONS) == set(RecordState) == reachable(RecordState.PENDING)
    assert {event for after in TRANSITIONS.values() for event in after} == set(RecordEvent)


@pytest.mark.parametrize("state", RecordState)
def test_an_event_that_cannot_happen_is_a_bug(state: RecordState) -> None:
    """It raises, and says which event it was and in which state."""
    for event in set(RecordEvent) - set(TRANSITIONS[state]):
        with pytest.raises(AssertionError, match=f"{state.name} got the event {event.name}"):
            next_state(state, event)


@pytest.mark.parametrize("state", RecordState)
def test_once_told_always_told(state: RecordState) -> None:
    """No event takes an outcome back, and no published record is polled or concluded once more."""
    if FACTS[state].published:
        for after in reachable(state):
            assert FACTS[after].published
            assert not FACTS[after].polled
            assert FACTS[after].write is not Write.CONCLUDE


@pytest.mark.parametrize("state", RecordState)
def test_a_row_that_is_known_to_be_there_stays(state: RecordState) -> None:
    """Only a change of an earlier run's row begins from the start, because another process may have made it."""
    for event, after in TRANSITIONS[state].items():
        if FACTS[state].write in {Write.RELOCATE, Write.REOPEN}:
            continue
        assert FACTS[after].has_row >= FACTS[state].has_row, event


@pytest.mark.parametrize("state", RecordState)
def test_every_record_ends(state: RecordState) -> None:
    """From every state there is a way to one in which the outcome is published."""
    assert any(FACTS[after].published for after in reachable(state))


def test_only_an_open_record_is_polled() -> None:
    """Its row is on disk."""
    assert [state for state in RecordState if FACTS[state].polled] == [RecordState.OPEN]
    assert FACTS[RecordState.OPEN].on_disk is OnDisk.OPEN


def test_an_outcome_is_told_only_when_it_is_on_disk_or_will_not_be() -> None:
    """Every event that leads to publishing says that it is on disk, that a write failed, or that the watcher was left."""
    events = RecordEvent
    leading = {
        event
        for state, transitions in TRANSITIONS.items()
        for event, after in transitions.items()
        if FACTS[after].published and not FACTS[state].published
    }
    on_disk = {events.FOUND_ABANDONED, events.FOUND_CONCLUDED, events.OUTCOME_WRITTEN}
    never_on_disk = {events.WRITE_FAILED, events.WRITE_REFUSED, events.FOUND_FOREIGN, events.LEFT, events.DETACHED}
    assert leading == on_disk | never_on_disk
    for event in on_disk:
        assert {transitions[event] for state, transitions in TRANSITIONS.items() if event in transitions} <= {
            RecordState.CONCLUDED,
            RecordState.REOPENING,
            RecordState.RELEASED,
            RecordState.UNRECORDED,
        }


@pytest.mark.parametrize("state", RecordState)
def test_what_writes_to_a_known_row_goes_on_from_it(state: RecordState) -> None:
    """Each way from a row that the ledger had to a state that writes to it, before anything is published."""
    of_a_row = {RecordEvent.FOUND_OPEN, RecordEvent.FOUND_ELSEWHERE, RecordEvent.RELOCATED, RecordEvent.REOPENED}
    for event, after in TRANSITIONS[state].items():
        writes = after in {RecordState.OPEN, RecordState.CONCLUDING}
        assert continues_row(state, event) is (writes and event in of_a_row)


# --- random orders of events, crashes and refused writes ----------------------------------------


@attrs.define
class Row:
    """What the disk has of the job. `outcome` is None while the row is open. `polls` stands for its history."""

    origin: str = "here"
    polls: int = 0
    outcome: int | None = None
    abandoned: bool = False
    acked: bool = False


@attrs.define
class Memory:
    """What a process has of its watch; all of it is lost in a crash.

    Attributes:
        outcome: The number of the machine's outcome.
        excused: Why the outcome may be published although it is not on disk.
        published: Each outcome that was published.
    """

    state: RecordState = RecordState.PENDING
    outcome: int | None = None
    abandoned: bool = False
    polls: int = 0
    excused: str = ""
    published: list[int] = attrs.field(factory=list)

    @property
    def write(self) -> Write | None:
        return FACTS[self.state].write


class Records(RuleBasedStateMachine):
    """One job, its row, and the processes that watch it one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.row: Row | None = None
        self.memory: Memory | None = None
        self.recorded = False  # a call of `record` has returned
        self.outcomes = count(1)
        self.most_polls = 0
        self.acknowledged: list[int] = []

    def apply(self, event: RecordEvent, outcome: int | None = None, excused: str = "") -> None:
        """Take an event as the driver does."""
        memory = self.watch
        if continues_row(memory.state, event):
            assert self.row is not None
            memory.polls = self.row.polls
        before, memory.state = memory.state, next_state(memory.state, event)
        if not FACTS[before].published:
            if outcome is not None:
                memory.outcome = outcome
            if FACTS[memory.state].published:
                assert memory.outcome is not None
                memory.published.append(memory.outcome)
                memory.excused = excused
        self.recorded |= FACTS[memory.state].has_row and FACTS[memory.state].write not in {
            Write.RELOCATE,
            Write.REOPEN,
        }

    @property
    def watch(self) -> Memory:
        assert self.memory is not None
        return self.memory

    def writing(self) -> bool:
        return self.memory is not None and self.memory.write not in {None, Write.UPDATE, Write.ACKNOWLEDGE}

    # --- the disk ---------------------------------------------------------------------------------

    def carry_out(self) -> RecordEvent:
        """Do what the state asks for, and give the ledger's answer."""
        match self.watch.write:
            case Write.RECORD:
                return self.record()
            case Write.RELOCATE:
                assert self.row is not None
                if self.row.outcome is None:
                    self.row.origin = "here"
                return RecordEvent.RELOCATED
            case Write.REOPEN:
                assert self.row is not None
                if self.row.abandoned:
                    self.row = Row(polls=self.row.polls)
                return RecordEvent.REOPENED
            case _:
                assert self.row is not None
                if self.row.outcome is None:
                    self.row.outcome, self.row.abandoned = self.watch.outcome, self.watch.abandoned
                    self.row.polls = self.watch.polls
                return RecordEvent.OUTCOME_WRITTEN

    def record(self) -> RecordEvent:
        if self.row is None:
            self.row = Row()
            return RecordEvent.ROW_WRITTEN
        if self.row.outcome is not None:
            return RecordEvent.FOUND_ABANDONED if self.row.abandoned else RecordEvent.FOUND_CONCLUDED
        found = {"here": RecordEvent.FOUND_OPEN, "moved": RecordEvent.FOUND_ELSEWHERE}
        return found.get(self.row.origin, RecordEvent.FOUND_FOREIGN)

    # --- what can happen --------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: self.memory is None or FACTS[self.memory.state].published)
    def begin(self) -> None:
        """The job is watched, once more or for the first time."""
        self.memory = Memory()

    @rule()
    @precondition(lambda self: self.memory is None and self.row is not None and self.row.outcome is None)
    def resume(self) -> None:
        """A new process reads the open row."""
        if self.row is not None and self.row.origin == "here":
            self.memory = Memory(state=RecordState.OPEN, polls=self.row.polls)

    @rule(origin=st.sampled_from(["here", "moved", "foreign"]))
    def crash(self, origin: str) -> None:
        """All memory is lost. The next process may have another base URL."""
        self.memory = None
        if self.row is not None and self.row.outcome is None:
            self.row.origin = origin

    @rule()
    @precondition(lambda self: self.memory is not None and FACTS[self.memory.state].polled)
    def poll(self) -> None:
        """The job is polled, and the watch got further."""
        self.watch.polls += 1

    @rule()
    @precondition(lambda self: self.memory is not None and self.memory.state is RecordState.OPEN)
    def checkpoint(self) -> None:
        """How far the watch got is written. A released watch writes no more than it had as an open one."""
        if self.row is not None and self.row.outcome is None:
            self.row.polls = self.watch.polls

    @rule()
    @precondition(writing)
    def write(self) -> None:
        """A write succeeds."""
        self.take(self.carry_out())

    def take(self, event: RecordEvent) -> None:
        row = self.row
        assert row is not None
        if event in {RecordEvent.FOUND_ABANDONED, RecordEvent.FOUND_CONCLUDED}:
            ends = next_state(self.watch.state, event) is RecordState.CONCLUDED
            self.apply(event, row.outcome if ends else None)
        elif event is RecordEvent.FOUND_FOREIGN:
            self.apply(event, self.watch.outcome or next(self.outcomes), "another origin")
        else:
            self.apply(event)

    @rule(carried_out=st.booleans())
    @precondition(writing)
    def fail(self, carried_out: bool) -> None:
        """A write fails, perhaps after it was carried out."""
        if carried_out:
            self.carry_out()
        never_polled = self.watch.state in {RecordState.ENDING, RecordState.LEAVING}
        self.apply(RecordEvent.WRITE_FAILED, excused="it ended before it was polled" if never_polled else "")

    @rule(carried_out=st.booleans())
    @precondition(writing)
    def interrupt(self, carried_out: bool) -> None:
        """The task that writes is cancelled."""
        if carried_out:
            self.carry_out()
        self.apply(RecordEvent.WRITE_INTERRUPTED)

    @rule(carried_out=st.booleans())
    @precondition(lambda self: self.memory is not None and RecordEvent.WRITE_REFUSED in TRANSITIONS[self.memory.state])
    def refuse(self, carried_out: bool) -> None:
        """A write is not tried again."""
        if carried_out:
            self.carry_out()
        self.apply(RecordEvent.WRITE_REFUSED, next(self.outcomes), "refused for good")

    @rule(abandoned=st.booleans())
    @precondition(lambda self: self.memory is not None and RecordEvent.OUTCOME_KNOWN in TRANSITIONS[self.memory.state])
    def end(self, abandoned: bool) -> None:
        """The machine ends. Only a polled job can be over; the others were stopped or their deadline passed."""
        self.watch.outcome = next(self.outcomes)
        self.watch.abandoned = abandoned or not FACTS[self.watch.state].polled
        self.apply(RecordEvent.OUTCOME_KNOWN)

    @rule()
    @precondition(lambda self: self.memory is not None and self.memory.state is RecordState.CONCLUDING)
    def replace(self) -> None:
        """The status cannot be kept, so that the watch is abandoned. A ledger that has kept it once can keep it."""
        if self.row is not None and self.row.outcome is None:
            self.watch.abandoned = True
            self.apply(RecordEvent.OUTCOME_REPLACED, next(self.outcomes))

    @rule(event=st.sampled_from([RecordEvent.LEFT, RecordEvent.DETACHED]))
    def leave(self, event: RecordEvent) -> None:
        """The watcher is left."""
        if self.memory is not None and event in TRANSITIONS[self.memory.state]:
            self.apply(event, next(self.outcomes), "the watcher was left")

    @rule()
    @precondition(lambda self: self.memory is not None and self.memory.state is RecordState.CONCLUDED)
    def acknowledge(self) -> None:
        """The outcome is acknowledged, unless the row was reopened."""
        row, memory = self.row, self.watch
        if row is not None and row.outcome == memory.outcome and not row.acked:
            row.acked = True
            self.acknowledged.append(row.outcome or 0)
            self.apply(RecordEvent.ACKNOWLEDGED)

    # --- what is promised -------------------------------------------------------------------------

    @invariant()
    def no_outcome_is_told_before_it_is_on_disk(self) -> None:
        """It is there, or there is a reason why it never will be."""
        memory = self.memory
        if memory is not None and FACTS[memory.state].published and not memory.excused:
            assert self.row is not None
            assert memory.published == [self.row.outcome]

    @invariant()
    def there_are_never_two_outcomes(self) -> None:
        """A watch publishes one, and that one stays."""
        if self.memory is not None:
            published = FACTS[self.memory.state].published
            assert len(self.memory.published) == published
            assert not published or self.memory.published == [self.memory.outcome]

    @invariant()
    def nothing_that_was_recorded_is_lost(self) -> None:
        """Its row stays, and what is polled is open on disk, so that the next run would go on."""
        assert not self.recorded or self.row is not None
        if self.memory is not None:
            assert self.row is not None or not FACTS[self.memory.state].has_row
            if FACTS[self.memory.state].polled:
                assert self.row is not None
                assert self.row.outcome is None

    @invariant()
    def no_history_gets_shorter(self) -> None:
        """Whatever is written to a row, it goes on from what the row had."""
        polls = 0 if self.row is None else self.row.polls
        assert polls >= self.most_polls
        self.most_polls = polls

    @invariant()
    def no_outcome_is_acknowledged_twice(self) -> None:
        """Whatever was written, interrupted and written again."""
        assert len(set(self.acknowledged)) == len(self.acknowledged)

    def teardown(self) -> None:
        """With a ledger that works every record ends, after a few writes."""
        if self.memory is None:
            return
        for _ in range(4):
            if self.watch.state is RecordState.OPEN:
                self.end(abandoned=False)
            elif self.writing():
                self.write()
        assert FACTS[self.watch.state].published
        assert FACTS[self.watch.state].on_disk in PROMISES or self.watch.state is RecordState.UNRECORDED


TestRecords = Records.TestCase
TestRecords.settings = settings(
    max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


@given(st.lists(st.sampled_from(RecordEvent), max_size=30))
def test_no_order_of_events_leaves_the_table(events: list[RecordEvent]) -> None:
    """Each either leads to a state, or is refused and changes nothing."""
    state = RecordState.PENDING
    for event in events:
        if event in TRANSITIONS[state]:
            state = next_state(state, event)
        else:
            with pytest.raises(AssertionError):
                next_state(state, event)
    assert state in FACTS
