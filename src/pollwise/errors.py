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
    ├── LedgerError               the durable record of watches could not be opened, read or written
    │   ├── LedgerMissing
    │   ├── NotALedger
    │   ├── LedgerTooNew
    │   ├── LedgerCorrupt
    │   ├── LedgerFull
    │   ├── LedgerUnwritable
    │   ├── LedgerInUse
    │   ├── LedgerFailed
    │   └── LedgerClosed
    └── ConfigurationError        the caller asked for something that cannot be (also a ValueError)
        ├── InsecureUrl               (also a WatchError, where a watch would have sent it)
        ├── OriginChanged             (also a WatchError, where a watch would have gone on)
        └── TokenError

Rule 1: data is in attributes; the message is made from them and says what the reader can do next.
Rule 2: every error survives pickling, so it can cross a process or a queue.
Rule 3: no secret is ever put in one: excerpts of replies arrive here already redacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

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
    "MalformedReply",
    "NotALedger",
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


@attrs.frozen
class Problem:
    """What a vendor wrote in the body of a refusal: its codes and words, unaltered.

    Attributes:
        codes: The vendor's error codes in their order, for example `("-96",)`.
        descriptions: The vendor's texts in their order. Untrusted: never render them as markup.
        key: A symbolic name of the error, where the vendor has one.
        job_unknown: True where the vendor's codes mean that the job does not exist for this caller.
    """

    codes: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    key: str | None = None
    job_unknown: bool = False

    def __str__(self) -> str:
        words = [_printable(text) for text in self.descriptions]
        if self.key is not None:
            words.append(_printable(self.key))
        if self.codes:
            words.append("code " + ", ".join(map(_printable, self.codes)))
        return "; ".join(words) or "no details given"


def _printable(text: str) -> str:
    """A vendor's text, as safe to print: no escape codes, no line breaks, no invisible reordering."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _words(problem: Problem | None) -> str:
    return "" if problem is None else f" The server said: {problem}."


class PollwiseError(Exception):
    """The root of the tree. Catch this to catch all that pollwise can raise."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The state that attrs gives a slotted class has its fields alone: notes, and what else was put on the error,
        # would be left behind.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[PollwiseError], args: tuple[Any, ...], more: dict[str, Any]) -> PollwiseError:
    """The error once more, as a pickle or a copy makes it."""
    error = kind(*args)
    error.__dict__.update(more)
    if "__notes__" in more:
        error.__dict__["__notes__"] = list(more["__notes__"])  # a note on a copy is the copy's
    return error


# --- the job is over, and not well ------------------------------------------------------------


class JobError(PollwiseError):
    """The vendor's own answer says that the job did not succeed."""


@attrs.define
class JobFailed(JobError):
    """The job ended in failure. `status` is the vendor's typed status, nothing thrown away."""

    job: Any
    status: Any
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {_printable(self.reason)}" if self.reason else ""
        return f"{self.job} failed{why}. See .status for all that the server reported."


@attrs.define
class JobCancelled(JobError):
    """The job was cancelled on the server's side. `status` is the vendor's typed status."""

    job: Any
    status: Any
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {_printable(self.reason)}" if self.reason else ""
        return f"{self.job} was cancelled{why}. Start it again if it is still wanted."


# --- we stopped looking -----------------------------------------------------------------------


class WatchError(PollwiseError):
    """The watch ended without learning how the job ended; the job may well be running."""


@attrs.define
class DeadlineExceeded(WatchError, TimeoutError):
    """The watch's deadline passed first. `last_error` is the latest poll's error, if it had one."""

    job: Any
    timeout_s: float | None
    last_error: PollError | None = None

    def __str__(self) -> str:
        limit = "its deadline" if self.timeout_s is None else f"{self.timeout_s:g} s"
        last = f" The last poll said: {self.last_error}" if self.last_error is not None else ""
        return (
            f"{self.job} was not over within {limit}; it may still be running."
            f" Watch it again, or allow more time with timeout_s.{last}"
        )


@attrs.define
class RetriesExhausted(WatchError):
    """Every poll failed for as long as `Retry.outage_s` allows.

    Attributes:
        job: What was watched.
        failures: The failed polls in a row.
        last_error: The latest poll's error.
        outage_s: Seconds from the first of these polls to the last, or None where that was not written down.
    """

    job: Any
    failures: int
    last_error: PollError
    outage_s: float | None = None

    def __str__(self) -> str:
        span = "" if self.outage_s is None else f" within {self.outage_s:.0f} s"
        return (
            f"{self.job}: all of the last {self.failures} polls{span} failed; the job may still be running."
            f" Watch it again, or allow longer outages with Retry(outage_s=...). The last poll said: {self.last_error}"
        )


