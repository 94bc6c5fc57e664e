"""Watches on a screen, and a record of each.

Rule 1: the screen shows exactly the events that `async for` over the watch yields.
Rule 2: a watch that can send no request because of its configuration is a usage error, not an outcome.
Rule 3: an error of the screen, such as a closed stdout, ends all watches with that one error.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

import attrs
from rich.text import Text

from pollwise.cli.event_text import AnyEndpoint, AnyOutcome, job_keys, label_of, state_text, view_of
from pollwise.cli.row_cells import fitted
from pollwise.cli.safe_text import counted, duration
from pollwise.cli.screen import Screen
from pollwise.errors import ConfigurationError
from pollwise.model.events import Abandoned, Progressed, Retrying, Throttled
from pollwise.runtime.watch import Watch
from pollwise.watcher import JobWatcher

__all__ = ["WatchRecord", "follow", "follow_all", "follow_watch", "outcome_text"]

_STATE_CELLS = 12

J = TypeVar("J", bound=Hashable)


@attrs.frozen(kw_only=True)
class WatchRecord:
    """One watch from its beginning to its end. `retries` counts its `Retrying` events."""

    endpoint: AnyEndpoint
    outcome: AnyOutcome
    retries: int


async def follow(watcher: JobWatcher[J, Any], endpoint: AnyEndpoint, job: J, screen: Screen) -> WatchRecord:
    """Watch one job to its outcome and show every event.

    Raises:
        ConfigurationError: No request for this job can be sent.
    """
    return await follow_watch(watcher.watch(job), endpoint, screen)


async def follow_watch(watch: Watch[Any, Any, Any], endpoint: AnyEndpoint, screen: Screen) -> WatchRecord:
    """Show every event of a watch, to its outcome. Raises ConfigurationError as `follow`."""
    retries = 0
    async for event in watch:
        if isinstance(event, Abandoned) and isinstance(event.error, ConfigurationError):
            raise event.error
        await screen.show(endpoint, event)
        match event:
            case Retrying():
                retries += 1
            case Progressed() | Throttled():
                pass
            case outcome:
                return WatchRecord(endpoint=endpoint, outcome=outcome, retries=retries)
    raise AssertionError("a watch ended without an outcome")


async def follow_all(
    watched: Iterable[tuple[JobWatcher[Any, Any], AnyEndpoint, Hashable]], screen: Screen
) -> list[WatchRecord]:
    """Watch several jobs at once, each to its outcome. The records come in the order of the jobs."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(follow(watcher, endpoint, job, screen), name=f"pollwise follow {number}")
                for number, (watcher, endpoint, job) in enumerate(watched)
            ]
    except* OSError as broken:  # all of them come from the same broken pipe, so one is enough
        error = broken.exceptions[0]
        raise error from None
    return [task.result() for task in tasks]


def outcome_text(record: WatchRecord) -> Text:
    """One line of a summary: the outcome of a watch, its duration, its polls and the reason."""
    view = view_of(record.outcome)
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = Text() + fitted(state_text(view.state, ascii_only=not unicode), _STATE_CELLS)
    text.append(f" {label_of(record.endpoint)} {' / '.join(job_keys(record.endpoint, record.outcome.job))}")
    retries = f", {record.retries} of them repeated" if record.retries else ""
    text.append(f" ({duration(view.elapsed_s)}, {counted(view.polls, 'poll')}{retries})", style="dim")
    if view.reason:
        text.append(f": {view.reason}")
    return text
