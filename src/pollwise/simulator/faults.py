"""The faults that a reply can have, and the choice of one.

Rule 1: a fault happens by script (the n-th request of a job gets the n-th entry) or by rate.
Rule 2: a fault by rate depends on (seed, job, n) alone, so a run can be repeated with the jobs in any order.
Rule 3: this file only names and chooses faults. body_faults.py and socket_faults.py carry them out.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable
from typing import TypeAlias

import attrs

from pollwise.simulator.replies import ReplyOverride, SimulatedReply

__all__ = [
    "ODD",
    "PROMPT",
    "TRANSIENT",
    "Fault",
    "Faults",
    "ParsedEntry",
    "Script",
    "ScriptEntry",
    "parse_script",
]


class Fault(enum.Enum):
    """One fault of a reply. The values are its names on a command line and in scripts."""

    # Status codes. JSON bodies have the vendor's own shape.
    BAD_REQUEST = "bad-request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    REQUEST_TIMEOUT = "request-timeout"
    TOO_EARLY = "too-early"
    TOO_MANY_REQUESTS = "too-many-requests"
    """429 with `Retry-After` in seconds."""
    BARE_TOO_MANY_REQUESTS = "bare-too-many-requests"
    """429 without `Retry-After`, as gateways send to shed load (RFC 6585, 4: the hint is optional)."""
    THROTTLED_IN_200 = "throttled-in-200"
    """The vendor's error document about its rate limit with status 200, as GraphQL and RPC-like APIs send it."""
    NOT_MODIFIED = "not-modified"
    """304 with no body (RFC 9110, 15.4.5): the earlier status still holds. Also sent without a conditional request."""
    SERVER_ERROR = "server-error"
    BAD_GATEWAY = "bad-gateway"
    """502 with a proxy's HTML page."""
    UNAVAILABLE = "unavailable"
    """503 with `Retry-After` in seconds."""
    UNAVAILABLE_UNTIL = "unavailable-until"
    """503 with `Retry-After` as an HTTP date."""
    GATEWAY_TIMEOUT = "gateway-timeout"
    """504 with no body."""
    REDIRECT = "redirect"
    """302 to another path."""
    REDIRECT_AWAY = "redirect-away"
    """302 to another host name of the simulator, so that a leaked credential is seen."""

    LOGIN_REDIRECT = "login-redirect"
    """302 to a login page, as gateways send when a session has expired."""
    FIREWALL_PAGE = "firewall-page"
    """403 with the HTML page of a web application firewall, which says nothing about the job."""

    # Bodies that are no status document, with a status code of success.
    HTML_PAGE = "html-page"
    """200 with an HTML login page."""
    MAINTENANCE_PAGE = "maintenance-page"
    """200 with the HTML page of a maintenance window."""
    ANOTHER_JOB = "another-job"
    """The status of another task that has succeeded, as a defective cache or router sends. The statuses of Oracle
    Content Management do not name their job, and stay unchanged."""
    JSON_AS_HTML = "json-as-html"
    """The correct body with the content type `text/html`."""
    BROKEN_JSON = "broken-json"
    INVALID_UTF8 = "invalid-utf8"
    NULL_FIELD = "null-field"
    """`task_status` or `progress` is null."""
    MISSING_FIELD = "missing-field"
    """`is_complete` or `progress` is absent."""
    MISTYPED_FIELD = "mistyped-field"
    NOT_AN_OBJECT = "not-an-object"
    DEEP_JSON = "deep-json"
    """Valid JSON, nested too deeply for a recursive parser."""
    EMPTY_BODY = "empty-body"
    NO_CONTENT = "no-content"
    BROKEN_GZIP = "broken-gzip"
    """`Content-Encoding: gzip` on a body that is not gzip."""
    GZIP_BOMB = "gzip-bomb"
    HUGE_BODY = "huge-body"
    """The correct document, padded with blanks past any reasonable limit, with its `Content-Length`."""
    HUGE_CHUNKED = "huge-chunked"
    """The same with chunked transfer coding, without `Content-Length`."""

    # The connection itself.
    HANG = "hang"
    """No reply until the client disconnects or the simulator closes."""
    SLOW_DRIP = "slow-drip"
    """The correct reply, one byte at a time."""
    CLOSED = "closed"
    """The connection is closed before the reply. aiohttp's client then sends a GET again."""
    RESET = "reset"
    """RST in the middle of the body."""
    RESET_AT_ONCE = "reset-at-once"
    """RST before the reply, as a load balancer sends when its server is down."""
    TRUNCATED = "truncated"
    """The body ends before its `Content-Length`."""
    TRUNCATED_CHUNKED = "truncated-chunked"
    """The body ends before its last chunk."""
    NOT_HTTP = "not-http"

    # Correct replies in an odd form. A client should accept them.
    TEXT_JSON = "text-json"
    """The correct body as `text/json`, which older servers send."""
    PLAIN_TEXT = "plain-text"
    """The correct body as `text/plain; charset=utf-8`."""
    OCTET_STREAM = "octet-stream"
    """The correct body as `application/octet-stream`, which is what object stores and some gateways send by default."""
    NO_CONTENT_TYPE = "no-content-type"
    """The correct body and no `Content-Type`, which a recipient may then examine (RFC 9110, 8.3). Ends the connection."""
    BYTE_ORDER_MARK = "byte-order-mark"
    """A BOM before the JSON, as .NET writes it; a parser may ignore it (RFC 8259, 8.1)."""
    ENCODED_UTF8 = "encoded-utf8"
    """`Content-Encoding: utf-8`, which confuses a charset with a coding; the body is unchanged."""
    ENCODED_NONE = "encoded-none"
    """`Content-Encoding: none`; the body is unchanged."""
    LARGE_COOKIE = "large-cookie"
    """A `Set-Cookie` of 9 kB, as login gateways send; many clients read fields of up to 8 kB."""
    MANY_FIELDS = "many-fields"
    """150 more header fields, as a chain of proxies adds."""
    CLOSED_AFTER = "closed-after"
    """The connection is closed after a reply without `Connection: close` (RFC 9112, 9.6 only recommends it)."""
    CLOSED_AT_NEXT = "closed-at-next"
    """The connection is closed without a reply at its next request, as happens to a connection kept alive too long."""


