"""Watches and outcomes as rows of a ledger, and rows as watches and outcomes.

Rule 1: a row has the job's keys and the status in the endpoint's JSON. The job and the status that come back are typed.
Rule 2: this file alone turns epoch seconds into the datetimes of a ledger.
Rule 3: a status that is too large is cut (`row_limits.py`). Its outcome stays.
Rule 4: a status that cannot be read back counts as never seen. A row whose job cannot be read back stays in the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

import orjson

from pollwise.core.callbacks import EARLIEST_S, LATEST_S
from pollwise.core.machine import WatchMachine
from pollwise.core.resume_state import ResumeState
from pollwise.durable.error_codec import ErrorCodec
from pollwise.durable.legacy_errors import legacy_job_error, legacy_watch_error
from pollwise.durable.row_limits import bounded_message, bounded_status, json_text, read_status, was_left_out
from pollwise.errors import ConfigurationError, JobCancelled, JobFailed, WatchError
from pollwise.ledger import Change, Concluded, Conclusion, NewWatch, OpenWatch, OutcomeKind
from pollwise.model.cursor import Cursor, own_cursor
from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Succeeded
from pollwise.model.limits import ReplyLimits
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import NO_CODEC, Endpoint
from pollwise.model.reading import Phase
from pollwise.model.tracebacks import endpoint_bug
from pollwise.model.traceparent import with_traceparent, without_traceparent

__all__ = [
    "change_of",
    "check_codec",
    "conclusion_of",
    "deadline_of",
    "job_of",
    "new_watch",
    "outcome_of",
    "resume_state_of",
    "traceparent_of",
    "unreadable_outcome",
    "unwritable_outcome",
    "utc_datetime",
    "watch_error_of",
]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
E = TypeVar("E", JobFailed, JobCancelled)

_log = logging.getLogger(__name__)

_LIMITS: Final = ReplyLimits()
_PHASES: Final = {
    OutcomeKind.SUCCEEDED: Phase.SUCCEEDED,
    OutcomeKind.FAILED: Phase.FAILED,
    OutcomeKind.CANCELLED: Phase.CANCELLED,
}


def check_codec(endpoint: Endpoint[Any, Any]) -> None:
    """Raise ConfigurationError if what this endpoint's jobs leave in a ledger could not be read back."""
    if endpoint.codec is NO_CODEC:
        raise ConfigurationError(
            f"the endpoint {endpoint.name!r} has no codec, which a ledger needs; give its class one, such as"
            " codec = AttrsCodec(MyJob, MyStatus) from pollwise.endpoints"
        )


# --- into a ledger ----------------------------------------------------------------------------


def utc_datetime(epoch_s: float) -> datetime:
    """Epoch seconds as an aware datetime. A time outside the years 1 to 9999 is the nearest one in them."""
    return datetime.fromtimestamp(min(max(epoch_s, EARLIEST_S), LATEST_S), UTC)


def new_watch(
    endpoint: Endpoint[J, Any],
    job: J,
    *,
    first_seen_s: float,
    timeout_s: float | None,
    origin: str | None = None,
    traceparent: str | None = None,
) -> NewWatch:
    """The row of a watch that begins at `first_seen_s`, in epoch seconds, and is polled at `origin`.

    Raises:
        ConfigurationError: The endpoint's keys for the job are not texts.
    """
    first_seen = utc_datetime(first_seen_s)
    return NewWatch(
        endpoint=endpoint.name,
        account=endpoint.account,
        keys=endpoint.codec.job_to_keys(job),
        origin=origin,
        first_seen=first_seen,
        deadline=deadline_of(first_seen, timeout_s),
        cursor=_cursor_json(None, traceparent),
    )


def deadline_of(since: datetime, timeout_s: float | None) -> datetime | None:
    """The deadline of a watch that began at `since`. None for no deadline, and for one after the year 9999."""
    try:
        return None if timeout_s is None else since + timedelta(seconds=timeout_s)
    except OverflowError:
        return None


