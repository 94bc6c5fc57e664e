"""Every error that pollwise raises or reports, as one tree.

    PollwiseError
    ├── JobError                  the job ended, and the vendor says that it did not succeed
    │   ├── JobFailed
    │   └── JobCancelled
    ├── WatchError                the watch ended before the job did
    │   ├── DeadlineExceeded          (also a TimeoutError)
    │   ├── RetriesExhausted
    │   ├── SetupError                (nothing has worked yet, and waiting cannot mend that)
    │   ├── JobNotFound
    │   ├── RequestRejected
    │   ├── AuthenticationError
    │   ├── PermissionDenied
    │   ├── ClockSkewed
    │   ├── UnknownOutcome
    │   ├── EndpointBug
    │   ├── CallbackFailed
    │   ├── LedgerWriteFailed
    │   ├── UnrestoredError
    │   ├── ResultTooLarge
    │   ├── CancelDoubtful
    │   ├── SubmitDoubtful
    │   ├── UnsafeUrl
    │   ├── WatchStopped
    │   └── WatcherClosed
    ├── PollError                 one poll brought no reading; the job is asked about again
    │   ├── ConnectFailed             (also a ConnectionError)
    │   │   ├── StaleConnection
    │   │   ├── UnknownHost
    │   │   └── ProxyFailed
    │   ├── TlsFailed                 (also a ConnectionError)
    │   │   └── CertificateRejected
    │   ├── PollTimeout               (also a TimeoutError)
    │   ├── ServerUnavailable
    │   ├── RateLimited
    │   ├── NotVisibleYet
    │   ├── MalformedReply
    │   │   └── ReplyTooLarge
    │   └── UnrestoredPollError
    ├── LedgerError               the ledger could not be opened, read or written: see pollwise.ledger
    └── ConfigurationError        an argument cannot be right (also a ValueError)
        ├── InsecureUrl               (also a WatchError, because it can end a watch)
        ├── OriginChanged             (also a WatchError, because it can end a watch)
        └── TokenError

Rule 1: data is in attributes. The message is made from them and says what the reader can do next.
Rule 2: every error survives pickling, so it can be sent to another process.
Rule 3: no error holds a secret. Excerpts of replies are redacted before they get here.
"""

from __future__ import annotations

from pollwise.errors._configuration import ConfigurationError, InsecureUrl, OriginChanged, TokenError
from pollwise.errors._jobs import JobCancelled, JobError, JobFailed
from pollwise.errors._polls import (
    CertificateRejected,
    ConnectFailed,
    MalformedReply,
    NotVisibleYet,
    PollError,
    PollTimeout,
    ProxyFailed,
    RateLimited,
    ReplyTooLarge,
    ServerUnavailable,
    StaleConnection,
    TlsFailed,
    UnknownHost,
    UnrestoredPollError,
)
from pollwise.errors._root import PollwiseError, Problem
from pollwise.errors._watches import (
    AuthenticationError,
    CallbackFailed,
    CancelDoubtful,
    ClockSkewed,
    DeadlineExceeded,
    EndpointBug,
    JobNotFound,
    LedgerWriteFailed,
    PermissionDenied,
    RequestRejected,
    ResultTooLarge,
    RetriesExhausted,
    SetupError,
    SubmitDoubtful,
    UnknownOutcome,
    UnrestoredError,
    UnsafeUrl,
    WatcherClosed,
    WatchError,
    WatchStopped,
)

__all__ = [
    "AuthenticationError",
    "CallbackFailed",
    "CancelDoubtful",
    "CertificateRejected",
    "ClockSkewed",
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
    "ProxyFailed",
    "RateLimited",
    "ReplyTooLarge",
    "RequestRejected",
    "ResultTooLarge",
    "RetriesExhausted",
    "ServerUnavailable",
    "SetupError",
    "StaleConnection",
    "SubmitDoubtful",
    "TlsFailed",
    "TokenError",
    "UnknownHost",
    "UnknownOutcome",
    "UnrestoredError",
    "UnrestoredPollError",
    "UnsafeUrl",
    "WatchError",
    "WatchStopped",
    "WatcherClosed",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # a traceback and a pickle name the class where a caller imports it
