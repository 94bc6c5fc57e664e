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
"""

from __future__ import annotations

from pollwise import _early_interrupt  # first: it handles Ctrl-C during the imports below

# isort: split
from importlib.metadata import version as _version

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

__version__ = _version("pollwise")
_early_interrupt.end()

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


def __dir__() -> list[str]:
    """What a caller imports; the other parts of the package are internal."""
    return [*__all__, "errors", "http", "ledger"]
