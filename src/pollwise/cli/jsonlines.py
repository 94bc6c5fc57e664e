"""Events as JSON lines, for programs.

Rule 1: one object a line, always with these keys in this order. A key without a value for this event is null.

    event      progressed, retrying, throttled, succeeded, failed, cancelled or abandoned
    endpoint   the endpoint's name: document360, oracle-content
    account    the endpoint's account; a line without one has no such key
    job        the job's keys, as an object of strings
    phase      queued, running, waiting_for_input, succeeded, failed or cancelled; null for retrying and throttled, which
               have no status
    fraction   share of the work done, 0..1; only progressed can have it
    eta_s      estimated seconds until the job is over; only progressed can have it
    elapsed_s  seconds since the watch began, to the millisecond
    detected_within_s  max seconds between the job's end and the poll that saw it; only succeeded, failed, cancelled can have it
    polls      status exchanges so far, good and bad
    status     the vendor's own field names with typed values; null for retrying and throttled
    error      {"type": ..., "message": ...} for retrying, failed, cancelled and abandoned; the message is the
               command's sentence (error_text.py)

Rule 2: the line is pure ASCII. The vendor's texts are escaped but unchanged, so none of their characters can control a
terminal.
Rule 3: the last line is the outcome. A watch that was interrupted has none.
"""

from __future__ import annotations

import json
from typing import Any

from pollwise.cli.error_text import abandoned_text, error_text
from pollwise.model.events import Abandoned, Cancelled, Event, Failed, Progressed, Retrying, Succeeded, Throttled
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Phase

__all__ = ["event_to_json", "milliseconds"]


def event_to_json(endpoint: Endpoint[Any, Any], event: Event[Any, Any]) -> str:
    """The event as one line of JSON, without its line end."""
    status = getattr(event, "status", None)
    phase = _phase(event)
    fields = {
        "event": type(event).__name__.lower(),
        "endpoint": endpoint.name,
        **({"account": endpoint.account} if endpoint.account else {}),
        "job": endpoint.codec.job_to_keys(event.job),
        "phase": None if phase is None else phase.value,
        "fraction": event.fraction if isinstance(event, Progressed) else None,
        "eta_s": milliseconds(event.eta_s) if isinstance(event, Progressed) else None,
        "elapsed_s": milliseconds(event.elapsed_s),
        "detected_within_s": milliseconds(getattr(event, "detected_within_s", None)),
        "polls": event.polls,
        "status": None if status is None else endpoint.codec.status_to_json(status),
        "error": _error(event),
    }
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"), default=str)


def _phase(event: Event[Any, Any]) -> Phase | None:
    match event:
        case Progressed(phase=phase) | Abandoned(phase=phase):
            return phase
        case Succeeded():
            return Phase.SUCCEEDED
        case Failed():
            return Phase.FAILED
        case Cancelled():
            return Phase.CANCELLED
        case Retrying() | Throttled():
            return None


def milliseconds(seconds: float | None) -> float | None:
    """Seconds, rounded to milliseconds."""
    return None if seconds is None else round(seconds, 3)


def _error(event: Event[Any, Any]) -> dict[str, str] | None:
    error: Exception | None = getattr(event, "error", None)
    if error is None:
        return None
    text = abandoned_text(event) if isinstance(event, Abandoned) else error_text(error)
    return {"type": type(error).__name__, "message": text}
