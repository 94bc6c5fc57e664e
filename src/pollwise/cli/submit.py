"""`pollwise submit`: starts a job.

Rule 1: the start is sent once. If it may have started a job and the reply is lost, the command says so, and what to do.
Rule 2: the job's keys are printed as `pollwise watch` takes them, before anything else is done with the job. If stdout takes
no text, they are on stderr, because nothing else knows them.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from pollwise.cli.error_text import call_error_text
from pollwise.cli.event_text import AnyEndpoint, label_of
from pollwise.cli.exit_status import ExitStatus, UsageError, exit_status_of
from pollwise.cli.follow import follow_watch
from pollwise.cli.job_forms import VENDORS
from pollwise.cli.options import SubmitOptions
from pollwise.cli.orders import order_for
from pollwise.cli.result import check_has_result, deliver_result, fetched_result, in_memory, stopped_text
from pollwise.cli.safe_text import safe
from pollwise.cli.screen import LineScreen, Screen, open_screen
from pollwise.cli.stdout import StderrWriter, StdoutWriter
from pollwise.cli.watch import close_with, watching
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDenied,
    SetupError,
    SubmitDoubtful,
    UnsafeUrl,
    WatchError,
)
from pollwise.model.events import Succeeded
from pollwise.runtime.watch import Watch

__all__ = ["how_to_watch", "job_arguments", "submit_job"]

_GRACE_S: Final = 30.0  # a job that was just started may not be visible yet


async def submit_job(endpoint: AnyEndpoint, order: Mapping[str, Any], options: SubmitOptions) -> ExitStatus:
    """Start a job and print its keys. With `--wait` watch it, and with `--result` write its result.

    Raises:
        UsageError: The endpoint cannot start jobs, or the order is wrong.
        ConfigurationError: The order or the key is wrong. Nothing was sent.
        OSError: The result cannot be written.
    """
    _check(endpoint, options)
    made = order_for(endpoint, order)
    output = _output(options)
    screen: Screen = LineScreen()
    if options.waits:
        on_stderr = options.wants_result
        screen = open_screen(json=output is not None, on_stderr=on_stderr, quiet=options.quiet, output=output)
    fetched = None
    result_bytes = in_memory(endpoint, options) if options.wants_result else None
    started: Watch[Any, Any, Any] | None = None

    def stopped(cancelled: BaseException) -> str:
        if started is None:
            return _unstarted_text(cancelled, options)
        return stopped_text(started, how_to_watch(endpoint, started.job))

    async with watching(
        endpoint, options, screen, result_bytes=result_bytes, grace_s=_GRACE_S, stopped=stopped
    ) as watcher:
        starter: Any = watcher  # the endpoint has the ability, which its type does not show
        try:
            watch: Watch[Any, Any, Any] = await starter.submit(made, key=options.key)
        except ConfigurationError:
            raise
        except WatchError as error:
            return await _not_started(error, endpoint, output)
        started = watch
        await _show(endpoint, watch.job, screen, output)
        if not options.waits:
            return ExitStatus.SUCCEEDED
        screen.add_job(endpoint, watch.job)
        record = await follow_watch(watch, endpoint, screen)
        if options.wants_result and isinstance(record.outcome, Succeeded):
            fetched = await fetched_result(watch, endpoint, options)
    status = await close_with(record, screen)
    return status if fetched is None else await deliver_result(fetched, options)


def _check(endpoint: AnyEndpoint, options: SubmitOptions) -> None:
    if not hasattr(endpoint, "submit_request"):
        declared = ": its declaration has no submit" if isinstance(endpoint, DeclaredEndpoint) else ""
        raise UsageError(f"jobs of {safe(endpoint.name)} cannot be started{declared}")
    if options.wants_result:
        check_has_result(endpoint, options)


def _output(options: SubmitOptions) -> StdoutWriter | None:
    """Writes the JSON of the job: to stderr if stdout has its result. None for a text."""
    if options.wants_result:
        return StderrWriter() if options.as_json else None
    return options.writer() if options.writes_documents else None


async def _show(endpoint: AnyEndpoint, job: Any, screen: Screen, output: StdoutWriter | None) -> None:
    """Print the keys of the job. Raises OSError if stdout cannot be written."""
    text = job_arguments(endpoint, job)
    try:
        if output is not None:
            await output.line(_json(endpoint, endpoint.codec.job_to_keys(job), None))
        else:
            await screen.print_text(Text(text))
    except OSError:
        await StderrWriter().line(f"pollwise: the job was started: {text}")
        raise


def job_arguments(endpoint: AnyEndpoint, job: Any) -> str:
    """The job as the arguments of `pollwise watch`: `exports id=7`, and `oracle-content FILE JOB`."""
    keys = endpoint.codec.job_to_keys(job)
    texts = keys.values() if endpoint.name in VENDORS else [f"{name}={value}" for name, value in keys.items()]
    return " ".join(shlex.quote(safe(text, 10_000)) for text in (endpoint.name, *texts))


def how_to_watch(endpoint: AnyEndpoint, job: Any, before: str = "") -> str:
    """After a signal: what is left, and how to go on. `before` is what else is known."""
    arguments = job_arguments(endpoint, job)
    return f"stopped; {before}the job may still be running. Watch it with the same options: pollwise watch {arguments}"


async def _not_started(error: WatchError, endpoint: AnyEndpoint, output: StdoutWriter | None) -> ExitStatus:
    doubtful = isinstance(error, (SubmitDoubtful, UnsafeUrl))
    message = call_error_text(error)
    if isinstance(error, UnsafeUrl):  # its note names the job, which was started
        message = " ".join([message, *(f"{note}." for note in getattr(error, "__notes__", ()))])
    if output is not None:
        await output.line(_json(endpoint, None, {"type": type(error).__name__, "message": message}))
    else:
        what = "" if doubtful else "no job was started: "
        print(f"pollwise: {label_of(endpoint)}: {what}{safe(message, 2000)}", file=sys.stderr)
    if doubtful:
        return ExitStatus.ABANDONED
    status = exit_status_of(error)
    return status if isinstance(error, (SetupError, AuthenticationError, PermissionDenied)) else ExitStatus.FAILED


def _unstarted_text(cancelled: BaseException, options: SubmitOptions) -> str:
    """What is known of the start if a signal ends the command. `JobWatcher.submit` adds it to the cancellation."""
    doubt = cancelled.__cause__
    if isinstance(doubt, SubmitDoubtful):
        again = "Run the same command to go on" if doubt.repeatable and options.key is not None else None
        return f"stopped; the job may have been started. {again or 'Look on the server whether it is there'}"
    known = getattr(cancelled, "__notes__", None)
    return f"stopped. {known[-1]}" if known else "stopped; no job was started"


def _json(endpoint: AnyEndpoint, job: Mapping[str, str] | None, error: Mapping[str, str] | None) -> str:
    fields = {
        "event": "submit",
        "endpoint": endpoint.name,
        **({"account": endpoint.account} if endpoint.account else {}),
        "job": job,
        "error": error,
    }
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
