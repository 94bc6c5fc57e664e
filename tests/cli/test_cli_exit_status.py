from __future__ import annotations

from typing import Any

import pytest

from pollwise.cli.exit_status import ExitStatus, exit_status_for
from pollwise.errors import (
    AuthenticationError,
    ConnectFailed,
    DeadlineExceeded,
    JobCancelled,
    JobFailed,
    JobNotFound,
    PermissionDenied,
    RequestRejected,
    RetriesExhausted,
    ServerUnavailable,
    SetupError,
    WatchStopped,
)
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded

SEEN: dict[str, Any] = {"job": "j", "elapsed_s": 1.0, "polls": 1}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Succeeded(status=None, **SEEN), 0),
        (Failed(status=None, error=JobFailed("j", None), **SEEN), 1),
        (Cancelled(status=None, error=JobCancelled("j", None), **SEEN), 1),
        *[
            (Abandoned(error=error, status=None, phase=None, **SEEN), status)
            for error, status in (
                (WatchStopped("j"), 3),
                (DeadlineExceeded("j", 1.0), 3),
                (RetriesExhausted("j", 5, ConnectFailed("refused")), 3),
                (JobNotFound("j", 404), 4),
                (AuthenticationError("refused."), 5),
                (PermissionDenied("j", 403), 5),
                (SetupError("j", ServerUnavailable(501)), 6),
                (RequestRejected("j", 400), 6),
            )
        ],
    ],
)
def test_an_outcome_has_its_exit_status(outcome: Any, status: int) -> None:
    """A failed job and an abandoned one have different exit statuses, and so have the causes of an abandoned one."""
    assert exit_status_for(outcome) == status


def test_the_numbers_never_change() -> None:
    """The exit statuses have fixed numbers, because scripts use them."""
    assert {status.name: status.value for status in ExitStatus} == {
        "SUCCEEDED": 0,
        "FAILED": 1,
        "USAGE": 2,
        "ABANDONED": 3,
        "NOT_FOUND": 4,
        "DENIED": 5,
        "SETUP": 6,
        "EXEC_FAILED": 7,
        "BUG": 70,
        "OUTPUT": 74,
        "INTERRUPTED": 130,
        "BROKEN_PIPE": 141,
        "TERMINATED": 143,
    }
