"""Sends a request that is not idempotent.

Rule 1: the request is sent once. No error, time-out or refusal makes this file send it again.
Rule 2: if the server may have executed the request, the error says so in a note (`BaseException.add_note`).
Rule 3: credentials are renewed only if there are none yet, and before the request, never after it.
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
    MalformedReply,
    NotVisibleYet,
    PollError,
    PollTimeout,
    Problem,
    ServerUnavailable,
    WatchError,
)
from pollwise.model.masked_values import masked_error
from pollwise.model.masking import mask_of
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Transport
from pollwise.model.secrets import secrets_in

__all__ = ["refused", "send_once"]


async def send_once(via: Transport, request: Request, auth: Auth | None, *, timeout_s: float, maybe_done: str) -> Reply:
    """Add the credentials, send the request once, and return the reply for any status code.

    Args:
        via: The transport to send with.
        request: The request, without credentials.
        auth: The source of the credentials, or None.
        timeout_s: Max duration in seconds, renewal of credentials included.
        maybe_done: The note for an error after which the server may have executed the request.
    """
    sent = False
    credentials: Mapping[str, str] = {}
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            credentials = {} if auth is None else await _credentials(auth, via)
            request = attrs.evolve(request, headers={**request.headers, **credentials})
            sent = True
            reply = await via.send(request)
            return reply.masking(credentials)
    except (PollError, TimeoutError) as exc:
        error = PollTimeout(timeout_s) if limit.expired() else masked_error(mask_of(secrets_in(credentials)), exc)
        if sent:
            error.add_note(maybe_done)
        if error is exc:
            raise
        raise error from exc


def refused(reply: Reply, problem: Problem | None, subject: str, *, maybe_done: str) -> PollError | WatchError:
    """The error for a reply outside 2xx. `subject` names the request in the message."""
    error = refusal(reply, problem, subject, hints=HintReader().read(reply.headers, time.time))
    if isinstance(error, NotVisibleYet):
        return JobNotFound(subject, reply.status, problem)  # there is no job yet that could become visible later
    if isinstance(error, (ServerUnavailable, MalformedReply)):
        error.add_note(maybe_done)
    return error


async def _credentials(auth: Auth, via: Transport) -> Mapping[str, str]:
    clock = asyncio.get_running_loop()
    headers = auth.headers(clock.time())
    if headers is None:
        await auth.renew(via, clock.time(), None)
        headers = auth.headers(clock.time())
    if headers is None:
        raise AuthenticationError(
            "There are no credentials, although the renewal succeeded. Look at `headers` and `renew` of your auth."
        )
    return headers
