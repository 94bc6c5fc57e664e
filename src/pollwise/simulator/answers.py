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

__all__ = ["Answer", "http_date", "to_json"]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def to_json(data: Any) -> bytes:
    """Compact JSON in UTF-8, as both vendors' servers send it."""
    return _encode(data).encode()


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
        """The same answer with more header fields; later ones win."""
        return Answer(self.status, self.body, {**self.headers, **headers}) if headers else self
