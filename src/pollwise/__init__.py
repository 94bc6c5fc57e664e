"""Await the jobs that other people's servers run.

    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        status = await watcher.watch(job)

What most callers need is here. The rest:

    pollwise.endpoints  the vendors' endpoints, and what the author of another one needs
    pollwise.errors     every error, but the ledger's
    pollwise.http       transport and credentials
    pollwise.ledger     the durable record, and its errors
    pollwise.progress   progress bars for your program, with rich or tqdm
    pollwise.simulator  a server that behaves, and misbehaves, like the vendors
    pollwise.sync       the same without asyncio: for scripts, notebooks and threads
    pollwise.telemetry  what a watcher counts, and whom it tells: `stats()`, observers, OpenTelemetry and Prometheus
    pollwise.testing    a virtual clock, a scripted transport, and checks for an endpoint

Rule: `import pollwise` imports no other module of it. A name imports its own module when it is first used, so a program that
only reads errors never loads aiohttp.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pollwise.core.pacing import Pacing, Retry
    from pollwise.core.rate_budget import RateBudget
    from pollwise.durable.delivery import Deliveries, Delivery
    from pollwise.errors import (
        ConfigurationError,
        DeadlineExceeded,
        JobCancelled,
        JobFailed,
        PollwiseError,
        WatchError,
    )
    from pollwise.http import AiohttpTransport, ApiKeyAuth, BasicAuth, BearerAuth, ClientCredentialsAuth
    from pollwise.ledger import SqliteLedger
    from pollwise.model.events import (
        Abandoned,
        Cancelled,
        Event,
        Failed,
        Outcome,
        Progressed,
        Retrying,
        Succeeded,
        Throttled,
    )
    from pollwise.model.limits import Limits, ReplyLimits
    from pollwise.model.messages import Reply, Request
    from pollwise.model.protocols import Endpoint
    from pollwise.model.reading import Phase, Reading
    from pollwise.runtime.watch import Watch
    from pollwise.watcher import JobWatcher

    __version__: str

__all__ = [
    "Abandoned",
    "AiohttpTransport",
    "ApiKeyAuth",
    "BasicAuth",
    "BearerAuth",
    "Cancelled",
    "ClientCredentialsAuth",
    "ConfigurationError",
    "DeadlineExceeded",
    "Deliveries",
    "Delivery",
    "Endpoint",
    "Event",
    "Failed",
    "JobCancelled",
    "JobFailed",
    "JobWatcher",
    "Limits",
    "Outcome",
    "Pacing",
    "Phase",
    "PollwiseError",
    "Progressed",
    "RateBudget",
    "Reading",
    "Reply",
    "ReplyLimits",
    "Request",
    "Retry",
    "Retrying",
    "SqliteLedger",
    "Succeeded",
    "Throttled",
    "Watch",
    "WatchError",
    "__version__",
]


_NAMES = {
    "core.pacing": ("Pacing", "Retry"),
    "core.rate_budget": ("RateBudget",),
    "durable.delivery": ("Deliveries", "Delivery"),
    "errors": ("ConfigurationError", "DeadlineExceeded", "JobCancelled", "JobFailed", "PollwiseError", "WatchError"),
    "http": ("AiohttpTransport", "ApiKeyAuth", "BasicAuth", "BearerAuth", "ClientCredentialsAuth"),
    "ledger": ("SqliteLedger",),
    "model.events": (
        "Abandoned",
        "Cancelled",
        "Event",
        "Failed",
        "Outcome",
        "Progressed",
        "Retrying",
        "Succeeded",
        "Throttled",
    ),
    "model.limits": ("Limits", "ReplyLimits"),
    "model.messages": ("Reply", "Request"),
    "model.protocols": ("Endpoint",),
    "model.reading": ("Phase", "Reading"),
    "runtime.watch": ("Watch",),
    "watcher": ("JobWatcher",),
}
"""The names by their modules. A module is imported when one of its names is used."""
_PARTS = ("errors", "http", "ledger")
_MODULE_OF = {name: f"pollwise.{module}" for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker sees the imports above; with `__getattr__` it would accept every name

    def __getattr__(name: str) -> object:
        """Import a name when it is first used (PEP 562)."""
        if name == "__version__":
            value = import_module("importlib.metadata").version("pollwise")
        elif name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        elif name in _PARTS:
            value = import_module(f"pollwise.{name}")
        else:
            raise AttributeError(f"module 'pollwise' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """What a caller imports; the other parts of the package are internal."""
    return [*__all__, *_PARTS]
