"""What can go wrong with a reply, and when it does.

Rule 1: a fault happens by script (the n-th request of a job gets the n-th entry) or by rate, never on a whim.
Rule 2: by rate is decided by (seed, job, n) alone, so a run can be repeated, in any order of the jobs.
Rule 3: this file only names and chooses. `spoiling` and `acting` know how each fault looks on the wire.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable
from typing import TypeAlias

import attrs

from pollwise.simulator.replies import Amended, Answer

__all__ = [
    "ODD",
    "PROMPT",
    "TRANSIENT",
    "Entry",
    "Fault",
    "Faults",
    "Script",
    "ScriptEntry",
    "read_script",
]


class Fault(enum.Enum):
    """One way for a reply to go wrong. The values are the names to use in text, as on a command line."""

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
    """429 and no word of when to come back, as gateways answer that shed load (RFC 6585, 4: the hint is optional)."""
    THROTTLED_IN_200 = "throttled-in-200"
    """The vendor's error document about its rate limit under HTTP 200, as GraphQL and RPC-like APIs have it."""
    NOT_MODIFIED = "not-modified"
    """304 with no body (RFC 9110, 15.4.5): what was seen before still holds. Sent also where nothing was asked for."""
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
    """302 to another host name, which leads to the simulator again, so that a leaked credential is seen."""

    LOGIN_REDIRECT = "login-redirect"
    """302 to a login page, as gateways answer whose session has expired."""
    FIREWALL_PAGE = "firewall-page"
    """403 with the HTML page of a web application firewall, which says nothing about the job."""

    # Bodies that are no status document, under a status code that promises one.
    HTML_PAGE = "html-page"
    """200 with an HTML login page."""
    MAINTENANCE_PAGE = "maintenance-page"
    """200 with the HTML page of a maintenance window."""
    ANOTHER_JOB = "another-job"
    """The status of another task that has succeeded, as a cache or a router gone wrong answers. Oracle Content
    Management's statuses do not name their job, and stay as they are."""
    JSON_AS_HTML = "json-as-html"
    """The right body labelled `text/html`."""
    BROKEN_JSON = "broken-json"
    INVALID_UTF8 = "invalid-utf8"
    NULL_FIELD = "null-field"
    """`task_status` or `progress` is null."""
    MISSING_FIELD = "missing-field"
    """`is_complete` or `progress` is absent."""
    MISTYPED_FIELD = "mistyped-field"
    NOT_AN_OBJECT = "not-an-object"
    DEEP_JSON = "deep-json"
    """Valid JSON, nested deeper than a recursive parser can go."""
    EMPTY_BODY = "empty-body"
    NO_CONTENT = "no-content"
    BROKEN_GZIP = "broken-gzip"
    """Labelled gzip, and is not."""
    GZIP_BOMB = "gzip-bomb"
    HUGE_BODY = "huge-body"
    """The right document, padded with blanks past any sensible limit, with its `Content-Length`."""
    HUGE_CHUNKED = "huge-chunked"
    """The same without telling its length first."""

    # The connection itself.
    HANG = "hang"
    """No reply until the client gives up or the simulator closes."""
    SLOW_DRIP = "slow-drip"
    """The right reply, a byte at a time."""
    CLOSED = "closed"
    """The connection ends before the reply. aiohttp's client quietly sends a GET once more when that happens."""
    RESET = "reset"
    """RST in the middle of the body."""
    RESET_AT_ONCE = "reset-at-once"
    """RST before the reply, as a load balancer answers whose server has gone."""
    TRUNCATED = "truncated"
    """The body ends before its `Content-Length`."""
    TRUNCATED_CHUNKED = "truncated-chunked"
    """The body ends before its last chunk."""
    NOT_HTTP = "not-http"

    # Right replies in an odd form: a client should read them as if nothing were odd.
    TEXT_JSON = "text-json"
    """The right body as `text/json`, which older servers send."""
    PLAIN_TEXT = "plain-text"
    """The right body as `text/plain; charset=utf-8`."""
    OCTET_STREAM = "octet-stream"
    """The right body as `application/octet-stream`, which is what object stores and some gateways send by default."""
    NO_CONTENT_TYPE = "no-content-type"
    """The right body and no `Content-Type`, which a recipient may then examine (RFC 9110, 8.3). Ends the connection."""
    BYTE_ORDER_MARK = "byte-order-mark"
    """A BOM before the JSON, as .NET writes it; a parser may ignore it (RFC 8259, 8.1)."""
    ENCODED_UTF8 = "encoded-utf8"
    """`Content-Encoding: utf-8`, which mixes up a charset and a coding; the body is as it is."""
    ENCODED_NONE = "encoded-none"
    """`Content-Encoding: none`; the body is as it is."""
    LARGE_COOKIE = "large-cookie"
    """A `Set-Cookie` of 9 kB, as login gateways send; many clients read fields of up to 8 kB."""
    MANY_FIELDS = "many-fields"
    """150 more header fields, as a chain of proxies adds."""
    CLOSED_AFTER = "closed-after"
    """The connection is closed after the reply, which did not say so (RFC 9112, 9.6 only asks servers to)."""
    CLOSED_AT_NEXT = "closed-at-next"
    """The connection is closed without a word when its next request comes, as one that was kept for too long is."""


