"""Logs a host that fails for every watch: one warning, and not one for each watch."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pollwise.core.host_health import HostHealth, HostState

__all__ = ["log_host"]

_log = logging.getLogger(__name__)


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
        _log.log(level, "%s: %s", endpoint, outage.since(clock()))
    elif before is HostState.DOWN:
        _log.warning("%s: %s answers again", endpoint, host.origin.removeprefix("https://"))
