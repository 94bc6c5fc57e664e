"""A host that fails for every watch, as a caller sees it."""

from __future__ import annotations

import attrs

from pollwise.errors import (
    CertificateRejected,
    ConnectFailed,
    PollError,
    PollTimeout,
    ProxyFailed,
    ServerUnavailable,
    TlsFailed,
    UnknownHost,
)

__all__ = ["HostOutage"]

_LONGEST_REASON = 200  # characters


@attrs.frozen(kw_only=True)
class HostOutage:
    """A host that fails for every watch of a token. Polls of it are not sent, but for one probe at a time.

    Attributes:
        origin: Scheme, name and port, such as `https://api.example.com`.
        error: The error of the last probe.
        down_s: Seconds since the first of the failures in a row.
        waiting: How many jobs were due since, and wait for an answer.
        next_try_s: Seconds until the next probe may go.
    """

    origin: str
    error: PollError
    down_s: float
    waiting: int
    next_try_s: float

    def __str__(self) -> str:
        return self.line(f"for {self.down_s:,.0f} s")

    def line(self, how_long: str) -> str:
        """What is known, in one line. `how_long` says for how long or since when, such as `since 12:03:11`."""
        jobs = "1 job waits" if self.waiting == 1 else f"{self.waiting:,} jobs wait"
        host, reason = self.origin.removeprefix("https://"), _reason(self.error)
        return f"{host} has not answered {how_long} ({reason}); {jobs}; next try in {self.next_try_s:.0f} s"


def _reason(error: PollError) -> str:
    match error:
        case ServerUnavailable():
            reason = f"HTTP {error.http_status}"
        case PollTimeout():
            reason = f"no reply within {error.seconds:g} s"
        case UnknownHost():
            reason = "its name does not exist"
        case CertificateRejected():
            reason = f"its certificate was not accepted: {error.detail}"
        case ProxyFailed():
            reason = error.detail
        case ConnectFailed() | TlsFailed():
            reason = error.detail.rpartition(": ")[2]
        case _:
            reason = type(error).__name__
    return reason[:_LONGEST_REASON]