_LASTING = {Fault.BAD_REQUEST, Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.NOT_FOUND}
_LASTING |= {Fault.REDIRECT, Fault.REDIRECT_AWAY, Fault.LOGIN_REDIRECT, Fault.FIREWALL_PAGE, Fault.NOT_MODIFIED}
_COSTLY = {Fault.HANG, Fault.SLOW_DRIP, Fault.GZIP_BOMB, Fault.HUGE_BODY, Fault.HUGE_CHUNKED}

# Only chosen if named, so that a seed gives the same faults as in earlier versions.
_NAMED_ONLY = {Fault.BARE_TOO_MANY_REQUESTS, Fault.THROTTLED_IN_200, Fault.MAINTENANCE_PAGE, Fault.ANOTHER_JOB}
_NAMED_ONLY |= {Fault.RESET_AT_ONCE}

ODD = (
    Fault.TEXT_JSON,
    Fault.PLAIN_TEXT,
    Fault.OCTET_STREAM,
    Fault.NO_CONTENT_TYPE,
    Fault.BYTE_ORDER_MARK,
    Fault.ENCODED_UTF8,
    Fault.ENCODED_NONE,
    Fault.LARGE_COOKIE,
    Fault.MANY_FIELDS,
    Fault.CLOSED_AFTER,
    Fault.CLOSED_AT_NEXT,
)
"""Correct replies in an odd form. A client should accept them."""
TRANSIENT = tuple(fault for fault in Fault if fault not in {*_LASTING, *ODD})
"""The faults after which a client should send the request again."""
PROMPT = tuple(fault for fault in TRANSIENT if fault not in _COSTLY | _NAMED_ONLY)
"""The faults to choose from by default. They cost a client neither time nor memory."""

ParsedEntry: TypeAlias = Fault | SimulatedReply | ReplyOverride | None
ScriptEntry: TypeAlias = ParsedEntry | str
Script: TypeAlias = Iterable[ScriptEntry]


def parse_script(script: Script) -> tuple[ParsedEntry, ...]:
    """A script with names replaced by faults. Raises ValueError for an unknown name."""
    return tuple(Fault(entry) if isinstance(entry, str) else entry for entry in script)


def _parse_kinds(kinds: Iterable[Fault | str]) -> tuple[Fault, ...]:
    return tuple(Fault(kind) for kind in kinds)


@attrs.frozen(kw_only=True)
class Faults:
    """Which requests get a fault by chance, and the size and duration of faults, also of those in scripts.

    Attributes:
        rate: Share of the status requests that get a fault, 0..1.
        kinds: The faults to choose from, equally likely.
        retry_after_s: Seconds named in `Retry-After`. A date has whole seconds, rounded up.
        retry_after: `Retry-After` verbatim in place of those seconds: real servers also send `0`, fractions, dates
            that have passed or are a thousand years away, and other texts.
        hang_s: Seconds after which a hanging connection is closed; None hangs until the client disconnects.
        drip_every_s: Seconds between two bytes of a slow drip.
        huge_bytes: Size of a huge body.
        bomb_bytes: Decompressed size of a gzip bomb; about a thousandth of it is sent.
    """

    rate: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    kinds: tuple[Fault, ...] = attrs.field(
        default=PROMPT, converter=_parse_kinds, validator=attrs.validators.min_len(1)
    )
    retry_after_s: float = attrs.field(default=1.0, validator=attrs.validators.ge(0.0))
    retry_after: str | None = None
    hang_s: float | None = None
    drip_every_s: float = attrs.field(default=0.2, validator=attrs.validators.gt(0.0))
    huge_bytes: int = attrs.field(default=4 << 20, validator=attrs.validators.ge(0))
    bomb_bytes: int = attrs.field(default=128 << 20, validator=attrs.validators.ge(0))

    def choose(self, seed: int, keys: tuple[str, ...], nth: int) -> Fault | None:
        """The fault of the n-th request (from 0) of the job with these keys; None for no fault."""
        if not self.rate:
            return None
        # The keys' repr distinguishes ("a/b",) from ("a", "b"). A hash is ten times cheaper than seeding a Random.
        digest = hashlib.blake2b(f"{seed}/{keys!r}/{nth}".encode(), digest_size=8).digest()
        chance = int.from_bytes(digest) / 2**64
        if chance >= self.rate:
            return None
        return self.kinds[min(math.floor(chance / self.rate * len(self.kinds)), len(self.kinds) - 1)]
