"""A cache between the clients and the vendors, which honours the directives of requests (RFC 9111, 5.2.1).

Rule 1: it stores the 200 replies about jobs, each for its credentials, and knows no other reply.
Rule 2: a request with `no-cache`, `no-store`, `max-age` below the reply's age, or `Pragma: no-cache` goes to the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from pollwise.simulator.replies import Answer

__all__ = ["Cache"]

Place: TypeAlias = tuple[str, str, str]


@attrs.define
class Cache:
    """What is stored, and for how long.

    Attributes:
        keep_s: Seconds that a reply is served without asking the vendor again.
    """

    keep_s: float
    _stored: dict[Place, tuple[float, Answer]] = attrs.field(init=False, repr=False, factory=dict)

    def find(self, path: str, headers: Mapping[str, str], now: float) -> Answer | None:
        """The stored reply, with its `Age`, if the request may be answered by it."""
        stored_at, answer = self._stored.get(_place(path, headers), (now, None))
        age_s = now - stored_at
        if answer is None or age_s >= self.keep_s or not _accepts(headers, age_s):
            return None
        return answer.with_headers({"Age": str(int(age_s))})

    def store(self, path: str, headers: Mapping[str, str], answer: Answer, now: float) -> None:
        """Keep a reply of the vendor's."""
        if answer.status == 200 and "no-store" not in _directives(headers):
            self._stored[_place(path, headers)] = (now, answer)


def _place(path: str, headers: Mapping[str, str]) -> Place:
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
