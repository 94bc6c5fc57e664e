"""Which texts of a request are secrets.

Rule 1: every header field that an `Auth` adds is a secret: its whole value, its last word without the scheme, and the
values of its parameters that are named like credentials.
Rule 2: `Basic` credentials (RFC 7617) are decoded: the pair and the password are secrets. If the password is shorter than
four characters, the user name is a secret, too, because some APIs take a key as the user name.
Rule 3: in a request as an endpoint made it, a header field, a query parameter or a field of a form or a JSON object is a
secret if its name says so. A job's ID must not be masked in a reply.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from pollwise.model.masking import mask_of

__all__ = ["KnownSecrets", "is_secret_name", "secrets_in", "secrets_named_in"]

_SHORTEST_PASSWORD: Final = 4
_NAMED: Final = re.compile(
    r"auth|token|secret|passw|passphrase|pwd|credential|cookie|session|signature|jwt|assertion"
    r"|(?:api|access|account|private|subscription|functions|app|client|shared)[-_ ]?key|^(?:key|sig|pass|code|pin)$",
    re.IGNORECASE,
).search
_NOT_SECRET: Final = re.compile(
    r"idempoten|page|next|continu|cursor|sync|cancel|author(?!i)|^sec-|signed-?headers|token[-_]?type", re.IGNORECASE
).search
_PARAMETER: Final = re.compile(r"([\w!#$&'*+.^`|~-]+)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s,;\"]+)").finditer
_LONGEST_BODY: Final = 65_536
_KNOWN_S: Final = 600.0


def secrets_in(headers: Mapping[str, str]) -> frozenset[str]:
    """The secrets in the header fields that an `Auth` adds."""
    return frozenset(text for name, value in headers.items() for text in _of_field(name, value) if text)


def secrets_named_in(headers: Mapping[str, str], query: str = "", body: bytes | None = None) -> frozenset[str]:
    """The secrets in a request that nothing was added to.

    Args:
        headers: Its header fields.
        query: The query of its URL, percent-encoded.
        body: Its body, a form or JSON, or None.
    """
    found = [text for name, value in headers.items() if is_secret_name(name) for text in _of_field(name, str(value))]
    pairs: list[tuple[str, Any]] = parse_qsl(query)
    if isinstance(body, bytes) and len(body) <= _LONGEST_BODY:  # else the transport refuses it
        pairs += _fields_of(body)
    found += [str(value) for name, value in pairs if is_secret_name(name) and isinstance(value, str | int)]
    return frozenset(filter(None, found))


def is_secret_name(name: str) -> bool:
    """Whether a header field, a parameter or a field of a body with this name holds a credential."""
    return _NAMED(name) is not None and _NOT_SECRET(name) is None


def _of_field(name: str, value: str) -> Iterator[str]:
    scheme, _, last = value.rpartition(" ")
    yield value
    yield last
    if scheme.lower() == "basic":
        yield from _of_basic(last)
    is_cookie = name.lower() == "cookie"
    for found in _PARAMETER(value):
        if is_cookie or (found[1] != last and is_secret_name(found[1])):
            yield found[2].strip('"')


def _of_basic(encoded: str) -> Iterable[str]:
    try:
        pair = base64.b64decode(encoded, validate=True)
    except ValueError:
        return ()
    try:
        text = pair.decode()
    except UnicodeDecodeError:
        text = pair.decode("latin-1")
    user, _, password = text.partition(":")
    return (text, password) if len(password) >= _SHORTEST_PASSWORD else (text, password, user)


def _fields_of(body: bytes) -> list[tuple[str, Any]]:
    if body.lstrip().startswith(b"{"):
        try:
            return list(orjson.loads(body).items())
        except orjson.JSONDecodeError:
            return []
    return parse_qsl(body.decode("latin-1")) if b"=" in body else []


class KnownSecrets:
    """The secrets that the requests of one watcher have had, the current ones and those before.

    A server may repeat credentials that were renewed while its reply was on the way. So the earlier ones are known for
    ten minutes more, which is longer than a request takes.

    Attributes:
        mask: Masks all of them.
        forget_at: When the earlier ones are forgotten, in monotonic seconds; infinite if there are none.
    """

    __slots__ = ("_current", "_earlier", "_headers", "forget_at", "mask")

    def __init__(self) -> None:
        self._headers: Mapping[str, str] | None = None
        self._current: frozenset[str] = frozenset()
        self._earlier: frozenset[str] = frozenset()
        self.mask = mask_of(frozenset())
        self.forget_at = math.inf

    def learn(self, headers: Mapping[str, str], now: float) -> None:
        """A request is sent with these credentials. Costs little if they are the same mapping as before."""
        if now >= self.forget_at:
            self._earlier, self.forget_at = frozenset(), math.inf
            self.mask = mask_of(self._current)
        if headers is self._headers:
            return
        self._headers = headers
        found = secrets_in(headers)
        if found != self._current:
            if self._current:
                self._earlier |= self._current
                self.forget_at = now + _KNOWN_S
            self._current = found
            self.mask = mask_of(self._earlier | found)
