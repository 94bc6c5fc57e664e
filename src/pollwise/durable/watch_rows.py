"""Rows for new watches, and watches from the rows of an earlier run.

Rule 1: nothing here writes or waits.
Rule 2: an open row resumes at its origin, or at a new one if the API has moved. Any other origin is refused.
Rule 3: a row that is opened again has the watcher's whole `timeout_s`, and no failures.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

import attrs

from pollwise.core.call_machine import machine_class
from pollwise.core.identity import Origins
from pollwise.core.machine import WatchMachine
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.durable.codec import (
    conclusion_of,
    deadline_of,
    new_watch,
    outcome_of,
    resume_state_of,
    traceparent_of,
    unreadable_outcome,
    utc_datetime,
)
from pollwise.errors import CallbackFailed
from pollwise.ledger import Concluded, NewWatch, OpenWatch, Relocation, Renewal
from pollwise.model.events import Outcome
from pollwise.model.limits import ReplyLimits
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading

__all__ = ["MachineFactory", "WatchRows"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_LIMITS: Final = ReplyLimits()


@attrs.frozen(kw_only=True)
class MachineFactory:
    """Makes the machines of one watcher.

    Attributes:
        policy: What all watches of the watcher have in common.
        grace_s: Seconds that an overdue watch has for one last poll.
        now: Returns monotonic seconds.
        clock: Returns epoch seconds.
        dice: Returns a random number in [0, 1).
    """

    policy: Policy
    grace_s: float
    now: Callable[[], float]
    clock: Callable[[], float]
    dice: Callable[[], float] = random.random
    _class: type[WatchMachine[Any, Any]] = attrs.field(
        init=False, default=attrs.Factory(lambda factory: machine_class(factory.policy), takes_self=True)
    )

    def new(self, job: J, after_s: float = 0.0, reading: Reading[S] | None = None) -> WatchMachine[J, S]:
        """The machine of a watch that begins now. Its first poll is due in `after_s` seconds.

        `reading` is what the reply to the start of the job says about it. After a final one the machine has its outcome.
        """
        machine = self._class(job, self.policy, now=self.now())
        if reading is not None:
            try:
                dice = 0.0 if reading.final else self.dice()
            except CallbackFailed:  # the first poll reports it
                dice = 0.0
            machine.begin_with(reading, after_s, now=machine.started_at, dice=dice)
        elif after_s > 0.0:
            machine.wait_first(after_s)
        return machine

    def resumed(self, job: J, state: ResumeState[S], after_s: float = 0.0) -> WatchMachine[J, S]:
        """The machine of a watch that is resumed. Its first poll is due in `after_s` seconds."""
        return self._class.resumed(job, self.policy, state, now=self.now(), after_s=after_s, grace_s=self.grace_s)


@attrs.frozen(kw_only=True)
class WatchRows(Generic[J, S]):
    """Translates between the watches of one watcher and rows.

    Attributes:
        endpoint: The endpoint of their jobs.
        origins: The origins of these jobs.
        machines: Makes the machines.
        limits: How large a status and an error may be.
        traces: The traceparent of each open watch that has one. That of a row is added when its watch goes on.
    """

    endpoint: Endpoint[J, S]
    origins: Origins[J]
    machines: MachineFactory
    limits: ReplyLimits = _LIMITS
    traces: dict[J, str] = attrs.Factory(dict)

    def new(self, job: J) -> NewWatch:
        """The row of a watch that begins now. Raises ConfigurationError if the job's keys cannot be kept."""
        return self._row(job, self.machines.clock(), self.machines.policy.timeout_s)

    def resumed(self, job: J, state: ResumeState[S]) -> NewWatch:
        """The row of a watch that is resumed from a token. Raises ConfigurationError as `new` does."""
        allowed_s = None if state.left_s is None else state.age_s + state.left_s
        return self._row(job, self.machines.clock() - state.age_s, allowed_s)

    def _row(self, job: J, first_seen_s: float, timeout_s: float | None) -> NewWatch:
        return new_watch(
            self.endpoint,
            job,
            first_seen_s=first_seen_s,
            timeout_s=timeout_s,
            origin=self.origins.of(job),
            traceparent=self.trace(job),
        )

    def trace(self, job: J) -> str | None:
        """The traceparent of the job's watch, or None."""
        return self.traces.get(job) if self.traces else None

    def started(self, row: NewWatch, machine: WatchMachine[J, S]) -> NewWatch:
        """The row with the outcome of its machine, if the job was over in the reply to its start.

        Without it if the endpoint's codec cannot write the status. Then the outbox reports that.
        """
        outcome = machine.outcome
        if outcome is None:
            return row
        try:
            concluded = conclusion_of(
                0, outcome, self.endpoint, limits=self.limits, traceparent=self.trace(outcome.job)
            )
            return attrs.evolve(row, outcome=concluded)
        except Exception:  # noqa: BLE001  # foreign code
            return row

    def machine(self, job: J, known: OpenWatch | Concluded, after_s: float = 0.0) -> WatchMachine[J, S]:
        """The machine that continues this row. A row with an outcome has been opened again."""
        state = resume_state_of(known, self.endpoint, self.machines.clock(), self.limits)
        if known.cursor is not None and (traceparent := traceparent_of(known)) is not None:
            self.traces[job] = traceparent
        if state.cursor is not None and self.origins.moved(job, known.origin):
            state = attrs.evolve(state, cursor=None)  # a URL in the cursor is one of the old origin
        if isinstance(known, Concluded):
            state = attrs.evolve(state, failures=0, left_s=self.machines.policy.timeout_s)
        return self.machines.resumed(job, state, after_s)

    def outcome(self, job: J, known: Concluded) -> Outcome[J, S]:
        """The outcome of a concluded row."""
        try:
            return outcome_of(known, job, self.endpoint, self.limits)
        except Exception as exc:  # noqa: BLE001  # foreign code
            return unreadable_outcome(known, job, exc)

    def renewal(self, job: J, known: Concluded) -> Renewal:
        """The call that opens the abandoned row of this job again."""
        machines = self.machines
        deadline = deadline_of(utc_datetime(machines.clock()), machines.policy.timeout_s)
        return Renewal(id=known.id, generation=known.generation, deadline=deadline, origin=self.origins.of(job))

    def relocation(self, job: J, known: OpenWatch) -> Relocation | None:
        """The row's new origin, or None if it stays the same.

        Raises:
            OriginChanged: The row has another origin, which is not in `moved_from`.
        """
        origin = self.origins.check(job, known.origin)
        return None if origin is None or origin == known.origin else Relocation(id=known.id, origin=origin)
