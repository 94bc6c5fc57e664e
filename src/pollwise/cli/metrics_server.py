"""Serves the metrics of a running command to Prometheus, over HTTP.

Rule 1: the address is this machine alone, unless the user names another one. The metrics have no job, status or secret.
Rule 2: the server has its own threads. It ends with the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from pollwise.cli.exit_status import UsageError
from pollwise.errors import ConfigurationError
from pollwise.watcher import JobWatcher

__all__ = ["AddWatcher", "metrics_served"]

_THIS_MACHINE = "127.0.0.1"  # as in `BatchOptions`

AddWatcher: TypeAlias = Callable[[JobWatcher[Any, Any, Any]], object]


@contextlib.asynccontextmanager
async def metrics_served(port: int | None, host: str) -> AsyncIterator[AddWatcher]:
    """Serve metrics while the block runs; do nothing if `port` is None. Yields what adds a watcher.

    Raises:
        UsageError: There is a host without a port, the package prometheus-client is missing, or the address cannot be used.
    """
    if port is None:
        if host != _THIS_MACHINE:
            raise UsageError("--metrics-host needs --metrics-port, such as --metrics-port 9464")
        yield lambda _watcher: None
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415  of an extra

        from pollwise.telemetry.prometheus import WatcherCollector  # noqa: PLC0415
    except (ImportError, ConfigurationError):
        raise UsageError("--metrics-port needs prometheus-client; run: pip install 'pollwise[prometheus]'") from None
    collector, registry = WatcherCollector(), CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise UsageError(
            f"the metrics cannot be served at {host}:{port} ({why}); choose another --metrics-port"
        ) from exc
    shown = f"[{host}]" if ":" in host else host
    print(f"pollwise: metrics at http://{shown}:{server.server_port}/metrics", file=sys.stderr, flush=True)
    try:
        yield collector.add
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
