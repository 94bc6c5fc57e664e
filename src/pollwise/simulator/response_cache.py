"""A cache between the clients and the vendors. It obeys the directives of requests (RFC 9111, 5.2.1).

Rule 1: the cache stores only the 200 replies about jobs, separately for each credential.
Rule 2: a request with `no-cache`, `no-store`, `max-age` below the reply's age, or `Pragma: no-cache` goes to the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from pollwise.simulator.replies import SimulatedReply

__all__ = ["ResponseCache"]

CacheKey: TypeAlias = tuple[str, str, str]


@attrs.define
class ResponseCache:
    """The stored replies.

    Attributes:
        max_age_s: Seconds that a reply is served without asking the vendor again.
    """

    max_age_s: float
    _stored: dict[CacheKey, tuple[float, SimulatedReply]] = attrs.field(init=False, repr=False, factory=dict)

    def find(self, path: str, headers: Mapping[str, str], now: float) -> SimulatedReply | None:
        """The stored reply, with its `Age`, if the request allows it."""
        stored_at, reply = self._stored.get(_cache_key(path, headers), (now, None))
        age_s = now - stored_at
        if reply is None or age_s >= self.max_age_s or not _accepts(headers, age_s):
            return None
        return reply.with_headers({"Age": str(int(age_s))})

    def store(self, path: str, headers: Mapping[str, str], reply: SimulatedReply, now: float) -> None:
        """Store a reply of the vendor."""
        if reply.status == 200 and "no-store" not in _directives(headers):
            self._stored[_cache_key(path, headers)] = (now, reply)


def _cache_key(path: str, headers: Mapping[str, str]) -> CacheKey:
    return (path, headers.get("api_token", ""), headers.get("Authorization", ""))


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    parts = (part.strip().lower().partition("=") for part in headers.get("Cache-Control", "").split(","))
    return {name: value.strip('"') for name, _, value in parts if name}


def _accepts(headers: Mapping[str, str], age_s: float) -> bool:
    directives = _directives(headers)
    if not directives:
        return "no-cache" not in headers.get("Pragma", "").lower()
    limit = directives.get("max-age", "")
    fresh = age_s <= int(limit) if limit.isdecimal() else True
    return fresh and not {"no-cache", "no-store"} & directives.keys()
