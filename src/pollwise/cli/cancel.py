"""`pollwise cancel`: asks the server to stop a job.

Rule 1: the server is asked once. An accepted request is no outcome: the job may go on for a while, or to its end.
Rule 2: with `--wait` the job is watched to its outcome after the server has answered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable
from typing import Any, TypeVar

import attrs
from rich.text import Text

from pollwise.cli.error_text import call_error_text
from pollwise.cli.event_text import AnyEndpoint, job_keys, label_of
from pollwise.cli.exit_status import ExitStatus, UsageError, exit_status_of
from pollwise.cli.follow import follow_watch
from pollwise.cli.options import CancelOptions
from pollwise.cli.safe_text import safe
from pollwise.cli.screen import LineScreen, Screen, open_screen
from pollwise.cli.stdout import StdoutWriter
from pollwise.cli.submit import how_to_watch
from pollwise.cli.watch import close_with, watching
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.errors import (
    AuthenticationError,
    ClockSkewed,
    ConfigurationError,
    PermissionDenied,
    RequestRejected,
    WatchError,
)
from pollwise.model.events import Abandoned, Cancelled
from pollwise.model.protocols import Endpoint
from pollwise.runtime.watch import Watch

__all__ = ["cancel_job"]

J = TypeVar("J", bound=Hashable)

_REFUSALS = (AuthenticationError, ClockSkewed, PermissionDenied, RequestRejected)
_SENTENCES = {
    "accepted": "the server accepted the cancel request",
    "too late": "too late: the server has nothing to cancel, because the job is over or is not known",
    "refused": "the server refused the cancel request",
    "no answer": "the server did not answer the cancel request",
}


@attrs.frozen
class _Answer:
    """What the server said: one of the words of `_SENTENCES`, and the error if there was one."""

    word: str
    error: WatchError | None = None


async def cancel_job(endpoint: Endpoint[J, Any], job: J, options: CancelOptions) -> ExitStatus:
    """Ask the server to cancel the job, and print the answer.

    Raises:
        UsageError: The endpoint cannot cancel.
    """
    if not hasattr(endpoint, "cancel_request"):
        declared = ": its declaration has no cancel" if isinstance(endpoint, DeclaredEndpoint) else ""
        raise UsageError(f"jobs of {safe(endpoint.name)} cannot be cancelled{declared}")
    output = options.writer() if options.writes_documents else None
    screen: Screen = LineScreen()
    if options.wait or output is not None:
        screen = open_screen(json=output is not None, quiet=options.quiet, output=output)
    answer: _Answer | None = None

    def stopped(_: BaseException) -> str:
        return how_to_watch(endpoint, job, "" if answer is not None else f"{_SENTENCES['no answer']}, and ")

    async with watching(endpoint, options, screen, stopped=stopped) as watcher:
        watch = watcher.watch(job)
        if options.wait:
            screen.add_job(endpoint, job)
        answer = await _asked(watch)
        await _show(answer, endpoint, job, screen, output)
        if answer.error is not None:
            return _status_of(answer.error)
        if not options.wait:
            return ExitStatus.SUCCEEDED if answer.word == "accepted" else ExitStatus.FAILED
        record = await follow_watch(watch, endpoint, screen)
    status = await close_with(record, screen)
    if isinstance(record.outcome, Abandoned):
        return status
    return ExitStatus.SUCCEEDED if isinstance(record.outcome, Cancelled) else ExitStatus.FAILED


async def _asked(watch: Watch[Any, Any, Any]) -> _Answer:
    try:
        return _Answer("accepted" if await watch.cancel() else "too late")
    except ConfigurationError:
        raise
    except _REFUSALS as error:
        return _Answer("refused", error)
    except WatchError as error:
        return _Answer("no answer", error)


def _status_of(error: WatchError) -> ExitStatus:
    status = exit_status_of(error)
    return ExitStatus.FAILED if isinstance(error, RequestRejected) else status


async def _show(answer: _Answer, endpoint: AnyEndpoint, job: Any, screen: Screen, output: StdoutWriter | None) -> None:
    message = None if answer.error is None else call_error_text(answer.error)
    if output is not None:
        await output.line(_json(answer, endpoint, job, message))
        return
    text = f"{label_of(endpoint)} {' / '.join(job_keys(endpoint, job))}: {_SENTENCES[answer.word]}"
    if message is None:
        await screen.print_text(Text(text))
    else:
        print(f"pollwise: {text}: {safe(message, 1000)}", file=sys.stderr)


def _json(answer: _Answer, endpoint: AnyEndpoint, job: Any, message: str | None) -> str:
    fields = {
        "event": "cancel",
        "endpoint": endpoint.name,
        **({"account": endpoint.account} if endpoint.account else {}),
        "job": endpoint.codec.job_to_keys(job),
        "answer": answer.word,
        "error": None if answer.error is None else {"type": type(answer.error).__name__, "message": message},
    }
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
