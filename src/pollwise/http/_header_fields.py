"""The header fields of requests and replies."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from typing import Final

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy

__all__ = ["extra_headers", "merged", "own_headers", "within"]

_MAX_FIELD_CHARS: Final = 262_144  # of all fields together, if there are more


def within(fields: Mapping[str, str]) -> CIMultiDictProxy[str]:
    """The fields without those that exceed the limit of all together."""
    kept: CIMultiDict[str] = CIMultiDict()
    left = _MAX_FIELD_CHARS
    for name, value in fields.items():
        if len(name) + len(value) <= left:
            left -= len(name) + len(value)
            kept.add(name, value)
    return CIMultiDictProxy(kept)


@cache
def own_headers() -> CIMultiDict[str]:
    from importlib.metadata import version  # noqa: PLC0415  no import of the library waits for it

    made: CIMultiDict[str] = CIMultiDict()
    made[hdrs.ACCEPT] = "application/json"
    made[hdrs.ACCEPT_ENCODING] = "gzip, deflate"
    made[hdrs.CACHE_CONTROL] = "no-cache"  # RFC 9111 5.2.1.4: else a cache may reply with an old status
    made[hdrs.USER_AGENT] = (
        f"pollwise/{version('pollwise')} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
    )
    return made


def extra_headers(session: aiohttp.ClientSession) -> CIMultiDict[str]:
    """Our default header fields for a caller's session, without User-Agent and Cache-Control if the session has them."""
    made = own_headers().copy()
    for name in (hdrs.USER_AGENT, hdrs.CACHE_CONTROL):
        if name in session.headers:
            del made[name]
    return made


def merged(headers: Mapping[str, str], extra: CIMultiDict[str]) -> CIMultiDict[str]:
    made = extra.copy()
    made.update(headers)
    return made
