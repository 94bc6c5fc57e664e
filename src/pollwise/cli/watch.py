"""`pollwise watch`: one job of a real server, to its outcome."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Hashable
from typing import Any, TypeVar

from pollwise.cli.exit_status import ExitStatus, exit_status_for
from pollwise.cli.follow import follow, outcome_text
from pollwise.cli.options import WatchOptions
from pollwise.cli.screen import open_screen
from pollwise.http.transport import AiohttpTransport
from pollwise.model.protocols import Endpoint
from pollwise.watcher import JobWatcher

__all__ = ["watch_job"]

J = TypeVar("J", bound=Hashable)


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
