"""`pollwise watch`: one job of a real server, to its outcome. The other commands for one job share its steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from pollwise.cli.connections import GRACE_S, transport_for
from pollwise.cli.credential_variables import credential_variables
from pollwise.cli.declared import keys_of
from pollwise.cli.endpoint_names import EndpointNames
from pollwise.cli.event_text import AnyEndpoint, view_of
from pollwise.cli.exec_command import ExecOptions
from pollwise.cli.exit_status import ExitStatus, UsageError, exit_status_for
from pollwise.cli.follow import WatchRecord, follow_watch, outcome_text
from pollwise.cli.options import EndpointOptions, WatchOptions
from pollwise.cli.safe_text import safe
from pollwise.cli.screen import Screen, open_screen
from pollwise.cli.terminal import print_note
from pollwise.cli.vendors import BASE_URLS
from pollwise.model.events import Succeeded
from pollwise.model.limits import Limits
from pollwise.model.protocols import Endpoint
from pollwise.watcher import JobWatcher

__all__ = ["MAY_RUN", "close_with", "named_endpoint", "named_job", "watch_facts", "watch_job", "watching"]

J = TypeVar("J", bound=Hashable)

MAY_RUN: Final = "stopped watching; the job may still be running. Run the same command to go on."
_EXAMPLE: Final = "https://api.example.com"
_NO_EXEC: Final = ExecOptions()
_USUAL_BODY: Final = 1_048_576  # bytes, as the transport has it


def named_endpoint(name: str, options: EndpointOptions) -> AnyEndpoint:
    """The endpoint with this name, whose source is on stderr then.

    Raises:
        UsageError: There is no such endpoint.
        ConfigurationError: A file or a package is wrong, or an environment variable is not set.
    """
    return _names(name, options).endpoint(name)


def named_job(name: str, keys: Sequence[str], options: EndpointOptions) -> tuple[AnyEndpoint, Hashable]:
    """The endpoint with this name, and the job with these KEY=VALUE arguments. Raises as `named_endpoint`, or for a key."""
    names = _names(name, options)
    endpoint = names.endpoint(name)
    form = names.form(name)
    return endpoint, form.job(keys_of(keys, form.key_types or ()))


def _names(name: str, options: EndpointOptions) -> EndpointNames:
    if options.base_url == "" and name not in BASE_URLS:  # usually an empty variable of a script
        raise UsageError(f"--base-url is empty: give the root of {safe(name, 60)}, such as {_EXAMPLE}, or leave it out")
    base_urls = {} if options.base_url is None else {name: options.base_url}
    return EndpointNames(options.endpoints, base_urls=base_urls, account=options.account, quiet=options.quiet)


@asynccontextmanager
async def watching(
    endpoint: Endpoint[J, Any],
    options: WatchOptions,
    screen: Screen,
    *,
    result_bytes: int | None = None,
    grace_s: float | None = None,
    stopped: Callable[[BaseException], str] = lambda _: MAY_RUN,
) -> AsyncIterator[JobWatcher[J, Any, Any]]:
    """The open watcher of a command, while its screen is open.

    Args:
        endpoint: The endpoint.
        options: How to watch.
        screen: Shows the events.
        result_bytes: Most bytes of a result in memory, if the command fetches one.
        grace_s: How long a job may be unknown to the server. None for a job that a user has named.
        stopped: Says what is known and how to go on, if a signal cancels the command. It takes the cancellation.
    """
    body = _USUAL_BODY if result_bytes is None else max(_USUAL_BODY, result_bytes)
    transport = transport_for(options, max_body=body)
    limits = None if result_bytes is None else Limits(result_bytes=result_bytes)
    pacing = options.pacing()
    watcher: JobWatcher[J, Any, Any] = JobWatcher(
        endpoint,
        timeout_s=options.timeout,
        pacing=pacing,
        transport=transport,
        limits=limits,
        not_found_grace_s=GRACE_S if grace_s is None else grace_s,
    )
    try:
        async with screen, transport, watcher:  # the rows stay if Ctrl-C comes while the others close
            yield watcher
    except asyncio.CancelledError as cancelled:
        print_note(f"pollwise: {safe(stopped(cancelled), 1000)}")
        raise


async def watch_job(
    endpoint: Endpoint[J, Any], job: J, options: WatchOptions, at_end: ExecOptions = _NO_EXEC
) -> ExitStatus:
    """Watch the job on the screen that suits stdout, run the command of `--exec`, and return the exit status.

    Raises:
        UsageError: `--exec` has no command that can be run; no request was sent.
    """
    command = at_end.parsed()
    screen = open_screen(json=options.writes_documents, quiet=options.quiet, output=options.writer())
    async with watching(endpoint, options, screen) as watcher:
        screen.add_job(endpoint, job)
        record = await follow_watch(watcher.watch(job), endpoint, screen)
    status = await close_with(record, screen)
    if command is None:
        return status
    return await command.run(status, watch_facts(record), credential_variables([endpoint]))


def watch_facts(record: WatchRecord) -> dict[str, str]:
    """The environment variables about one job for the command of `--exec`."""
    endpoint, view = record.endpoint, view_of(record.outcome)
    facts = {
        "POLLWISE_COMMAND": "watch",
        "POLLWISE_OUTCOME": view.state,
        "POLLWISE_ENDPOINT": endpoint.name,
        "POLLWISE_JOB": json.dumps(endpoint.codec.job_to_keys(record.outcome.job)),
        "POLLWISE_ELAPSED_S": f"{view.elapsed_s:.3f}",
        "POLLWISE_POLLS": f"{view.polls}",
    }
    if endpoint.account:
        facts["POLLWISE_ACCOUNT"] = endpoint.account
    if not isinstance(record.outcome, Succeeded):
        facts["POLLWISE_REASON"] = view.reason
    return facts


async def close_with(record: WatchRecord, screen: Screen) -> ExitStatus:
    """Print the outcome if the screen has removed it, and return its exit status."""
    if not screen.persistent:
        await screen.print_text(outcome_text(record))
    return exit_status_for(record.outcome)
