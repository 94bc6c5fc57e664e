"""Await the jobs that other people's servers run.

    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        status = await watcher.watch(job)

The endpoints are in `pollwise.endpoints`; what a caller's tests need is in `pollwise.testing`.
"""

from __future__ import annotations

from importlib.metadata import version as _version

from pollwise.auth import ApiKeyAuth, BasicAuth, BearerAuth, ClientCredentialsAuth, RenewingAuth
from pollwise.core.budget import RateBudget
from pollwise.core.events import (
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
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.phase import Phase, Reading
from pollwise.core.wire import Auth, Endpoint, Reply, Request, Transport
from pollwise.delivery import Deliveries, Delivery
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ConfigurationError,
    ConnectFailed,
    DeadlineExceeded,
    EarlierError,
    EndpointBug,
    InsecureUrl,
    JobCancelled,
    JobError,
    JobFailed,
    JobNotFound,
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerTooNew,
    LedgerTrouble,
    LedgerUnwritable,
    MalformedReply,
    NotALedger,
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
    ServerTrouble,
    StaleConnection,
    TlsFailed,
    TokenError,
    UnknownOutcome,
    WatcherClosed,
    WatchError,
    WatchStopped,
)
from pollwise.ledger import Ledger, SqliteLedger
from pollwise.transport import AiohttpTransport
from pollwise.watch import Watch
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
    "EarlierError",
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
    "LedgerTrouble",
    "LedgerUnwritable",
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
    "ServerTrouble",
    "SqliteLedger",
    "StaleConnection",
    "Succeeded",
    "Throttled",
    "TlsFailed",
    "TokenError",
    "Transport",
    "UnknownOutcome",
    "Watch",
    "WatchError",
    "WatchStopped",
    "WatcherClosed",
    "__version__",
]
