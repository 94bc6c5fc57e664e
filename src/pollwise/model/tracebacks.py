"""Strips the tracebacks of errors that are stored.

A traceback refers to frames, and a frame to all local variables: the watch, the reply, the credentials. So an error in an
outcome, or one that a retry reports, has no traceback. For a bug, the place where it was raised is kept as text.
"""

from __future__ import annotations

import traceback
from typing import Any, TypeVar

from pollwise.errors import EndpointBug
from pollwise.model.masking import without_tokens

__all__ = ["endpoint_bug", "own_words", "strip_tracebacks"]

E = TypeVar("E", bound=BaseException)

_WORDS_CHARS = 300


def strip_tracebacks(error: E) -> E:
    """Return the error, after removing the tracebacks of the error and of its causes and contexts."""
    chain: list[BaseException] = [error]
    for link in chain:  # grows; an error without a traceback is not added, so a cycle ends
        link.__traceback__ = None
        chain += [more for more in (link.__cause__, link.__context__) if more is not None and more.__traceback__]
    return error


def endpoint_bug(job: Any, exc: BaseException, detail: str) -> EndpointBug:
    """The `EndpointBug` for an exception of an endpoint. A note says where it was raised, and `exc` is its cause.

    The traceback of `exc` is removed, unless `exc` is no `Exception`. Such an exception is raised on, with its traceback.
    """
    bug = EndpointBug(job, type(exc).__name__, detail)  # its message may hold a part of a reply
    lines = traceback.format_tb(exc.__traceback__)
    if lines:
        bug.add_note("It was raised here:\n" + "".join(lines).rstrip())
    bug.__cause__ = strip_tracebacks(exc) if isinstance(exc, Exception) else exc
    return bug


def own_words(exc: BaseException) -> str:
    """The message of an exception whose known secrets are masked, without what looks like another one. Untrusted text."""
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001  # a foreign class may raise anything
        text = ""
    words = without_tokens(text[: 4 * _WORDS_CHARS]).strip()
    cut = words[:_WORDS_CHARS]
    return (cut if len(cut) == len(words) else f"{cut}...") or "it gave no message"