def change_of(
    number: int,
    machine: WatchMachine[Any, S],
    endpoint: Endpoint[Any, S],
    limits: ReplyLimits = _LIMITS,
    traceparent: str | None = None,
) -> Change:
    """The change that records the state of this machine."""
    try:
        status = _json(machine.status, endpoint, limits)
    except Exception as exc:  # noqa: BLE001  # the endpoint's code; the outcome reports it
        _log.error(
            "%s: a status could not be put in JSON (%s), and is left out",
            endpoint.name,
            type(exc).__name__,
            extra=log_fields(endpoint=endpoint.name, row=number, error_type=type(exc).__name__),
        )
        status = None
    return Change(
        id=number,
        phase=machine.phase,
        polls=machine.polls,
        failures=machine.failures,
        status=status,
        seen_s=machine.seen_s,
        cursor=None  # tested here, to save calls
        if machine.cursor is None and traceparent is None
        else _cursor_json(machine.kept_cursor, traceparent),
    )


def conclusion_of(
    number: int,
    outcome: Outcome[Any, S],
    endpoint: Endpoint[Any, S],
    *,
    failures: int = 0,
    seen_s: float | None = None,
    cursor: Cursor = None,
    limits: ReplyLimits = _LIMITS,
    traceparent: str | None = None,
) -> Conclusion:
    """The row's conclusion for this outcome. Raises what the endpoint raises for a status that it cannot put in JSON.

    Args:
        number: The number of the row.
        outcome: The outcome of the watch.
        endpoint: The endpoint of the job and the status.
        failures: Polls in a row without a reading, at the end.
        seen_s: Seconds from the beginning of the watch until a reading last said that the job goes on.
        cursor: What the last reading handed on. Only an abandoned watch can be asked with it again.
        limits: How large its status and its error may be.
        traceparent: Of the code that began the watch. As the cursor, it is kept for an abandoned watch.
    """
    kind = OutcomeKind(type(outcome).__name__.lower())
    error = None if isinstance(outcome, Succeeded) else outcome.error
    return Conclusion(
        id=number,
        outcome=kind,
        phase=outcome.phase if isinstance(outcome, Abandoned) else _PHASES[kind],
        polls=outcome.polls,
        failures=failures if isinstance(outcome, Abandoned) else 0,
        status=_json(outcome.status, endpoint, limits),
        seen_s=seen_s,
        elapsed_s=outcome.elapsed_s,
        error_type=None if error is None else type(error).__name__,
        error_message=None if error is None else bounded_message(str(error)),
        error_data=None if error is None else ErrorCodec(outcome.job, outcome.status, endpoint).write(error, limits),
        cursor=_cursor_json(cursor, traceparent) if isinstance(outcome, Abandoned) else None,
    )


def unwritable_outcome(outcome: Outcome[J, S], exc: Exception) -> Abandoned[J, S]:
    """The outcome to report if the endpoint's codec cannot write the status of the real one."""
    return _bug(outcome.job, exc, "its status cannot be kept", outcome.elapsed_s, outcome.polls)


def _bug(job: J, exc: Exception, what: str, elapsed_s: float, polls: int) -> Abandoned[J, Any]:
    bug = endpoint_bug(job, exc, f"{what}, see __cause__")
    return Abandoned(job=job, error=bug, status=None, phase=None, elapsed_s=elapsed_s, polls=polls)


def _cursor_json(cursor: Cursor, traceparent: str | None) -> bytes | None:
    kept = with_traceparent(cursor, traceparent)
    return None if kept is None else orjson.dumps(kept)


def _json(status: S | None, endpoint: Endpoint[Any, S], limits: ReplyLimits) -> bytes | None:
    if status is None:
        return None
    data = endpoint.codec.status_to_json(status)
    try:
        text = orjson.dumps(data)  # tried here, because nearly every status is short and not deep
    except TypeError:
        text = json_text(data, limits.depth)
    return text if len(text) <= limits.row else bounded_status(text, endpoint, limits)


# --- out of a ledger --------------------------------------------------------------------------


def job_of(known: OpenWatch | Concluded, endpoint: Endpoint[J, Any]) -> J | None:
    """The job of a row, or None for one that is not this endpoint's."""
    try:
        return endpoint.codec.job_from_keys(known.keys)
    except Exception as exc:  # noqa: BLE001  # the endpoint's code; the other rows go on
        _complain("the keys of watch %d in the ledger are not a job's (%s); it is left there", known, exc)
        return None


def resume_state_of(
    known: OpenWatch | Concluded, endpoint: Endpoint[Any, S], wall_now: float, limits: ReplyLimits = _LIMITS
) -> ResumeState[S]:
    """The state of the row's watch at `wall_now`, in epoch seconds."""
    status = _status_if_any(known, endpoint, limits)
    return ResumeState.between(
        known.first_seen.timestamp(),
        None if known.deadline is None else known.deadline.timestamp(),
        wall_now,
        polls=known.polls,
        failures=known.failures,
        phase=None if status is None else known.phase,
        status=status,
        seen_s=None if status is None else known.seen_s,
        visible=known.status is not None and was_left_out(known.status),
        cursor=_cursor_of(known),
    )


