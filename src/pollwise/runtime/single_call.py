"""Drives one call about a job to its end, such as the fetch of a result.

Rule 1: a call is driven by the pool like a watch, so it has the same credentials, retries, deadline, budget, masks and logs.
Rule 2: a call is no watch of the caller's. It has no row in a ledger, and is not counted.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

from pollwise.core.call_machine import CallMachine
from pollwise.model.events import Outcome
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import DrivenWatch

__all__ = ["outcome_of_call"]

J = TypeVar("J", bound=Hashable)
R = TypeVar("R")


async def outcome_of_call(dispatcher: Dispatcher[Any, Any], machine: CallMachine[J, R]) -> Outcome[J, R]:
    """Drive the call to its end, and return its outcome. If this is cancelled, the call is stopped.

    Raises:
        WatcherClosed: The watcher is not open any more.
        RuntimeError: This is not the event loop that the watcher was opened in.
    """
    call: DrivenWatch[J, R] = DrivenWatch(machine, dispatcher)
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
