"""What the log says of a host that fails for every watch."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from pollwise.core.host_health import HostHealth, HostState
from pollwise.errors import ConnectFailed
from pollwise.model.hosts import HostOutage
from pollwise.runtime.host_outages import line_since, log_host


def test_an_outage_is_one_warning_and_its_end_another(caplog: pytest.LogCaptureFixture) -> None:
    """The failed probes in between are information."""
    caplog.set_level(logging.INFO)
    host = HostHealth("https://a.example")
    host.state, host.error, host.since = HostState.DOWN, ConnectFailed("refused"), 0.0

    def log(before: HostState) -> None:
        log_host("toy", lambda: 60.0, lambda: 1_000_060.0, host, before)

    log(HostState.SUSPECTED)
    log(HostState.DOWN)
    host.state = HostState.RETURNING
    log(HostState.DOWN)
    host.state = HostState.ANSWERING
    log(HostState.RETURNING)
    assert [(record.levelname, record.getMessage()[:35]) for record in caplog.records] == [
        ("WARNING", "toy: a.example has not answered sin"),
        ("INFO", "toy: a.example has not answered sin"),
        ("WARNING", "toy: a.example answers again"),
    ]


def test_the_line_names_the_time_of_day() -> None:
    """In the local time zone."""
    now = datetime(2026, 11, 30, 12, 4, 22, tzinfo=UTC)
    began = datetime(2026, 11, 30, 12, 3, 11, tzinfo=UTC).astimezone()
    refused = ConnectFailed("refused")
    outage = HostOutage(origin="https://a.example", error=refused, down_s=71.0, waiting=1, next_try_s=2.0)
    assert f"a.example has not answered since {began:%H:%M:%S} (refused); 1 job waits" in line_since(
        outage, now.timestamp()
    )
