"""The exit statuses of the command and their meaning.

0    succeeded
1    failed or cancelled: the job is over without success
2    usage or configuration: no request was sent
3    abandoned: pollwise stopped watching, the job may still be running
70   a bug in pollwise
74   the output or the ledger cannot be written, as when a disk is full
130  interrupted with Ctrl-C
141  stdout was closed by its reader, as after `| head -1`
143  terminated (SIGTERM)

For many jobs the worst status counts: 3 before 1 before 0, because an abandoned job can still change.
"""

from __future__ import annotations

import enum
from typing import Any

from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Succeeded

__all__ = ["ExitStatus", "UsageError", "exit_status_for"]


class ExitStatus(enum.IntEnum):
    """The exit status. The numbers above 128 are 128 + the signal that a shell would report."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    ABANDONED = 3
    BUG = 70
    OUTPUT = 74
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class UsageError(Exception):
    """The arguments or the environment are not valid; the message says what to change."""


def exit_status_for(outcome: Outcome[Any, Any]) -> ExitStatus:
    """The exit status of a command that watched one job."""
    match outcome:
        case Succeeded():
            return ExitStatus.SUCCEEDED
        case Failed() | Cancelled():
            return ExitStatus.FAILED
        case Abandoned():
            return ExitStatus.ABANDONED
