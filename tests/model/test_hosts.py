"""An outage of a host in one line."""

from __future__ import annotations

import attrs
import pytest

from pollwise.errors import (
    CertificateRejected,
    ConnectFailed,
    PollError,
    PollTimeout,
    ProxyFailed,
    RateLimited,
    ServerUnavailable,
    TlsFailed,
    UnknownHost,
)
from pollwise.model.hosts import HostOutage

OUTAGE = HostOutage(
    origin="https://api.example.com",
    error=ConnectFailed("cannot connect to api.example.com:443: Connection refused"),
    down_s=71.0,
    waiting=1_000,
    next_try_s=3.6,
)


def test_an_outage_is_one_line() -> None:
    """Which host, for how long, why, how many jobs wait, and when it is asked next."""
    assert str(OUTAGE) == (
        "api.example.com has not answered for 71 s (Connection refused); 1,000 jobs wait; next try in 4 s"
    )


def test_the_line_can_name_the_time_of_day() -> None:
    """In place of the length."""
    assert "has not answered since 12:03:11 (Connection refused); 1,000" in OUTAGE.line("since 12:03:11")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ServerUnavailable(503), "HTTP 503"),
        (PollTimeout(30.0), "no reply within 30 s"),
        (TlsFailed("handshake failed"), "handshake failed"),
        (
            CertificateRejected("certificate has expired", 10),
            "its certificate was not accepted: certificate has expired",
        ),
        (UnknownHost("cannot connect to api.example.com:443: no name", "api.example.com"), "its name does not exist"),
        (
            ProxyFailed("the proxy p:1 is unreachable: Connection refused"),
            "the proxy p:1 is unreachable: Connection refused",
        ),
        (ProxyFailed("the proxy answered with HTTP 407", 407), "the proxy answered with HTTP 407"),
        (RateLimited(None), "RateLimited"),
    ],
)
def test_the_reason_is_short(error: PollError, reason: str) -> None:
    """A line has no room for advice."""
    outage = attrs.evolve(OUTAGE, error=error, waiting=1, origin="http://127.0.0.1:8080")
    assert str(outage).startswith(f"http://127.0.0.1:8080 has not answered for 71 s ({reason}); 1 job waits;")
