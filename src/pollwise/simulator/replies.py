"""Replies of the simulator, before a fault changes them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Any

import attrs

__all__ = ["ReplyOverride", "SimulatedReply", "http_date", "to_json"]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def to_json(data: Any) -> bytes:
    """Compact JSON in UTF-8, as both vendors' servers send it. A lone surrogate is escaped because UTF-8 cannot encode it."""
    text = _encode(data)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def http_date(seconds_from_now: float) -> str:
    """An HTTP date (RFC 9110, 5.6.7) that many seconds from now, rounded up to whole seconds."""
    return formatdate(math.ceil(time.time() + seconds_from_now), usegmt=True)


@attrs.frozen
class SimulatedReply:
    """One whole HTTP reply. In a script it is sent unchanged in place of the simulator's own.

    Attributes:
        status: The HTTP status code.
        body: The body, already encoded.
        headers: Header fields; `Content-Length` is added, and a `Content-Type` if there is a body without one.
    """

    status: int = 200
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)

    @classmethod
    def of_json(cls, data: Any, *, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> SimulatedReply:
        """A reply with `data` as `application/json`."""
        return cls(status, to_json(data), {"Content-Type": "application/json", **headers})

    def with_headers(self, headers: Mapping[str, str]) -> SimulatedReply:
        """The same reply with more header fields. New fields replace those of the same name, in any case."""
        if not headers:
            return self
        later = {name.lower() for name in headers}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in later}
        return SimulatedReply(self.status, self.body, {**kept, **headers})


@attrs.frozen
class ReplyOverride:
    """In a script: the simulator's own reply with more header fields, verbatim, and another status code.

    For hints in any form on any reply, as real servers send them: `ReplyOverride({"Retry-After": "0.5"})`,
    `ReplyOverride({"Retry-After": "Wed, 21 Oct 3000 07:28:00 GMT"}, status=429)`,
    `ReplyOverride({"retry-after-ms": "250"}, 202)`,
    `ReplyOverride({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60000"})`.

    Attributes:
        headers: Header fields that replace those of the same name, also those of a rate limit.
        status: The status code; None leaves it unchanged. A code that is not 2xx gets the vendor's refusal as its body.
    """

    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    status: int | None = None
