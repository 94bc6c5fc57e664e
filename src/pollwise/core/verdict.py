"""What a reply that is not 2xx means: a poll that taught nothing, or the end of the watch.

Rule 1: only the status code and the vendor's own codes decide; words never do.
Rule 2: what may pass by itself (404, 408, 425, 429, 5xx) is a `PollError`; what asking again cannot mend is a
`WatchError`. None of them says that the *job* failed.
"""

from __future__ import annotations

from typing import Any

from pollwise.core.hints import ReplyHints
from pollwise.core.wire import Reply
from pollwise.errors import (
    AuthenticationError,
    JobNotFound,
    NotVisibleYet,
    PermissionDenied,
    PollError,
    Problem,
    RateLimited,
    RequestRejected,
    ServerTrouble,
    WatchError,
)

__all__ = ["refusal"]


def refusal(  # noqa: PLR0911  # a table: one return a row
    reply: Reply, problem: Problem | None, job: Any, *, hints: ReplyHints | None
) -> PollError | WatchError:
    """The error that a reply outside 2xx stands for.

    Args:
        reply: The reply.
        problem: What the endpoint found in its body.
        job: What was asked about, for the message.
        hints: What a `HintReader` found in its header fields.
    """
    status = reply.status
    wait_s = None if hints is None else hints.retry_after_s
    if problem is not None and problem.job_unknown:
        return JobNotFound(job, status, problem)
    match status:
        case 401:
            return AuthenticationError(f"{job}: the credentials were refused (HTTP 401).", problem)
        case 403:
            return PermissionDenied(job, status, problem)
        case 404:
            return NotVisibleYet(problem)
        case 410:
            return JobNotFound(job, status, problem)
        case 429:
            return RateLimited(wait_s, problem)
        case 408 | 425:
            return ServerTrouble(status, wait_s, problem)
        case _ if status >= 500:
            return ServerTrouble(status, wait_s, problem)
        case _:
            return RequestRejected(job, status, problem)
