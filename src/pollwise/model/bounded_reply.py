"""Cuts the body of a reply down to limits, before anything decodes it.

Rule 1: a short body is not looked at. Only its length, and for JSON the number of its brackets, is compared.
Rule 2: a longer body is cut only if it is a JSON list or object, in any wrapping that `json_body.py` understands. It is
JSON in UTF-8 afterwards. Any other body stays as it is: `max_body` of the transport limits it.
Rule 3: the body of a result is kept as it was sent, because it may be a file, such as one with a JSON document a line. Only
the decoder gets a document that is not too deep.
Rule 4: if brackets or quotation marks do not match, nothing decodes the body. To search for the fault would take long.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Mapping
from typing import Any, Final, Protocol, TypeVar, cast

import attrs

from pollwise.model.json_body import unwrapped
from pollwise.model.json_cutting import BrokenJson, cut_json
from pollwise.model.limits import ReplyLimits
from pollwise.model.steps import in_one_go

__all__ = ["SHORT", "UNLIMITED", "Bounds", "bounded", "bounding"]

SHORT: Final = 2_048
"""Bytes of a body that is not cut for its items, values and texts. Its lists have at most half as many items."""

UNLIMITED: Final = 1 << 62
"""From this size on, limits are those of a result, of which nothing is left out (`model/results.py`)."""

_DEFAULT: Final = ReplyLimits()
_begins_plainly = re.compile(rb"[ \t\r\n]*+[\[{](?!\})").match


@attrs.frozen
class Bounds:
    """What was done to the body of a reply.

    Attributes:
        left_out: How much was left out, by path, as in `Reply.left_out`.
        broken: Why the body is no JSON, if its brackets already show that; else empty.
        document: What to decode in place of the body, if the body was kept; else None.
    """

    left_out: Mapping[str, int] = attrs.Factory(dict)
    broken: str = ""
    document: bytes | None = attrs.field(default=None, repr=False)


class _Reply(Protocol):
    """What is needed of a `Reply`, which imports this module."""

    @property
    def body(self) -> bytes: ...

    @property
    def bounds(self) -> Bounds | None: ...

    def text(self) -> str: ...


R = TypeVar("R", bound=_Reply)

_WHOLE: Final = Bounds()
_BROKEN: Final = Bounds(broken="broken JSON, its brackets or quotation marks do not match")


def bounding(reply: R, limits: ReplyLimits = _DEFAULT, deciding: Collection[str] = ()) -> Generator[None, None, R]:
    """Cut the body of a reply, in steps of a few milliseconds. Yields between them, and returns the reply.

    Args:
        reply: The reply. If it has been cut, it is returned as it is.
        limits: How much is kept.
        deciding: Keys whose members are kept in any case.
    """
    if reply.bounds is not None:
        return reply
    body = reply.body
    if not (_begins_plainly(body) and _is_utf8(body)):
        body = unwrapped(reply.text()).encode("utf-8", "replace")
        if not _begins_plainly(body):
            return _evolved(reply, bounds=_WHOLE)
    if _is_within(body, limits):
        return _evolved(reply, bounds=_WHOLE)
    yield
    try:
        body, left_out = yield from cut_json(body, limits, deciding)
    except BrokenJson:
        return _evolved(reply, bounds=_BROKEN)
    if limits.size >= UNLIMITED:
        return _evolved(reply, bounds=Bounds(left_out, document=body))
    return _evolved(reply, body=body, bounds=Bounds(left_out))


def bounded(reply: R, limits: ReplyLimits = _DEFAULT, deciding: Collection[str] = ()) -> R:
    """The same in one go."""
    return in_one_go(bounding(reply, limits, deciding))


def _evolved(reply: R, **changes: object) -> R:
    return cast("R", attrs.evolve(cast("Any", reply), **changes))


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return b"\0" not in body[:4]  # UTF-16 and UTF-32 of ASCII characters
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_within(body: bytes, limits: ReplyLimits) -> bool:
    """Whether the body is certainly within the limits, by its length and the number of commas and brackets."""
    brackets = body.count(b"[") + body.count(b"{")
    short = len(body) <= min(limits.size, limits.text)
    return short and brackets <= limits.depth and brackets + body.count(b",") < min(limits.items, limits.values)