@attrs.define
class JobNotFound(WatchError):
    """The server does not know the job, or hides it from this caller."""

    job: Any
    http_status: int
    problem: Problem | None = None

    def __str__(self) -> str:
        return (
            f"{self.job} is not known to the server (HTTP {self.http_status})."
            f" Check its IDs, and that these credentials started it.{_words(self.problem)}"
        )


@attrs.define
class RequestRejected(WatchError):
    """The server called the request itself wrong (HTTP 3xx or 4xx); asking again would not help."""

    job: Any
    http_status: int
    problem: Problem | None = None

    def __str__(self) -> str:
        if 300 <= self.http_status < 400:
            return (
                f"{self.job}: the server answered with a redirect (HTTP {self.http_status}), which is not followed"
                " because it could carry the credentials elsewhere. Use the final base URL."
            )
        return (
            f"{self.job}: the server rejected the request (HTTP {self.http_status})."
            f" Check the IDs and the base URL.{_words(self.problem)}"
        )


@attrs.define
class AuthenticationError(WatchError):
    """The credentials were refused, also after renewing them where they can be renewed."""

    detail: str
    problem: Problem | None = None

    def __str__(self) -> str:
        return f"{self.detail} Check that the credentials are right and not expired.{_words(self.problem)}"


@attrs.define
class PermissionDenied(WatchError):
    """The credentials are good but may not see this job (HTTP 403)."""

    job: Any
    http_status: int
    problem: Problem | None = None

    def __str__(self) -> str:
        return (
            f"{self.job}: permission denied (HTTP {self.http_status})."
            f" Give these credentials the right to read it.{_words(self.problem)}"
        )


@attrs.define
class UnknownOutcome(WatchError):
    """The job is over, and how it ended is not known: the vendor put it in a word that this version does not know.

    Attributes:
        job: What was watched.
        status: The vendor's typed status, as last seen.
        word: The vendor's field and value, such as `status=6`. Untrusted text.
    """

    job: Any
    status: Any
    word: str

    def __str__(self) -> str:
        return (
            f"{self.job} is over, but this version does not know how it ended: the server said"
            f" {_printable(self.word)}. Look at .status, and at the vendor's documentation for that value."
        )


@attrs.define
class EndpointBug(WatchError):
    """The endpoint's own code raised something that is no pollwise error; see `__cause__`, `kind` and `detail`.

    A note (`__notes__`) says where it was raised. The cause has no traceback: its frames would hold the reply.
    """

    job: Any
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.job}: the endpoint's code raised {self.kind}: {self.detail}. This is a bug in the endpoint."


@attrs.define
class CallbackFailed(WatchError):
    """A function that was passed to the watcher raised; see `__cause__`.

    `name` is the argument's name, such as `dice`; `kind` and `detail` are the class name and the message of what it
    raised.
    """

    job: Any
    name: str
    kind: str
    detail: str

    def __str__(self) -> str:
        subject = "" if self.job is None else f"{self.job}: "
        return (
            f"{subject}the function that was passed as {self.name} raised {self.kind}: {_printable(self.detail)}."
            " Correct that function, then watch the job again."
        )


@attrs.define
class LedgerWriteFailed(WatchError):
    """The ledger could not be written for `ledger_patience_s`; see `__cause__`.

    Attributes:
        job: What was watched.
        kind: The class name of the ledger's error.
        detail: The message of the ledger's error.
        asked: True where the outcome could not be written, so it is not reported: the watch's row is still open, and
            `resume` takes it up. False where the row itself could not be written: this watch has not asked about the
            job, and has no row that `resume` could take up.
    """

    job: Any
    kind: str
    detail: str
    asked: bool = True

    def __str__(self) -> str:
        if not self.asked:
            return (
                f"{self.job}: it could not be written down ({self.kind}: {self.detail}), so it was not asked about;"
                " the ledger has no row of this watch. Mend the ledger, then watch the job again."
            )
        return (
            f"{self.job}: what became of it could not be written down ({self.kind}: {self.detail}), so it is not"
            " reported. Mend the ledger, then watch it again."
        )


@attrs.define
class UnrestoredError(WatchError):
    """An earlier run ended the watch with an error of which this version does not know the class or a field.

    Attributes:
        job: What was watched.
        kind: The class name of that error.
        message: What that error said. Empty where that was not kept.
        fields: What else the ledger has of that error, in JSON's types.
    """

    job: Any
    kind: str
    message: str
    fields: Mapping[str, Any] = attrs.Factory(dict)

    def __str__(self) -> str:
        said = f" It said: {self.message}" if self.message else ""
        return f"{self.job}: an earlier run ended the watch with {self.kind}. Watch the job again to go on.{said}"


@attrs.define
class WatchStopped(WatchError):
    """`Watch.stop()` was called."""

    job: Any

    def __str__(self) -> str:
        return f"{self.job}: the watch was stopped; the job may still be running. Watch it again to go on."


