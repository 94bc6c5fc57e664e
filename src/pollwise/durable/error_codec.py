"""Errors of an earlier run, made again from what the ledger keeps of them: a class name and a message.

Rule 1: an error that comes back is of the class that it was and says what it said, so that code which tells errors
apart does the same after a crash as before. What neither its message nor its watch's row holds is lost: the vendor's
codes one by one, an HTTP status that was not named.
Rule 2: nothing is guessed. A message that this version would not have written gives an `UnrestoredError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    DeadlineExceeded,
    EndpointBug,
    InsecureUrl,
    JobCancelled,
    JobFailed,
    JobNotFound,
    PermissionDenied,
    PollError,
    Problem,
    RequestRejected,
    RetriesExhausted,
    UnknownOutcome,
    UnrestoredError,
    WatchError,
    WatchStopped,
)

__all__ = ["recalled_cancellation", "recalled_error", "recalled_failure"]

Parts: TypeAlias = Mapping[str, str | None]

_MARK: Final = "=reason="
_SAID: Final = r"(?: The server said: (?P<said>.*)\.)?"
_LATE: Final = r".* was not over within (?:(?P<timeout>\S+) s|its deadline); .*?(?: The last poll said: (?P<last>.*))?"
_TIRED: Final = r".*: all of the last (?P<failures>\d+) polls(?: within (?P<outage>\d+) s)? failed; .*? The last poll said: (?P<last>.*)"
_TIRED_BEFORE: Final = re.compile(  # as rows have it that were written before outages were told in seconds
    r".*: gave up after (?P<failures>\d+) polls in a row that taught nothing; it may still be running\."
    r" The last one said: (?P<last>.*)",
    re.DOTALL,
)
_REFUSED: Final = rf".*? \(HTTP (?P<http>\d+)\).*?{_SAID}"
_UNTRUSTED: Final = rf"(?P<detail>.*) Check that the credentials are right and not expired\.{_SAID}"
_BUG: Final = r".*?: the endpoint's code raised (?P<kind>\w+): (?P<detail>.*)\. This is a bug in the endpoint\."
_UNKNOWN_END: Final = r".*? is over, but .*?: the server said (?P<word>.*)\. Look at \.status, and .*"
_CALLBACK: Final = r".*?: the function that was passed as (?P<name>\w+) raised (?P<kind>\w+): (?P<detail>.*)\. Correct that function, .*"
_CLEAR_TEXT: Final = r"(?P<origin>\S+) is plain http .*"


def recalled_error(kind: str, message: str, job: Any) -> WatchError:
    """The error of a watch that was abandoned.

    Args:
        kind: The class name that it had.
        message: What it said.
        job: What was watched.
    """
    if kind == RetriesExhausted.__name__ and (before := _TIRED_BEFORE.fullmatch(message)):
        return RetriesExhausted(job, int(before["failures"]), PollError(before["last"]))
    pattern, make = _KINDS.get(kind, _UNKNOWN)
    found = pattern.fullmatch(message)
    if found is not None:
        error = make(job, found.groupdict())
        if str(error) == message:
            return error
    return UnrestoredError(job, kind, message)


def recalled_failure(message: str | None, job: Any, status: Any) -> JobFailed:
    """The error of a job that failed."""
    return JobFailed(job, status, _reason(message, lambda why: str(JobFailed(job, status, why))))


def recalled_cancellation(message: str | None, job: Any, status: Any) -> JobCancelled:
    """The error of a job that was cancelled."""
    return JobCancelled(job, status, _reason(message, lambda why: str(JobCancelled(job, status, why))))


def _reason(message: str | None, written: Callable[[str], str]) -> str | None:
    """The vendor's words in a message, which are what differs from one message to the next."""
    before, _, after = written(_MARK).partition(_MARK)
    if message is None or not (message.startswith(before) and message.endswith(after)):
        return None
    return message[len(before) : len(message) - len(after)] or None


def _problem(parts: Parts) -> Problem | None:
    said = parts["said"]
    return None if said is None else Problem(descriptions=(said,))


def _poll_error(words: str | None) -> PollError | None:
    return None if words is None else PollError(words)


def _late(job: Any, parts: Parts) -> WatchError:
    timeout = parts["timeout"]
    return DeadlineExceeded(job, None if timeout is None else _number(timeout), _poll_error(parts["last"]))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _refused(made: type[JobNotFound | RequestRejected | PermissionDenied]) -> Callable[[Any, Parts], WatchError]:
    return lambda job, parts: made(job, int(parts["http"] or 0), _problem(parts))


_KINDS: Final[Mapping[str, tuple[re.Pattern[str], Callable[[Any, Parts], WatchError]]]] = {
    made.__name__: (re.compile(pattern, re.DOTALL), make)
    for made, pattern, make in (
        (DeadlineExceeded, _LATE, _late),
        (
            RetriesExhausted,
            _TIRED,
            lambda job, parts: RetriesExhausted(
                job,
                int(parts["failures"] or 0),
                PollError(parts["last"]),
                None if parts["outage"] is None else float(parts["outage"]),
            ),
        ),
        (JobNotFound, _REFUSED, _refused(JobNotFound)),
        (RequestRejected, _REFUSED, _refused(RequestRejected)),
        (PermissionDenied, _REFUSED, _refused(PermissionDenied)),
        (
            AuthenticationError,
            _UNTRUSTED,
            lambda _job, parts: AuthenticationError(parts["detail"] or "", _problem(parts)),
        ),
        (EndpointBug, _BUG, lambda job, parts: EndpointBug(job, parts["kind"] or "", parts["detail"] or "")),
        (UnknownOutcome, _UNKNOWN_END, lambda job, parts: UnknownOutcome(job, None, parts["word"] or "")),
        (
            CallbackFailed,
            _CALLBACK,
            lambda job, parts: CallbackFailed(job, parts["name"] or "", parts["kind"] or "", parts["detail"] or ""),
        ),
        (WatchStopped, r".*", lambda job, _parts: WatchStopped(job)),
        (InsecureUrl, _CLEAR_TEXT, lambda _job, parts: InsecureUrl(parts["origin"] or "")),
    )
}
_UNKNOWN: Final = (re.compile(r"(?!)"), _late)
