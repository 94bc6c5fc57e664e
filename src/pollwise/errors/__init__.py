"""Every error that pollwise raises or reports, as one tree.

    PollwiseError
    ├── JobError                  the job is over, and not well: the vendor said so
    │   ├── JobFailed
    │   └── JobCancelled
    ├── WatchError                we stopped looking; the job may well be running
    │   ├── DeadlineExceeded          (also a TimeoutError)
    │   ├── RetriesExhausted
    │   ├── JobNotFound
    │   ├── RequestRejected
    │   ├── AuthenticationError
    │   ├── PermissionDenied
    │   ├── UnknownOutcome
    │   ├── EndpointBug
    │   ├── CallbackFailed
    │   ├── LedgerWriteFailed
    │   ├── UnrestoredError
    │   ├── WatchStopped
    │   └── WatcherClosed
    ├── PollError                 one poll taught nothing; asked again later
    │   ├── ConnectFailed             (also a ConnectionError)
    │   │   └── StaleConnection
    │   ├── TlsFailed                 (also a ConnectionError)
    │   ├── PollTimeout               (also a TimeoutError)
    │   ├── ServerUnavailable
    │   ├── RateLimited
    │   ├── NotVisibleYet
    │   ├── MalformedReply
    │   │   └── ReplyTooLarge
    │   └── UnrestoredPollError
    ├── LedgerError               see pollwise.ledger: the durable record could not be opened, read or written
    └── ConfigurationError        the caller asked for something that cannot be (also a ValueError)
        ├── InsecureUrl               (also a WatchError, where a watch would have sent it)
        ├── OriginChanged             (also a WatchError, where a watch would have gone on)
        └── TokenError

Rule 1: data is in attributes; the message is made from them and says what the reader can do next.
Rule 2: every error survives pickling, so it can cross a process or a queue.
Rule 3: no secret is ever put in one: excerpts of replies arrive here already redacted.
"""

from __future__ import annotations

from pollwise.errors._configuration import ConfigurationError, InsecureUrl, OriginChanged, TokenError
from pollwise.errors._jobs import JobCancelled, JobError, JobFailed
from pollwise.errors._polls import (
    ConnectFailed,
    MalformedReply,
    NotVisibleYet,
    PollError,
    PollTimeout,
    RateLimited,
    ReplyTooLarge,
    ServerUnavailable,
    StaleConnection,
    TlsFailed,
    UnrestoredPollError,
)
from pollwise.errors._root import PollwiseError, Problem
from pollwise.errors._watches import (
    AuthenticationError,
    CallbackFailed,
    DeadlineExceeded,
    EndpointBug,
    JobNotFound,
    LedgerWriteFailed,
    PermissionDenied,
    RequestRejected,
    RetriesExhausted,
    UnknownOutcome,
    UnrestoredError,
    WatcherClosed,
    WatchError,
    WatchStopped,
)

__all__ = [
    "AuthenticationError",
    "CallbackFailed",
    "ConfigurationError",
    "ConnectFailed",
    "DeadlineExceeded",
    "EndpointBug",
    "InsecureUrl",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobNotFound",
    "LedgerWriteFailed",
    "MalformedReply",
    "NotVisibleYet",
    "OriginChanged",
    "PermissionDenied",
    "PollError",
    "PollTimeout",
    "PollwiseError",
    "Problem",
    "RateLimited",
    "ReplyTooLarge",
    "RequestRejected",
    "RetriesExhausted",
    "ServerUnavailable",
    "StaleConnection",
    "TlsFailed",
    "TokenError",
    "UnknownOutcome",
    "UnrestoredError",
    "UnrestoredPollError",
    "WatchError",
    "WatchStopped",
    "WatcherClosed",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # a traceback and a pickle name the class where a caller imports it
del _name
