"""What the log says of a host that fails for every watch."""

from __future__ import annotations

import logging

import pytest

from pollwise.core.host_health import HostHealth, HostState
from pollwise.errors import ConnectFailed
from pollwise.runtime.host_outages import log_host


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
