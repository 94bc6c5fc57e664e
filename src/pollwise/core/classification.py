"""What a reply that is not 2xx means: a failed poll, or the end of the watch.

Rule 1: the status code, the header fields and the vendor's own codes decide; words never do.
Rule 2: a refusal that may pass by itself (404, 408, 425, 429, 5xx) is a `PollError`. A refusal that another poll cannot
change is a `WatchError`. Neither says that the *job* failed.
Rule 3: a 4xx that says when to come back, or that no request is left, is a rate limit: GitHub sends 403, others 400 or 409.
There are exceptions. 401 and `invalid_token` need new credentials. 404 may be a job that is not visible yet. 408 and 425
are faults of the server. 410, or the vendor's code for an unknown job, is final.
Rule 4: a status code below 200 is malformed, because a final reply has 200 or above (RFC 9110, 15.2). One above 599 is
a fault of the server (RFC 9110, 15).
Rule 5: 407 is a proxy's refusal, and no server's.
Rule 6: 304 is no redirect. It repeats an earlier reply, and is malformed without one.
"""

from __future__ import annotations

import re
from typing import Any

from pollwise.core.header_hints import ReplyHints
from pollwise.core.header_values import field_value
from pollwise.errors import (
    AuthenticationError,
    JobNotFound,
    NotVisibleYet,
    PermissionDenied,
    PollError,
    Problem,
    ProxyFailed,
    RateLimited,
    RequestRejected,
    ServerUnavailable,
    WatchError,
)
from pollwise.model.messages import Reply

__all__ = ["refusal"]


_LONGEST_CHALLENGE = 4_096
# RFC 9110 11.6.1: a scheme, or a parameter with its value
_CHALLENGE_PART = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^\s,\"]*))?", re.ASCII)


def refusal(  # noqa: C901, PLR0911  # a table: one return a row
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
    if problem is not None and problem.job_unknown:
        return JobNotFound(job, status, problem)
    if status == 401 or (status in {400, 403} and _token_refused(reply)):
        return AuthenticationError(f"The credentials were refused (HTTP {status}).", problem)
    wait_s = None if hints is None else hints.retry_after_s
    match status:
        case _ if status < 200:
            return reply.malformed(_wrong_with_code(status))
        case 304:
            return reply.malformed("there is no earlier reply that it could repeat")
        case 404:
            return NotVisibleYet(problem, wait_s)
        case 407:  # RFC 9110, 15.5.8: only a proxy sends it, in place of the server
            return _proxy_failed(status)
        case 410:
            return JobNotFound(job, status, problem)
        case _ if status in {408, 425} or status >= 500:
            return ServerUnavailable(status, wait_s, problem)
        case _ if status == 429 or (status >= 400 and hints is not None and (wait_s is not None or hints.exhausted)):
            return RateLimited(wait_s, problem, status)
        case 403:
            return PermissionDenied(job, status, problem)
        case _:
            return RequestRejected(job, status, problem)


def _proxy_failed(status: int) -> ProxyFailed:
    error = ProxyFailed(f"the proxy answered with HTTP {status}", status)
    error.sent = False
    return error


def _wrong_with_code(status: int) -> str:
    """What is wrong with a status code below 200."""
    if status == 101:
        return "it switches to another protocol, for which no request asked"
    if status >= 100:
        return "its status code announces a further reply, which did not come"
    return "its status code is none of HTTP, where the smallest is 100"


def _token_refused(reply: Reply) -> bool:
    """Whether a challenge says that the bearer token is expired, revoked or unknown (RFC 6750 3.1).

    The RFC wants it to come with 401. Some servers send 400 or 403.
    """
    name = "WWW-Authenticate"
    if name not in reply.headers:
        return False
    scheme = ""
    for part in _CHALLENGE_PART.finditer(field_value(reply.headers, name)[:_LONGEST_CHALLENGE]):
        key, value = part[1].lower(), part[2]
        if value is None:
            scheme = key
        elif scheme == "bearer" and key == "error" and value.strip('"') == "invalid_token":
            return True
    return False
