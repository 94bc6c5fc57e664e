"""Errors of ledger rows that schema versions 1 and 2 wrote: a class name and a sentence.

Rule 1: the sentences below are frozen. No sentence is imported from `pollwise.errors`, so a change there changes nothing here.
Rule 2: a row of a later schema version keeps its error as data and never comes here.
Rule 3: nothing is guessed. A sentence that those versions did not write gives an `UnrestoredError`.

The vendor's codes, an HTTP status that was not named, and the class of `last_error` were not kept by those versions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

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

__all__ = ["is_job_sentence", "legacy_job_error", "legacy_watch_error"]

E = TypeVar("E", JobFailed, JobCancelled)

Groups: TypeAlias = Mapping[str, str | None]
Make: TypeAlias = Callable[[Any, Groups], WatchError]

_NUMBER: Final = r"[0-9]{1,9}"
_SAID: Final = r"(?: The server said: (?P<said>.*)\.)?"
_HTTP: Final = rf"\(HTTP (?P<http>{_NUMBER})\)"
_REDIRECT: Final = (
    r"\(HTTP (?P<http>3[0-9][0-9])\), which is not followed"
    r" because it could carry the credentials elsewhere\. Use the final base URL\."
)
_NOT_REDIRECT: Final = rf"\(HTTP (?P<http>(?!3[0-9][0-9]\)){_NUMBER})\)"
_RUNNING: Final = "the job may still be running"


def legacy_watch_error(kind: str, message: str, job: Any) -> WatchError:
    """The error of a watch that was abandoned.

    Args:
        kind: Its class name.
        message: Its sentence, as an earlier version wrote it.
        job: The row's job.
    """
    after_job = message.removeprefix(str(job))
    for pattern, make in _SENTENCES.get(kind, ()):
        found = pattern.fullmatch(after_job if "job" in pattern.groupindex else message)
        if found is not None:
            try:
                return make(job, found.groupdict())
            except ValueError:
                break
    return UnrestoredError(job, kind, message)


def legacy_job_error(kind: type[E], message: str | None, job: Any, status: Any) -> E:
    """The error of a job that failed or was cancelled. Its `reason` is None where the sentence has none."""
    found = _REASONS[kind].fullmatch((message or "").removeprefix(str(job)))
    return kind(job, status, None if found is None else found["reason"])


def is_job_sentence(kind: type[JobFailed | JobCancelled], message: str, job: Any) -> bool:
    """Whether those versions wrote this sentence for a job that failed or was cancelled."""
    return _REASONS[kind].fullmatch(message.removeprefix(str(job))) is not None


def _problem(groups: Groups) -> Problem | None:
    said = groups["said"]
    return None if said is None else Problem(descriptions=(said,))


def _late(job: Any, groups: Groups) -> WatchError:
    timeout, last = groups["timeout"], groups["last"]
    timeout_s = None if timeout is None else float(timeout)
    if timeout_s is not None and f"{timeout_s:g}" != timeout:
        raise ValueError(timeout)
    return DeadlineExceeded(job, timeout_s, None if last is None else PollError(last))


def _tired(job: Any, groups: Groups) -> WatchError:
    outage = groups.get("outage")
    outage_s = None if outage is None else float(outage)
    return RetriesExhausted(job, int(groups["failures"] or 0), PollError(groups["last"]), outage_s)


def _refused(kind: type[JobNotFound | RequestRejected | PermissionDenied]) -> Make:
    return lambda job, groups: kind(job, int(groups["http"] or 0), _problem(groups))


def _text(groups: Groups, name: str) -> str:
    return groups[name] or ""


def _sentence(pattern: str, make: Make, *, begins_with_job: bool = True) -> tuple[re.Pattern[str], Make]:
    # The job's text of today was cut off before; the text of another release's job is skipped.
    return re.compile(rf"(?P<job>.*?){pattern}" if begins_with_job else pattern, re.DOTALL), make


_SENTENCES: Final[Mapping[str, tuple[tuple[re.Pattern[str], Make], ...]]] = {
    "DeadlineExceeded": (
        _sentence(
            r" was not over within (?:(?P<timeout>\S+) s|its deadline); it may still be running\. Watch it again,"
            r" or allow more time with timeout_s\.(?: The last poll said: (?P<last>.*))?",
            _late,
        ),
    ),
    "RetriesExhausted": (
        _sentence(
            rf": gave up after (?P<failures>{_NUMBER}) polls in a row that taught nothing; it may still be running\."
            r" The last one said: (?P<last>.*)",
            _tired,
        ),
        _sentence(
            rf": all of the last (?P<failures>{_NUMBER}) polls(?: within (?P<outage>{_NUMBER}) s)? failed; {_RUNNING}\."
            r" Watch it again, or allow longer outages with Retry\(outage_s=\.\.\.\)\. The last poll said: (?P<last>.*)",
            _tired,
        ),
    ),
    "JobNotFound": (
        _sentence(
            rf" is not known to the server {_HTTP}\. Check its IDs, and that these credentials started it\.{_SAID}",
            _refused(JobNotFound),
        ),
    ),
    "RequestRejected": (
        _sentence(
            rf": the server answered with a redirect {_REDIRECT}",
            lambda job, groups: RequestRejected(job, int(groups["http"] or 0)),
        ),
        _sentence(
            rf": the server rejected the request {_NOT_REDIRECT}\. Check the IDs and the base URL\.{_SAID}",
            _refused(RequestRejected),
        ),
    ),
    "PermissionDenied": (
        _sentence(
            rf": permission denied {_HTTP}\. Give these credentials the right to read it\.{_SAID}",
            _refused(PermissionDenied),
        ),
    ),
    "AuthenticationError": (
        _sentence(
            rf"(?P<detail>.*) Check that the credentials are right and not expired\.{_SAID}",
            lambda _job, groups: AuthenticationError(_text(groups, "detail"), _problem(groups)),
            begins_with_job=False,
        ),
    ),
    "EndpointBug": (
        _sentence(
            r": the endpoint's code raised (?P<kind>\w+): (?P<detail>.*)\. This is a bug in the endpoint\.",
            lambda job, groups: EndpointBug(job, _text(groups, "kind"), _text(groups, "detail")),
        ),
    ),
    "UnknownOutcome": (
        _sentence(
            r" is over, but this version does not know how it ended: the server said (?P<word>.*)\."
            r" Look at \.status, and at the vendor's documentation for that value\.",
            lambda job, groups: UnknownOutcome(job, None, _text(groups, "word")),
        ),
    ),
    "CallbackFailed": (
        _sentence(
            r": the function that was passed as (?P<name>\w+) raised (?P<kind>\w+): (?P<detail>.*)\."
            r" Correct that function, then watch the job again\.",
            lambda job, groups: CallbackFailed(
                job, _text(groups, "name"), _text(groups, "kind"), _text(groups, "detail")
            ),
        ),
    ),
    "WatchStopped": (
        _sentence(
            rf": the watch was stopped; {_RUNNING}\. Watch it again to go on\.", lambda job, _: WatchStopped(job)
        ),
    ),
    "InsecureUrl": (
        _sentence(
            r"(?P<origin>\S+) is plain http to a host that is not this machine\. Use https, or pass"
            r" allow_plain_http=True if you accept that \w+ on the way can read the credentials\.",
            lambda _job, groups: InsecureUrl(_text(groups, "origin")),
            begins_with_job=False,
        ),
    ),
}
_REASONS: Final[Mapping[type[JobFailed | JobCancelled], re.Pattern[str]]] = {
    JobFailed: re.compile(
        r".*? failed(?:: (?P<reason>.*))?\. See \.status for all that the server reported\.", re.DOTALL
    ),
    JobCancelled: re.compile(
        r".*? was cancelled(?:: (?P<reason>.*))?\. Start it again if it is still wanted\.", re.DOTALL
    ),
}
