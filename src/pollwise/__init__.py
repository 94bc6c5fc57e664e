"""Await the jobs that other people's servers run.

    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        status = await watcher.watch(job)

The endpoints are in `pollwise.endpoints`; what a caller's tests need is in `pollwise.testing`.
"""

from __future__ import annotations

from importlib.metadata import version as _version

from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.durable.delivery import Deliveries, Delivery
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ConfigurationError,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    InsecureUrl,
    JobCancelled,
    JobError,
    JobFailed,
    JobNotFound,
    LedgerWriteFailed,
    MalformedReply,
    NotVisibleYet,
    OriginChanged,
    PermissionDenied,
    PollError,
    PollTimeout,
    PollwiseError,
    Problem,
    RateLimited,
    ReplyTooLarge,
    RequestRejected,
    RetriesExhausted,
    ServerUnavailable,
    StaleConnection,
    TlsFailed,
    TokenError,
    UnknownOutcome,
    UnrestoredError,
    WatcherClosed,
    WatchError,
    WatchStopped,
)
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth, ClientCredentialsAuth, RenewingAuth
from pollwise.http.transport import AiohttpTransport
from pollwise.ledger import (
    Ledger,
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerTooNew,
    LedgerUnwritable,
    NotALedger,
    SqliteLedger,
)
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
from pollwise.model.limits import Limits
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint, Transport
from pollwise.model.reading import Phase, Reading
from pollwise.runtime.watch import Watch
from pollwise.watcher import JobWatcher

__version__ = _version("pollwise")

__all__ = [
    "Abandoned",
    "AiohttpTransport",
    "ApiKeyAuth",
    "Auth",
    "AuthenticationError",
    "BasicAuth",
    "BearerAuth",
    "CallbackFailed",
    "Cancelled",
    "ClientCredentialsAuth",
    "ConfigurationError",
    "ConnectFailed",
    "DeadlineExceeded",
    "Deliveries",
    "Delivery",
    "Endpoint",
    "EndpointBug",
    "Event",
    "Failed",
    "InsecureUrl",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobNotFound",
    "JobWatcher",
    "Ledger",
    "LedgerClosed",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerFailed",
    "LedgerFull",
    "LedgerInUse",
    "LedgerMissing",
    "LedgerTooNew",
    "LedgerUnwritable",
    "LedgerWriteFailed",
    "Limits",
    "MalformedReply",
    "NotALedger",
    "NotVisibleYet",
    "OriginChanged",
    "Outcome",
    "Pacing",
    "PermissionDenied",
    "Phase",
    "PollError",
    "PollTimeout",
    "PollwiseError",
    "Problem",
    "Progressed",
    "RateBudget",
    "RateLimited",
    "Reading",
    "RenewingAuth",
    "Reply",
    "ReplyTooLarge",
    "Request",
    "RequestRejected",
    "RetriesExhausted",
    "Retry",
    "Retrying",
    "ServerUnavailable",
    "SqliteLedger",
    "StaleConnection",
    "Succeeded",
    "Throttled",
    "TlsFailed",
    "TokenError",
    "Transport",
    "UnknownOutcome",
    "UnrestoredError",
    "Watch",
    "WatchError",
    "WatchStopped",
    "WatcherClosed",
    "__version__",
]
