"""Sending a request that is not idempotent.

Rule 1: it goes out once. No error, time-out or refusal makes this file send it again.
Rule 2: an error after which the server may have carried it out says so in a note (`BaseException.add_note`).
Rule 3: credentials are renewed only where there are none yet, and always before the request, never after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import attrs

from pollwise.core.classification import refusal
from pollwise.core.header_hints import HintReader
from pollwise.errors import (
    AuthenticationError,
    JobNotFound,
    NotVisibleYet,
    PollError,
    PollTimeout,
    Problem,
    ServerUnavailable,
    WatchError,
)
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Transport

__all__ = ["refused", "send_once"]


async def send_once(via: Transport, request: Request, auth: Auth | None, *, timeout_s: float, maybe_done: str) -> Reply:
    """Put the credentials on, send the request once and return the reply, whatever its status code.

    Args:
        via: What to send with.
        request: The request, without credentials.
        auth: Where they come from, or None.
        timeout_s: Seconds for all of it.
        maybe_done: The note for an error that leaves open whether the server carried the request out.
    """
    sent = False
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            credentials = {} if auth is None else await _credentials(auth, via)
            request = attrs.evolve(request, headers={**request.headers, **credentials})
            sent = True
            return (await via.send(request)).masking(credentials)
    except (PollError, TimeoutError) as exc:
        error = PollTimeout(timeout_s) if limit.expired() else exc
        if sent:
            error.add_note(maybe_done)
        if error is exc:
            raise
        raise error from exc


def refused(reply: Reply, problem: Problem | None, subject: str, *, maybe_done: str) -> PollError | WatchError:
    """The error for a reply outside 2xx. `subject` is what was asked for, in words for the message."""
    error = refusal(reply, problem, subject, hints=HintReader().read(reply.headers, time.time))
    if isinstance(error, NotVisibleYet):
        return JobNotFound(subject, reply.status, problem)  # nothing here will become visible by waiting
    if isinstance(error, ServerUnavailable):
        error.add_note(maybe_done)
    return error


async def _credentials(auth: Auth, via: Transport) -> Mapping[str, str]:
    clock = asyncio.get_running_loop()
    headers = auth.headers(clock.time())
    if headers is None:
        await auth.renew(via, clock.time(), None)
        headers = auth.headers(clock.time())
    if headers is None:
        raise AuthenticationError("There are no credentials to be had, not even new ones.")
    return headers
