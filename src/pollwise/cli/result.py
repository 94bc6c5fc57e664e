"""`pollwise result`: waits for a job, then fetches what the job made.

Rule 1: stdout has the result alone. The events are on stderr.
Rule 2: bytes never go to a terminal. What is known before the watch is refused before it.
Rule 3: a result is written whole or not at all, and is never larger than `--max-bytes`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from pollwise.cli.atomic_file import atomic_write, check_distinct, check_writable
from pollwise.cli.error_text import call_error_text
from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import ExitStatus, UsageError, exit_status_of
from pollwise.cli.follow import follow_watch
from pollwise.cli.options import ResultOptions, SubmitOptions
from pollwise.cli.safe_text import counted, safe
from pollwise.cli.screen import open_screen
from pollwise.cli.stdout import StdoutWriter
from pollwise.cli.usual_files import read_files
from pollwise.cli.watch import MAY_RUN, close_with, watching
from pollwise.endpoints.declared import DeclaredEndpoint, Fetch
from pollwise.errors import JobError, JobNotFound, PollwiseError
from pollwise.model.events import Succeeded
from pollwise.model.protocols import Endpoint
from pollwise.runtime.watch import Watch

__all__ = [
    "FetchedResult",
    "check_has_result",
    "deliver_result",
    "fetch_result",
    "fetched_result",
    "in_memory",
    "stopped_text",
]

J = TypeVar("J", bound=Hashable)

_IN_MEMORY: Final = 67_108_864  # bytes, as `Limits` has it
_IN_FILE: Final = 1_073_741_824  # bytes; they are streamed


async def fetch_result(endpoint: Endpoint[J, Any], job: J, options: ResultOptions) -> ExitStatus:
    """Watch the job, and write its result.

    Raises:
        UsageError: The endpoint has no result, or the result would go to a terminal as bytes.
        OSError: The result cannot be written.
    """
    check_has_result(endpoint, options)
    screen = open_screen(json=options.as_json, on_stderr=True, quiet=options.quiet)
    watch: Watch[J, Any, Any] | None = None

    def stopped(_: BaseException) -> str:
        return stopped_text(watch)

    result_bytes = in_memory(endpoint, options)
    async with watching(endpoint, options, screen, result_bytes=result_bytes, stopped=stopped) as watcher:
        screen.add_job(endpoint, job)
        watch = watcher.watch(job)
        record = await follow_watch(watch, endpoint, screen)
        fetched = await fetched_result(watch, endpoint, options) if isinstance(record.outcome, Succeeded) else None
    status = await close_with(record, screen)
    return status if fetched is None else await deliver_result(fetched, options)


def stopped_text(watch: Watch[Any, Any, Any] | None, may_run: str = MAY_RUN) -> str:
    """What is known of this job if a signal ends the command. `may_run` is said of a job that is not over."""
    succeeded = watch is not None and isinstance(watch.outcome, Succeeded)
    return "stopped; the job succeeded, and its result was not fetched" if succeeded else may_run


def check_has_result(endpoint: AnyEndpoint, options: ResultOptions) -> None:
    """Find out before the watch rather than after it.

    Raises:
        UsageError: The endpoint has no result, its bytes would go to a terminal, or its file is one that the command reads.
        OSError: The file cannot be written.
    """
    if not hasattr(endpoint, "result_request"):
        declared = ": its declaration has no result" if isinstance(endpoint, DeclaredEndpoint) else ""
        raise UsageError(f"jobs of {safe(endpoint.name)} have no result to fetch{declared}")
    fetch = _fetch_of(endpoint)
    if not options.shows_bytes:
        if options.out is not None:
            raise UsageError("--query and --output table write to stdout; leave -o out, and redirect stdout to a file")
        if fetch is not None and fetch.raw:
            raise UsageError(f"the result of {safe(endpoint.name)} is bytes; --query and --output table need JSON")
    if options.out is not None:
        order = options.order if isinstance(options, SubmitOptions) else None
        check_distinct({**read_files(options.endpoints), "--order": order, "--out": options.out})
        check_writable(options.out)
    elif fetch is not None and fetch.raw and sys.stdout.isatty():
        raise UsageError(f"the result of {safe(endpoint.name)} is bytes; name a file for it with -o FILE")


@attrs.frozen(kw_only=True)
class FetchedResult:
    """A result in memory, or the size of one that is in its file, or the error."""

    value: Any = None
    size: int | None = None
    error: PollwiseError | None = None


async def fetched_result(watch: Watch[Any, Any, Any], endpoint: AnyEndpoint, options: ResultOptions) -> FetchedResult:
    """Fetch the result of a job that has succeeded. Raises OSError if the file cannot be written."""
    try:
        if options.out is not None and _is_streamed(endpoint, options.out):
            return FetchedResult(size=await watch.save_result(options.out, max_bytes=options.max_bytes or _IN_FILE))
        return FetchedResult(value=await watch.result())
    except PollwiseError as error:
        return FetchedResult(error=error)


async def deliver_result(fetched: FetchedResult, options: ResultOptions) -> ExitStatus:
    """Write the result, and return the exit status. Raises UsageError for bytes on a terminal, and OSError."""
    if fetched.error is not None:
        failed = isinstance(fetched.error, JobError)
        what = "" if failed else "the job succeeded, but its result could not be fetched: "
        print(f"pollwise: {what}{safe(call_error_text(fetched.error), 1000)}", file=sys.stderr)
        if failed or isinstance(fetched.error, JobNotFound):  # the job is known, but its result is not
            return ExitStatus.FAILED if failed else ExitStatus.ABANDONED
        return exit_status_of(fetched.error)
    size = fetched.size
    if size is None:
        value = fetched.value
        is_bytes = isinstance(value, bytes)
        data = value if is_bytes else f"{json_text(value)}\n".encode("ascii")
        if is_bytes and not options.shows_bytes:
            raise UsageError(f"the job succeeded, and its result is {counted(len(data), 'byte')}, which are no JSON")
        if options.out is not None:
            with atomic_write(options.out) as write:
                write(data)
        elif is_bytes and sys.stdout.isatty():
            raise UsageError(
                f"the job succeeded, and its result is {counted(len(data), 'byte')}; name a file with -o FILE"
            )
        elif is_bytes:
            await StdoutWriter().data(data)
        else:
            await options.writer(stream=False).line(data[:-1].decode("ascii"))
        size = len(data)
    if options.out is not None and not options.as_json and not options.quiet:
        print(f"pollwise: {counted(size, 'byte')} written to {safe(options.out)}", file=sys.stderr)
    return ExitStatus.SUCCEEDED


def json_text(value: Any) -> str:
    """The value as JSON in ASCII, in which no character acts on a terminal."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=False)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return list(value) if isinstance(value, (set, frozenset)) else str(value)


def _fetch_of(endpoint: AnyEndpoint) -> Fetch | None:
    """The request for the result, if a declaration has it. Its reply is the result, byte by byte."""
    if not isinstance(endpoint, DeclaredEndpoint):
        return None
    declared = endpoint.declaration
    return declared.result if isinstance(declared.result, Fetch) else declared.then


def in_memory(endpoint: AnyEndpoint, options: ResultOptions) -> int | None:
    """Most bytes of a result in memory. None if it is streamed to its file."""
    if options.out is not None and _is_streamed(endpoint, options.out):
        return None
    return options.max_bytes or _IN_MEMORY


def _is_streamed(endpoint: AnyEndpoint, path: Path) -> bool:
    """Whether the reply is the result, byte by byte, and a file is put into its place. A pipe or a device is written into."""
    return _fetch_of(endpoint) is not None and (path.is_file() or not path.exists())
