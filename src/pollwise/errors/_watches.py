"""The watch ended before the job did: the job may still be running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from pollwise.errors._polls import PollError
from pollwise.errors._root import PollwiseError, Problem, printable, server_said

__all__ = [
    "AuthenticationError",
    "CallbackFailed",
    "CancelDoubtful",
    "ClockSkewed",
    "DeadlineExceeded",
    "EndpointBug",
    "JobNotFound",
    "LedgerWriteFailed",
    "PermissionDenied",
    "RequestRejected",
    "ResultTooLarge",
    "RetriesExhausted",
    "SetupError",
    "SubmitDoubtful",
    "UnknownOutcome",
    "UnrestoredError",
    "UnsafeUrl",
    "WatchError",
    "WatchStopped",
    "WatcherClosed",
]

_LONGEST_HOST = 253  # characters, as in DNS


def _subject(job: Any) -> str:
    """The job, as the beginning of a sentence."""
    return "" if job is None else f"{job}: "


class WatchError(PollwiseError):
    """The watch ended, and pollwise does not know how the job ends. The job may still be running."""


@attrs.define
class DeadlineExceeded(WatchError, TimeoutError):
    """The deadline of the watch passed before the job was over.

    Attributes:
        job: What was watched.
        timeout_s: How long the watch was allowed to take, in seconds. None for a watch whose deadline came from elsewhere.
        last_error: The error of the latest poll, or None if that poll had none.
        cancel: What became of the cancel request of `JobWatcher(cancel_on_deadline=True)`: `accepted`, `too late` or
            `failed`. None if none was sent. A note (`__notes__`) says why it failed.
        not_started: Whether it was the start of a job, and no job was started.
    """

    job: Any
    timeout_s: float | None
    last_error: PollError | None = None
    cancel: str | None = None
    not_started: bool = False

    def __str__(self) -> str:
        limit = "its deadline" if self.timeout_s is None else f"{self.timeout_s:g} s"
        what = "request" if self.not_started else "poll"
        last = f" The last {what} said: {self.last_error}" if self.last_error is not None else ""
        if self.not_started:
            return f"{self.job} was not submitted within {limit}. Submit it again, or allow more time with timeout_s.{last}"
        cancel = "" if self.cancel is None else f" The cancel request at the deadline: {printable(self.cancel)}."
        return (
            f"{self.job} was not over within {limit}; it may still be running."
            f" Watch it again, or allow more time with timeout_s.{cancel}{last}"
        )


@attrs.define
class RetriesExhausted(WatchError):
    """Every poll failed for as long as `Retry.outage_s` allows.

    Attributes:
        job: What was watched.
        failures: The failed polls in a row.
        last_error: The latest poll's error.
        outage_s: Seconds from the first of these polls to the last, or None where that was not recorded.
        not_started: Whether it was the start of a job, and no job was started.
    """

    job: Any
    failures: int
    last_error: PollError
    outage_s: float | None = None
    not_started: bool = False

    def __str__(self) -> str:
        span = "" if self.outage_s is None else f" within {self.outage_s:.0f} s"
        if self.not_started:
            return (
                f"{self.job}: all {self.failures} requests{span} to start it failed. Submit it again, or allow longer outages"
                f" with Retry(outage_s=...). The last request said: {self.last_error}"
            )
        return (
            f"{self.job}: all of the last {self.failures} polls{span} failed; the job may still be running."
            f" Watch it again, or allow longer outages with Retry(outage_s=...). The last poll said: {self.last_error}"
        )


@attrs.define
class SetupError(WatchError):
    """No poll has worked yet, and the last one failed in a way that waiting cannot mend.

    Such a failure is a certificate that does not verify, HTTP 501 or 505, a proxy that refuses, a host name that does not
    exist or a server that does not answer with TLS (each twice in a row), or a web page in place of the API's data (three
    times in a row). Once a poll of the watcher has worked, each of them is an outage like any other, which `Retry(outage_s=...)` bounds.

    Attributes:
        job: What was watched.
        last_error: The error of that poll.
    """

    job: Any
    last_error: PollError

    def __str__(self) -> str:
        return f"{self.job}: waiting cannot mend this, and no poll has worked yet: {self.last_error}"


@attrs.define
class JobNotFound(WatchError):
    """The server does not know the job, or hides it from this caller."""

    job: Any
    http_status: int
    problem: Problem | None = None

    def __str__(self) -> str:
        return (
            f"{self.job} is not known to the server (HTTP {self.http_status})."
            f" Check its IDs, and that these credentials started it.{server_said(self.problem)}"
        )


@attrs.define
class RequestRejected(WatchError):
    """The server refused the request itself (HTTP 3xx or 4xx). The same request would be refused again."""

    job: Any
    http_status: int
    problem: Problem | None = None

    def __str__(self) -> str:
        if 300 <= self.http_status < 400 and self.http_status != 304:
            return (
                f"{self.job}: the server answered with a redirect (HTTP {self.http_status}), which is not followed"
                " because it could carry the credentials elsewhere. Use the final base URL."
            )
        return (
            f"{self.job}: the server rejected the request (HTTP {self.http_status})."
            f" Check the IDs and the base URL.{server_said(self.problem)}"
        )


@attrs.define
class AuthenticationError(WatchError):
    """The credentials were refused, also after a renewal where they can be renewed.

    Attributes:
        detail: What was refused, as a sentence.
        problem: The vendor's codes and words, if it gave any.
    """

    detail: str
    problem: Problem | None = None

    def __str__(self) -> str:
        return f"{self.detail} Check that the credentials are right and not expired.{server_said(self.problem)}"


@attrs.define
class PermissionDenied(WatchError):
    """The credentials are good but may not see this job (HTTP 403)."""

    job: Any
    http_status: int
    problem: Problem | None = None

    def __str__(self) -> str:
        return (
            f"{self.job}: permission denied (HTTP {self.http_status})."
            f" Give these credentials the right to read it.{server_said(self.problem)}"
        )


@attrs.define
class ClockSkewed(WatchError):
    """A signed request was refused, and the clock of this machine differs from the server's. Signatures have the time in them.

    Attributes:
        job: What is watched.
        http_status: The status code of the refusal.
        ahead_s: How far the clock of this machine is ahead of the server's, in seconds. Negative if it is behind.
        problem: The vendor's codes and words, if it gave any.
    """

    job: Any
    http_status: int
    ahead_s: float
    problem: Problem | None = None

    def __str__(self) -> str:
        side = "ahead of" if self.ahead_s > 0 else "behind"
        return (
            f"{self.job}: the signed request was refused (HTTP {self.http_status}), and the clock of this machine is"
            f" {abs(self.ahead_s):.0f} s {side} the server's. Set the clock.{server_said(self.problem)}"
        )


@attrs.define
class UnknownOutcome(WatchError):
    """The job is over, and this version does not know the vendor's word for how it ended.

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
            f" {printable(self.word)}. Look at .status, and at the vendor's documentation for that value."
        )


