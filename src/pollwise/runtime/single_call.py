"""Drives one call about a job to its end, such as the fetch of a result.

Rule 1: a call is driven by the pool like a watch, so it has the same credentials, retries, deadline, budget, masks and logs.
Rule 2: a call is no watch of the caller's. It has no row in a ledger, and is not counted.
Rule 3: a call has no events that a caller could read. So its failed tries are logged as INFO: one record for each new reason.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Any, Final, TypeVar

from pollwise.core.call_machine import CallMachine, FetchMachine, OnceMachine, SubmitMachine
from pollwise.core.watch_state import StepResult
from pollwise.model.events import Outcome
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import DrivenWatch

__all__ = ["outcome_of_call"]

J = TypeVar("J", bound=Hashable)
R = TypeVar("R")

_log = logging.getLogger(__name__)

_WHAT: Final[dict[type[CallMachine[Any, Any]], str]] = {
    CallMachine: "the status call",
    FetchMachine: "the request for its result",
    OnceMachine: "the cancel request",
    SubmitMachine: "the request to start a job",
}


class _LoggedCall(DrivenWatch[J, R]):
    """A call that logs why it is tried again. `_reason` is the reason that was logged last."""

    __slots__ = ("_kind", "_reason")

    def __init__(self, machine: CallMachine[J, R], dispatcher: Dispatcher[Any, Any]) -> None:
        super().__init__(machine, dispatcher)
        self._kind = type(machine)
        self._reason: str | None = None

    def notify(self, step: StepResult, now: float) -> None:
        if step is StepResult.RETRYING and (reason := str(self.machine.retrying(now).error)) != self._reason:
            self._reason = reason
            _log.info("%s: %s failed, and is sent again: %s", self.job, _WHAT.get(self._kind, "the request"), reason)
        super().notify(step, now)


async def outcome_of_call(dispatcher: Dispatcher[Any, Any], machine: CallMachine[J, R]) -> Outcome[J, R]:
    """Drive the call to its end, and return its outcome. If this is cancelled, the call is stopped.

    Raises:
        WatcherClosed: The watcher is not open any more.
        RuntimeError: This is not the event loop that the watcher was opened in.
    """
    call: DrivenWatch[J, R] = _LoggedCall(machine, dispatcher)
    dispatcher.add_call(call)
    over = dispatcher.loop.create_future()

    def end(_: object) -> None:
        if not over.done():
            over.set_result(None)

    call.on_outcome(end)
    try:
        await over
    finally:
        dispatcher.stop(call)  # which does nothing after the end
    assert machine.outcome is not None  # noqa: S101  # it is over
    return machine.outcome
