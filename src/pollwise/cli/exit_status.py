"""The exit statuses of the command and their meaning.

0    succeeded
1    failed or cancelled: the job is over without success
2    usage or configuration: no request was sent
3    gave up: the deadline passed, or the server failed for too long; the job may still be running
4    the server does not know the job
5    the credentials were refused, or they may not see the job
6    the set-up is wrong, such as a base URL, a certificate or a proxy; waiting does not mend it
7    all succeeded, and then the command of `--exec` failed
70   a bug in pollwise
74   the output or the ledger cannot be written, as when a disk is full
130  interrupted with Ctrl-C
141  stdout was closed by its reader, as after `| head -1`
143  terminated (SIGTERM)

For many jobs the worst status counts: 3 before 1 before 0, because an abandoned job can still change. A batch ends with 5 or
6 if that ended the batch itself.

Rule: this file imports nothing of pollwise before an error or an outcome is judged, so `--help` imports no engine.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pollwise.model.events import Outcome

__all__ = ["ExitStatus", "UsageError", "exit_status_for", "exit_status_of"]


class ExitStatus(enum.IntEnum):
    """The exit status. The numbers above 128 are 128 + the signal that a shell would report."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    ABANDONED = 3
    NOT_FOUND = 4
    DENIED = 5
    SETUP = 6
    EXEC_FAILED = 7
    BUG = 70
    OUTPUT = 74
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class UsageError(Exception):
    """The arguments or the environment are not valid; the message says what to change."""


def exit_status_for(outcome: Outcome[Any, Any]) -> ExitStatus:
    """The exit status of a command that watched one job."""
    from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded

    match outcome:
        case Succeeded():
            return ExitStatus.SUCCEEDED
        case Failed() | Cancelled():
            return ExitStatus.FAILED
        case Abandoned(error=error):
            return exit_status_of(error)


def exit_status_of(error: BaseException) -> ExitStatus:
    """The exit status of a command that this error has ended."""
    from pollwise.errors import (
        AuthenticationError,
        ClockSkewed,
        JobNotFound,
        PermissionDenied,
        RequestRejected,
        SetupError,
        UnsafeUrl,
    )

    match error:
        case JobNotFound():
            return ExitStatus.NOT_FOUND
        case AuthenticationError() | PermissionDenied():
            return ExitStatus.DENIED
        case SetupError() | RequestRejected() | ClockSkewed() | UnsafeUrl():
            return ExitStatus.SETUP
    return ExitStatus.ABANDONED