@attrs.define
class EndpointBug(WatchError):
    """The endpoint's own code raised an exception that is no pollwise error.

    A note (`__notes__`) says where it was raised. `__cause__` is that exception, without its traceback, because the
    frames of a traceback hold the reply.

    Attributes:
        job: What was watched.
        kind: The class name of the exception.
        detail: What the endpoint did, or the exception's own words without secrets. They may hold a part of the reply, so
            they are untrusted text.
    """

    job: Any
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.job}: the endpoint's code raised {self.kind}: {printable(self.detail)}. Correct the endpoint, or report this bug."


@attrs.define
class CallbackFailed(WatchError):
    """A function that was passed to the watcher raised an exception, which is `__cause__`.

    Attributes:
        job: What was watched, or None.
        name: The name of the argument, such as `dice`.
        kind: The class name of the exception.
        detail: The message of the exception.
    """

    job: Any
    name: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return (
            f"{_subject(self.job)}the function that was passed as {self.name} raised {self.kind}: {printable(self.detail)}."
            " Correct that function, then watch the job again."
        )


@attrs.define
class LedgerWriteFailed(WatchError):
    """The ledger could not be written for `ledger_patience_s`. `__cause__` is its error.

    Attributes:
        job: What was watched.
        kind: The class name of the ledger's error.
        detail: The message of the ledger's error.
        asked: True where the outcome could not be written. The outcome is not reported, and the row is still open, so
            `resume` resumes it. False where the row itself could not be written. Then the job was not asked about, and
            there is no row to resume.
    """

    job: Any
    kind: str
    detail: str
    asked: bool = True

    def __str__(self) -> str:
        if not self.asked:
            return (
                f"{self.job}: its row could not be written down ({self.kind}: {self.detail}). The job was not asked about, and"
                " the ledger has no row of this watch. Repair the ledger, then watch the job again."
            )
        return (
            f"{self.job}: its outcome could not be written down ({self.kind}: {self.detail}), so it is not reported."
            " Repair the ledger, then watch the job again."
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
class ResultTooLarge(WatchError):
    """The job succeeded, and its result is larger than is allowed.

    Attributes:
        job: What was watched.
        most_bytes: How many bytes are allowed. None for the limit of the transport, `max_body`.
    """

    job: Any
    most_bytes: int | None = None

    def __str__(self) -> str:
        limit = "the transport (`max_body`)" if self.most_bytes is None else f"{self.most_bytes} bytes"
        return (
            f"{self.job}: the job succeeded, and its result is over the limit of {limit}."
            " Allow more, or write the result to a file with `save_result`."
        )


@attrs.define
class CancelDoubtful(WatchError):
    """The reply to a cancel request was lost. The request is not sent again by itself, because it is not idempotent.

    Attributes:
        job: The job that was to be cancelled.
        last_error: What happened to the request.
    """

    job: Any
    last_error: PollError

    def __str__(self) -> str:
        return (
            f"{self.job}: the cancel request may or may not have reached the server: {self.last_error}"
            " The watch goes on. Call `cancel` again if the API allows that."
        )


@attrs.define
class SubmitDoubtful(WatchError):
    """A job may or may not have been started, because the reply to the request that starts it is not known.

    Attributes:
        key: The key of the order: that of `submit(order, key=...)`, or a random one.
        detail: What happened to the request. Empty if an earlier run sent it, or another watcher. The error itself is
            `__cause__`.
        repeatable: Whether the same request may be sent again with the same key, because it is idempotent.
        advice: What the endpoint says about that API.
    """

    key: str
    detail: str = ""
    repeatable: bool = False
    advice: str = ""

    def __str__(self) -> str:
        why = self.detail or "an earlier request has no known reply."
        what = (
            f"Call submit again with the same order and key={self.key!r}: the API starts no second job for one key."
            if self.repeatable
            else "The request was not sent again, because that could start a second job. Look on the server whether the job"
            " is there before you start it again. A ledger lists it in unfinished_submits."
        )
        advice = f" {self.advice}" if self.advice else ""
        return f"the job of the order with the key {self.key!r} may have been started: {why} {what}{advice}"


@attrs.define
class UnsafeUrl(WatchError):
    """A URL that a server named is not asked. Nothing was sent.

    Attributes:
        host: Its host. Untrusted text.
        reason: What is wrong with the URL.
    """

    host: str
    reason: str

    def __str__(self) -> str:
        return (
            f"the server named a URL at {printable(self.host[:_LONGEST_HOST]) or 'no host'}, which is not asked:"
            f" {self.reason}. If you trust that server, name its origin in `origins` of the endpoint."
        )


@attrs.define
class WatchStopped(WatchError):
    """`Watch.stop()` was called."""

    job: Any

    def __str__(self) -> str:
        return f"{self.job}: the watch was stopped; the job may still be running. Watch it again to go on."


@attrs.define
class WatcherClosed(WatchError):
    """The watcher is not open: its `async with` block was left, or not entered yet."""

    job: Any = None

    def __str__(self) -> str:
        return f"{_subject(self.job)}the watcher is not open. Watch jobs inside its `async with` block."