@attrs.define
class WatcherClosed(WatchError):
    """The watcher is not open: its `async with` has been left, or not entered yet."""

    job: Any = None

    def __str__(self) -> str:
        subject = "" if self.job is None else f"{self.job}: "
        return f"{subject}the watcher is not open. Watch jobs inside its `async with` block."


# --- one poll taught nothing ------------------------------------------------------------------


class PollError(PollwiseError):
    """One status exchange taught nothing about the job. It is no failure of the job."""


@attrs.define
class ConnectFailed(PollError, ConnectionError):
    """No connection, or it broke before the reply was whole."""

    detail: str

    def __str__(self) -> str:
        return f"no reply from the server ({self.detail}). Check the base URL and the network."


@attrs.define
class StaleConnection(ConnectFailed):
    """The server closed a kept-alive connection before it could reply: no failure, and the request may be sent again.

    The watcher sends the poll again at once, and takes a second one in a row for any other `ConnectFailed`.
    """

    def __str__(self) -> str:
        return f"a kept-alive connection broke before the reply ({self.detail}). Send the request again."


@attrs.define
class TlsFailed(PollError, ConnectionError):
    """The server's TLS certificate or handshake was not acceptable."""

    detail: str

    def __str__(self) -> str:
        return f"no trusted TLS connection ({self.detail}). Check the host name and its certificate."


@attrs.define
class PollTimeout(PollError, TimeoutError):
    """The reply was not whole within the time allowed for one request."""

    seconds: float

    def __str__(self) -> str:
        return f"no whole reply within {self.seconds:g} s. Raise request_timeout_s if the server is only slow."


@attrs.define
class ServerUnavailable(PollError):
    """HTTP 408, 425 or 5xx: the server could not answer just now."""

    http_status: int
    retry_after_s: float | None = None
    problem: Problem | None = None

    def __str__(self) -> str:
        return f"the server could not answer just now (HTTP {self.http_status}).{_words(self.problem)}"


@attrs.define
class RateLimited(PollError):
    """The server refused the poll because of its rate limit: HTTP 429, or another 4xx that says when to come back.

    An endpoint whose vendor throttles inside a 200 raises this from `read`.

    Attributes:
        retry_after_s: Seconds to wait, where the server said so.
        problem: The vendor's codes and words, if it gave any.
        http_status: The status code of the reply.
    """

    retry_after_s: float | None = None
    problem: Problem | None = None
    http_status: int = 429

    def __str__(self) -> str:
        wait = "" if self.retry_after_s is None else f" The server asked for a pause of {self.retry_after_s:g} s."
        return (
            f"the rate limit was hit (HTTP {self.http_status}).{wait} Share one budget between all users of this"
            f" token.{_words(self.problem)}"
        )


@attrs.define
class NotVisibleYet(PollError):
    """HTTP 404 within the grace time: the job may not be visible yet. `retry_after_s`: seconds to wait, if said."""

    problem: Problem | None = None
    retry_after_s: float | None = None

    def __str__(self) -> str:
        return "the job is not visible yet (HTTP 404); asked again for not_found_grace_s."


@attrs.define
class MalformedReply(PollError):
    """The reply is not what the vendor documents: a proxy's page, broken JSON, a missing or mistyped field.

    Attributes:
        reason: What was wrong.
        http_status: The reply's status code.
        content_type: The reply's media type as sent, or None.
        excerpt: The first characters of the body, redacted and escaped.
    """

    reason: str
    http_status: int
    content_type: str | None = None
    excerpt: str = ""

    def __str__(self) -> str:
        seen = f" Body starts: {self.excerpt}" if self.excerpt else ""
        return (
            f"not a status document: {self.reason} (HTTP {self.http_status}, {self.content_type or 'no content type'})."
            f" Check that the base URL is the API's.{seen}"
        )


@attrs.define
class ReplyTooLarge(MalformedReply):
    """The body, as sent or once decompressed, is larger than is allowed."""


@attrs.define
class UnrestoredPollError(PollError):
    """The error of a poll of an earlier run, of which this version does not know the class or a field.

    Attributes:
        kind: The class name of that error.
        message: What that error said. Empty where that was not kept.
        fields: What else the ledger has of that error, in JSON's types.
    """

    kind: str
    message: str
    fields: Mapping[str, Any] = attrs.Factory(dict)

    def __str__(self) -> str:
        said = f" It said: {self.message}" if self.message else ""
        return f"a poll of an earlier run failed with {self.kind}. Look at .fields for what was kept of it.{said}"


# --- the ledger -------------------------------------------------------------------------------


@attrs.define
class LedgerError(PollwiseError):
    """The durable record of watches could not be opened, read or written. `path` is the ledger's file.

    Whatever the error: nothing that an earlier call promised is lost, and no file was damaged or started anew.
    """

    path: str


