"""What the simulator sends back when nothing happens to it on the way."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Any

import attrs

__all__ = ["Amended", "Answer", "http_date", "to_json"]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def to_json(data: Any) -> bytes:
    """Compact JSON in UTF-8, as both vendors' servers send it. A lone surrogate, which UTF-8 has not, is escaped."""
    text = _encode(data)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def http_date(seconds_from_now: float) -> str:
    """An HTTP date (RFC 9110, 5.6.7) that far ahead of the wall clock, rounded up to whole seconds."""
    return formatdate(math.ceil(time.time() + seconds_from_now), usegmt=True)


@attrs.frozen
class Answer:
    """One whole HTTP reply. In a script it is sent as it stands, in place of the simulator's own.

    Attributes:
        status: The HTTP status code.
        body: The body, already encoded.
        headers: Header fields; `Content-Length` is added, and a `Content-Type` if there is a body without one.
    """

    status: int = 200
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)

    @classmethod
    def of_json(cls, data: Any, *, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> Answer:
        """An answer of `data` as `application/json`."""
        return cls(status, to_json(data), {"Content-Type": "application/json", **headers})

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """The same answer with more header fields; later ones win, in whatever case they are written."""
        if not headers:
            return self
        later = {name.lower() for name in headers}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in later}
        return Answer(self.status, self.body, {**kept, **headers})


@attrs.frozen
class Amended:
    """The simulator's own reply, in a script: with more header fields, verbatim, and under another status code.

    For hints in any form on any reply, which real servers send in all of them: `Amended({"Retry-After": "0.5"})`,
    `Amended({"Retry-After": "Wed, 21 Oct 3000 07:28:00 GMT"}, status=429)`, `Amended({"retry-after-ms": "250"}, 202)`,
    `Amended({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60000"})`.

    Attributes:
        headers: Header fields that replace those of the same name, a rate limit's included.
        status: The status code; None leaves it. One that is not 2xx has the vendor's refusal as its body.
    """

    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    status: int | None = None
