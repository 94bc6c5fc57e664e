"""`pollwise watch`: one job of a real server, to its outcome."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pollwise.cli.declared import job_of
from pollwise.cli.endpoint_names import EndpointNames
from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import ExitStatus, exit_status_for
from pollwise.cli.follow import follow, outcome_text
from pollwise.cli.options import WatchOptions
from pollwise.cli.screen import open_screen
from pollwise.http.transport import AiohttpTransport
from pollwise.model.protocols import Endpoint
from pollwise.watcher import JobWatcher

__all__ = ["named_job", "watch_job"]

J = TypeVar("J", bound=Hashable)


def named_job(
    name: str, keys: Sequence[str], file: Path | None, base_url: str | None, options: WatchOptions
) -> tuple[AnyEndpoint, Hashable]:
    """The endpoint with this name, and the job with these KEY=VALUE arguments.

    Raises:
        UsageError: There is no such endpoint, or an argument is wrong.
        ConfigurationError: A file or a package is wrong, an environment variable is not set, or the keys are wrong.
    """
    base_urls = {} if base_url is None else {name: base_url}
    endpoint = EndpointNames(file, base_urls=base_urls, account=options.account).endpoint(name)
    return endpoint, job_of(endpoint, keys)


async def watch_job(endpoint: Endpoint[J, Any], job: J, options: WatchOptions) -> ExitStatus:
    """Watch the job on the screen that suits stdout and return the exit status for its outcome."""
    screen = open_screen(json=options.json)
    transport = AiohttpTransport(allow_plain_http=options.allow_plain_http)
    watcher = JobWatcher(endpoint, timeout_s=options.timeout, pacing=options.pacing(), transport=transport)
    try:
        async with transport, screen, watcher:
            screen.add_job(endpoint, job)
            record = await follow(watcher, endpoint, job, screen)
    except asyncio.CancelledError:
        print("pollwise: stopped watching; the job may still be running", file=sys.stderr)
        raise
    if not screen.persistent:
        await screen.print_text(outcome_text(record))
    return exit_status_for(record.outcome)
