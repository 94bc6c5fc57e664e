"""Errors that are kept: without the frames that they were raised in.

A traceback holds frames, and a frame all that its function had at hand: the watch, the reply, the credentials. So an
error that stays, in an outcome or as the reason of the next retry, has none. Where a bug was raised is kept as text.
"""

from __future__ import annotations

import traceback
from typing import Any, TypeVar

from pollwise.errors import EndpointBug

__all__ = ["endpoint_bug", "strip_tracebacks"]

E = TypeVar("E", bound=BaseException)


def strip_tracebacks(error: E) -> E:
    """The same error; neither it nor what caused it has a traceback any more."""
    chain: list[BaseException] = [error]
    for link in chain:  # grows; what has no traceback left is not added again
        link.__traceback__ = None
        chain += [more for more in (link.__cause__, link.__context__) if more is not None and more.__traceback__]
    return error


def endpoint_bug(job: Any, exc: BaseException, detail: str) -> EndpointBug:
    """The error for what an endpoint raised: a note says where, and `exc` is its cause.

    That has no frames then, unless it is more than an `Exception`: such a one goes on its way.
    """
    bug = EndpointBug(job, type(exc).__name__, detail)  # its message may hold a part of a reply
    lines = traceback.format_tb(exc.__traceback__)
    if lines:
        bug.add_note("It was raised here:\n" + "".join(lines).rstrip())
    bug.__cause__ = strip_tracebacks(exc) if isinstance(exc, Exception) else exc
    return bug
