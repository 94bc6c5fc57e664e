"""Which failures of the first polls waiting cannot mend.

Rule 1: they end a watch only while no poll of its watcher has worked. After that each of them is an outage like any other.
Rule 2: a certificate that does not verify, 501, 505 and a proxy's refusal end it at once. A host name that does not exist
must be seen twice in a row, because a resolver may be wrong for a moment. So must a server that does not answer with TLS,
because it may be restarting. A web page must be seen three times, because a gateway may show one while the API is being
replaced. Each kind is counted apart, so a page after an unknown name is the first page.
Rule 3: a server that says when to come back is believed: such a 501 or 505 is an outage.
"""

from __future__ import annotations

from typing import Final

import attrs

from pollwise.errors import (
    CertificateRejected,
    MalformedReply,
    PollError,
    ProxyFailed,
    ServerUnavailable,
    TlsFailed,
    UnknownHost,
)

__all__ = ["SECOND_LOOK_AFTER_S", "SECOND_LOOK_S", "PollHistory", "looks_needed"]

SECOND_LOOK_AFTER_S: Final = 0.5
"""The shortest time until a failure is looked at again."""

SECOND_LOOK_S: Final = 2.0
"""The longest time until a failure is looked at again."""

_UNSUPPORTED: Final = frozenset({501, 505})  # RFC 9110, 15.6.2 and 15.6.6
_PASSING: Final = frozenset({408, 425, 429})  # refusals of a proxy that pass


@attrs.define
class PollHistory:
    """What the polls of one watcher have shown.

    Attributes:
        has_worked: Whether there was a good reading, of any of its jobs.
    """

    has_worked: bool = False


def looks_needed(error: PollError) -> int:
    """How many such failures in a row show that the set-up is wrong: from 1. 0 for a failure that may pass."""
    match error:
        case CertificateRejected():
            return 1
        case UnknownHost() | TlsFailed(is_no_tls=True):
            return 2
        case ProxyFailed(http_status=int(status)):
            return int(400 <= status < 500 and status not in _PASSING)
        case ServerUnavailable(http_status=status, retry_after_s=None):
            return int(status in _UNSUPPORTED)
        case MalformedReply():
            return 3 if error.is_web_page else 0
    return 0
