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
from typing import Any

from rich.text import Text

from pollwise.cli.error_text import call_error_text
from pollwise.cli.event_text import AnyEndpoint, label_of
from pollwise.cli.exit_status import ExitStatus, UsageError
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
from pollwise.errors import ConfigurationError, SubmitDoubtful, UnsafeUrl, WatchError
from pollwise.model.events import Succeeded
from pollwise.runtime.watch import Watch

__all__ = ["submit_job"]


async def submit_job(endpoint: AnyEndpoint, order: Mapping[str, Any], options: SubmitOptions) -> ExitStatus:
    """Start a job and print its keys. With `--wait` watch it, and with `--result` write its result.

    Raises:
        UsageError: The endpoint cannot start jobs, or the order is wrong.
        ConfigurationError: The order or the key is wrong. Nothing was sent.
        OSError: The result cannot be written.
    """
    _check(endpoint, options)
    made = order_for(endpoint, order)
    screen: Screen = LineScreen()
    if options.waits:
        screen = open_screen(json=options.json, on_stderr=options.wants_result)
    fetched = None
    result_bytes = in_memory(endpoint, options) if options.wants_result else None
    started: Watch[Any, Any, Any] | None = None

    def stopped(cancelled: BaseException) -> str:
        return _unstarted_text(cancelled) if started is None else stopped_text(started)

    async with watching(endpoint, options, screen, result_bytes=result_bytes, stopped=stopped) as watcher:
        starter: Any = watcher  # the endpoint has the ability, which its type does not show
        try:
            watch: Watch[Any, Any, Any] = await starter.submit(made, key=options.key)
        except ConfigurationError:
            raise
        except WatchError as error:
            return await _not_started(error, endpoint, options)
        started = watch
        await _show(endpoint, watch.job, screen, options)
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


async def _show(endpoint: AnyEndpoint, job: Any, screen: Screen, options: SubmitOptions) -> None:
    """Print the keys of the job. Raises OSError if stdout cannot be written."""
    text = job_arguments(endpoint, job)
    try:
        if options.json:
            writer = StderrWriter() if options.wants_result else StdoutWriter()
            await writer.line(_json(endpoint, endpoint.codec.job_to_keys(job), None))
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


async def _not_started(error: WatchError, endpoint: AnyEndpoint, options: SubmitOptions) -> ExitStatus:
    doubtful = isinstance(error, (SubmitDoubtful, UnsafeUrl))
    message = call_error_text(error)
    if isinstance(error, UnsafeUrl):  # its note names the job, which was started
        message = " ".join([message, *(f"{note}." for note in getattr(error, "__notes__", ()))])
    if options.json:
        writer = StderrWriter() if options.wants_result else StdoutWriter()
        await writer.line(_json(endpoint, None, {"type": type(error).__name__, "message": message}))
    if not options.json:
        what = "" if doubtful else "no job was started: "
        print(f"pollwise: {label_of(endpoint)}: {what}{safe(message, 2000)}", file=sys.stderr)
    return ExitStatus.ABANDONED if doubtful else ExitStatus.FAILED


def _unstarted_text(cancelled: BaseException) -> str:
    """What is known of the start if a signal ends the command. `JobWatcher.submit` adds it to the cancellation."""
    if isinstance(cancelled.__cause__, SubmitDoubtful):
        return "stopped; the job may have been started. Look on the server whether it is there"
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