@attrs.define
class LedgerMissing(LedgerError):
    """There is no ledger to look at: opening one read-only never makes one."""

    def __str__(self) -> str:
        return f"{self.path} does not exist. Check the path; a ledger is made when it is first opened for writing."


@attrs.define
class NotALedger(LedgerError):
    """The file is something else, or was overwritten with something else. It was not touched."""

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.path} is not a ledger ({self.detail}) and was left as it is."
            " Check the path, or restore the ledger from a copy."
        )


@attrs.define
class LedgerTooNew(LedgerError):
    """The ledger was written by a newer pollwise. `found` and `supported` are schema versions."""

    found: int
    supported: int

    def __str__(self) -> str:
        return (
            f"{self.path} has schema version {self.found}, and this pollwise knows versions up to {self.supported}."
            " Upgrade pollwise; the ledger was left as it is."
        )


@attrs.define
class LedgerCorrupt(LedgerError):
    """The file is, or was, a ledger, but it is damaged."""

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.path} is damaged: {self.detail}. It was left as it is: restore a copy, or move the file and those"
            " beside it away to start anew; `sqlite3 FILE .recover` saves what can still be read."
        )


@attrs.define
class LedgerFull(LedgerError):
    """There was no room to write: the disk, a quota or a file size limit. Nothing of the call was kept."""

    detail: str

    def __str__(self) -> str:
        return (
            f"{self.path} could not grow ({self.detail}): the disk is full, or a quota or size limit is reached."
            " Nothing of this call was kept. Make room and call again; the ledger is still usable."
        )


@attrs.define
class LedgerUnwritable(LedgerError):
    """The file or its directory cannot be opened for this: permissions, a read-only place, or a wrong path.

    `read_only` is True where the ledger object itself was opened with `read_only=True`.
    """

    detail: str
    read_only: bool = False

    def __str__(self) -> str:
        return (
            f"{self.path} cannot be opened here: {self.detail}. To write it, the file and its directory must be"
            " writable; to look at it with read_only=True, the file must be readable."
        )


@attrs.define
class LedgerInUse(LedgerError):
    """Another live process, or another ledger object of this one, has it open for writing or holds its write lock.

    A watcher asks again for `ledger_patience_s` before it reports this.
    """

    def __str__(self) -> str:
        return (
            f"{self.path} is in use: one ledger is written by one process at a time. Stop the other one, use another"
            " file, or only look at it with read_only=True."
        )


@attrs.define
class LedgerFailed(LedgerError):
    """The file system or SQLite failed in some other way, named in `detail`. Nothing of the call was kept."""

    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}. Nothing of this call was kept. Check the disk, then call again."


@attrs.define
class LedgerClosed(LedgerError):
    """The ledger is not open here: not yet, no more, in a forked child, or in another event loop."""

    detail: str

    def __str__(self) -> str:
        return f"{self.path} is not open here: {self.detail}. Use it inside its own `async with` block."


# --- the caller asked for something that cannot be --------------------------------------------


class ConfigurationError(PollwiseError, ValueError):
    """An argument cannot be right. Raised at once, before anything is sent."""


@attrs.define
class InsecureUrl(ConfigurationError, WatchError):
    """Credentials would travel in clear text; nothing was sent. `origin` is scheme, host and port."""

    origin: str

    def __str__(self) -> str:
        return (
            f"{self.origin} is plain http to a host that is not this machine. Use https, or pass"
            " allow_plain_http=True if you accept that anybody on the way can read the credentials."
        )


@attrs.define
class OriginChanged(ConfigurationError, WatchError):
    """A watch was asked at another server than the endpoint asks now; nothing was sent, and the watch stays as it was.

    Attributes:
        job: What is watched, or one of several jobs.
        recorded: The origin (scheme, host and port) at which it was asked, as the ledger or the token has it.
        configured: The origin at which the endpoint would ask.
        watches: How many watches of the ledger are concerned.
    """

    job: Any
    recorded: str
    configured: str
    watches: int = 1

    def __str__(self) -> str:
        return (
            f"{self.subject} at {self.recorded}, but the endpoint now asks at {self.configured}. Nothing was sent. Use"
            f" the earlier base URL. If {self.configured} is another server, give its endpoint an account name of its"
            f" own. If the API has moved there, pass moved_from=({self.recorded!r},)."
        )

    @property
    def subject(self) -> str:
        """What is concerned, as the beginning of a sentence: one job, or how many."""
        if self.watches == 1:
            return f"{self.job} was asked about"
        return f"{self.watches} open jobs, such as {self.job}, were asked about"


@attrs.define
class TokenError(ConfigurationError):
    """A text is no watch token that this watcher can take up; `reason` says why. Nothing of it was used."""

    reason: str

    def __str__(self) -> str:
        return f"the watch token cannot be used: {self.reason}. Keep what `watch.resume_token` gave, unaltered."
