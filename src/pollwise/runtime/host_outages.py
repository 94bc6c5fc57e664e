"""Logs a host that fails for every watch: one warning, and not one for each watch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from pollwise.core.host_health import HostHealth, HostState
from pollwise.model.hosts import HostOutage

__all__ = ["line_since", "log_host"]

_log = logging.getLogger(__name__)


def line_since(outage: HostOutage, wall_now: float) -> str:
    """The line of an outage with the time of day when it began, in the local time zone. `wall_now` is in epoch seconds."""
    began = datetime.fromtimestamp(wall_now - outage.down_s, UTC).astimezone()
    return outage.line(f"since {began:%H:%M:%S}")


def log_host(
    endpoint: str, now: Callable[[], float], clock: Callable[[], float], host: HostHealth, before: HostState
) -> None:
    """Log what has changed.

    Args:
        endpoint: The name of the endpoint, for the text.
        now: Returns monotonic seconds.
        clock: Returns the time in epoch seconds.
        host: The host.
        before: Its state before.
    """
    outage = host.outage(now())
    if outage is not None:
        level = logging.WARNING if before is not HostState.DOWN else logging.INFO
        _log.log(level, "%s: %s", endpoint, line_since(outage, clock()))
    elif before is HostState.DOWN:
        _log.warning("%s: %s answers again", endpoint, host.origin.removeprefix("https://"))