_LASTING = {Fault.BAD_REQUEST, Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.NOT_FOUND}
_LASTING |= {Fault.REDIRECT, Fault.REDIRECT_AWAY, Fault.LOGIN_REDIRECT, Fault.FIREWALL_PAGE, Fault.NOT_MODIFIED}
_COSTLY = {Fault.HANG, Fault.SLOW_DRIP, Fault.GZIP_BOMB, Fault.HUGE_BODY, Fault.HUGE_CHUNKED}

# These happen where they are named, so that a seed goes on meaning the same faults.
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
"""Right replies in an odd form: no faults, for a client that is not too strict."""
TRANSIENT = tuple(fault for fault in Fault if fault not in {*_LASTING, *ODD})
"""The faults that a client should outlive by asking again."""
PROMPT = tuple(fault for fault in TRANSIENT if fault not in _COSTLY | _NAMED_ONLY)
"""The transient faults that happen by chance unless others are named; they cost a client neither waiting nor megabytes."""

Entry: TypeAlias = Fault | Answer | Amended | None
ScriptEntry: TypeAlias = Entry | str
Script: TypeAlias = Iterable[ScriptEntry]


def read_script(script: Script) -> tuple[Entry, ...]:
    """A script with names turned into faults. Raises ValueError for a name that is none."""
    return tuple(Fault(entry) if isinstance(entry, str) else entry for entry in script)


def _read_kinds(kinds: Iterable[Fault | str]) -> tuple[Fault, ...]:
    return tuple(Fault(kind) for kind in kinds)


@attrs.frozen(kw_only=True)
class Faults:
    """Which requests go wrong by chance, and how large, slow or lasting faults are, also those of scripts.

    Attributes:
        rate: Share of the status requests that go wrong, 0..1.
        kinds: The faults to choose from, all equally likely.
        retry_after_s: Seconds named in `Retry-After`. A date has whole seconds, rounded up.
        retry_after: `Retry-After` verbatim in place of those seconds: real servers also send `0`, fractions, dates
            that have passed or are a thousand years away, and what is none of these.
        hang_s: Seconds after which a hanging connection is closed; None hangs until the client gives up.
        drip_every_s: Seconds between two bytes of a slow drip.
        huge_bytes: Size of a huge body.
        bomb_bytes: Size of a gzip bomb once inflated; about a thousandth of it is sent.
    """

    rate: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    kinds: tuple[Fault, ...] = attrs.field(default=PROMPT, converter=_read_kinds, validator=attrs.validators.min_len(1))
    retry_after_s: float = attrs.field(default=1.0, validator=attrs.validators.ge(0.0))
    retry_after: str | None = None
    hang_s: float | None = None
    drip_every_s: float = attrs.field(default=0.2, validator=attrs.validators.gt(0.0))
    huge_bytes: int = attrs.field(default=4 << 20, validator=attrs.validators.ge(0))
    bomb_bytes: int = attrs.field(default=128 << 20, validator=attrs.validators.ge(0))

    def draw(self, seed: int, keys: tuple[str, ...], nth: int) -> Fault | None:
        """What happens to the n-th request (from 0) of the job with these keys; None if nothing does."""
        if not self.rate:
            return None
        # The keys' repr keeps ("a/b",) and ("a", "b") apart; a hash is ten times cheaper than seeding a Random.
        digest = hashlib.blake2b(f"{seed}/{keys!r}/{nth}".encode(), digest_size=8).digest()
        dice = int.from_bytes(digest) / 2**64
        if dice >= self.rate:
            return None
        return self.kinds[min(math.floor(dice / self.rate * len(self.kinds)), len(self.kinds) - 1)]