def _cursor_of(known: OpenWatch | Concluded) -> Cursor:
    """The cursor of a row, or None for one that this version does not keep: the job is asked about from the start."""
    try:
        return own_cursor(_kept_of(known)[0])
    except ValueError:  # another program's
        return None


def traceparent_of(known: OpenWatch | Concluded) -> str | None:
    """The traceparent of the code that began the row's watch, or None."""
    try:
        return _kept_of(known)[1]
    except ValueError:  # another program's
        return None


def _kept_of(known: OpenWatch | Concluded) -> tuple[Cursor, str | None]:
    return (None, None) if known.cursor is None else without_traceparent(orjson.loads(known.cursor))


def outcome_of(known: Concluded, job: J, endpoint: Endpoint[J, S], limits: ReplyLimits = _LIMITS) -> Outcome[J, S]:
    """The outcome of a row. Its status is None if it was too large for the row.

    Raises:
        Exception: Any that the endpoint raises for a status that it cannot read. See `unreadable_outcome`.
    """
    polls, elapsed_s, within_s = known.polls, known.elapsed_s, known.detected_within_s
    if known.outcome is OutcomeKind.ABANDONED:
        seen = _status_if_any(known, endpoint, limits)
        codec = ErrorCodec(job, seen, endpoint)
        error = watch_error_of(known.error_type or "", known.error_message or "", known.error_data, codec)
        return Abandoned(job=job, error=error, status=seen, phase=known.phase, elapsed_s=elapsed_s, polls=polls)
    if known.status is None:
        raise ValueError("an end without a status")
    status = cast("S", read_status(known.status, endpoint, limits))  # None only in place of a status that was too large
    codec = ErrorCodec(job, status, endpoint)
    if known.outcome is OutcomeKind.FAILED:
        failed = _job_error(JobFailed, known, codec)
        return Failed(
            job=job, status=status, error=failed, elapsed_s=elapsed_s, polls=polls, detected_within_s=within_s
        )
    if known.outcome is OutcomeKind.CANCELLED:
        gone = _job_error(JobCancelled, known, codec)
        return Cancelled(
            job=job, status=status, error=gone, elapsed_s=elapsed_s, polls=polls, detected_within_s=within_s
        )
    return Succeeded(job=job, status=status, elapsed_s=elapsed_s, polls=polls, detected_within_s=within_s)


def watch_error_of(kind: str, message: str, data: bytes | None, codec: ErrorCodec[Any]) -> WatchError:
    """The error of a row whose watch was abandoned.

    Args:
        kind: Its class name in the row.
        message: Its message in the row.
        data: Its data in the row, or None in a row of schema version 1 or 2.
        codec: Of the row's job and status.
    """
    return legacy_watch_error(kind, message, codec.job) if data is None else codec.read_watch_error(data, kind, message)


def _job_error(kind: type[E], known: Concluded, codec: ErrorCodec[Any]) -> E:
    if known.error_data is None:  # of schema version 1 or 2
        return legacy_job_error(kind, known.error_message, codec.job, codec.status)
    return codec.read_job_error(kind, known.error_data)


def unreadable_outcome(known: Concluded, job: J, exc: Exception) -> Abandoned[J, Any]:
    """The outcome to report if the endpoint's codec cannot read the status of a row. The row stays as it is."""
    return _bug(job, exc, "a status that was kept cannot be read", known.elapsed_s, known.polls)


def _status_if_any(known: OpenWatch | Concluded, endpoint: Endpoint[Any, S], limits: ReplyLimits) -> S | None:
    if known.status is None:
        return None
    try:
        return read_status(known.status, endpoint, limits)
    except Exception as exc:  # noqa: BLE001  # of an older version, perhaps; the next poll brings a new one
        _complain("the status of watch %d in the ledger cannot be read (%s)", known, exc)
        return None


def _complain(what: str, known: OpenWatch | Concluded, exc: Exception) -> None:
    # without the message, which may hold a part of the status
    _log.error(
        "%s: " + what,
        known.endpoint,
        known.id,
        type(exc).__name__,
        extra=log_fields(endpoint=known.endpoint, row=known.id, error_type=type(exc).__name__),
    )
