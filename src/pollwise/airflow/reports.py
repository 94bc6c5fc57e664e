"""Outcomes as JSON: what a trigger hands to its task, and what a task returns.

Rule 1: a report has a state, a message in pollwise's words, and the vendor's status as the endpoint's codec writes it.
Rule 2: a status that is no JSON, or larger than `MOST_STATUS_BYTES`, is left out, and the report says why. Airflow keeps an
event in its database until the task resumes.
Rule 3: nothing is invented: a watch that ended before its job is `abandoned`, never `failed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import attrs
import orjson

from pollwise.errors import ConfigurationError
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
from pollwise.model.protocols import Endpoint
from pollwise.runtime.watch import Watch

__all__ = ["MOST_STATUS_BYTES", "Log", "Report", "followed", "json_result", "report_of", "setup_report"]

MOST_STATUS_BYTES: Final = 262_144

Report: TypeAlias = dict[str, Any]
"""The fields: `state`, `message`, `error`, `endpoint`, `job`, `status`, `left_out`, `elapsed_s`, `polls`."""


class Log(Protocol):
    """What is needed of the log of a task: `logging` and structlog have it."""

    def info(self, text: str, /, *arguments: Any) -> Any:
        """Write a line."""
        ...


async def followed(watch: Watch[Any, Any, Any], endpoint: Endpoint[Any, Any], log: Log) -> Report:
    """Follow a watch to its outcome, with a line in the log for each change. Returns the report of the outcome."""
    async for event in watch:
        line = _line(event)
        if line is not None:
            log.info("%s: %s", endpoint.name, line)
    outcome = watch.outcome
    assert outcome is not None  # noqa: S101  # the iteration has ended
    return report_of(endpoint, outcome)


def report_of(endpoint: Endpoint[Any, Any], outcome: Outcome[Any, Any]) -> Report:
    """The report of an outcome."""
    status, left_out = (None, None) if outcome.status is None else _status(endpoint, outcome.status)
    report: Report = {
        "state": type(outcome).__name__.lower(),
        "message": "",
        "error": None,
        "endpoint": endpoint.name,
        "job": endpoint.codec.job_to_keys(outcome.job),
        "status": status,
        "left_out": left_out,
        "elapsed_s": round(outcome.elapsed_s, 3),
        "polls": outcome.polls,
    }
    if isinstance(outcome, (Failed, Cancelled, Abandoned)):
        report |= {"message": str(outcome.error), "error": type(outcome.error).__name__}
    return report


def setup_report(error: Exception) -> Report:
    """The report of a watch that could not begin, such as without its endpoint or with a token that cannot be read."""
    return {"state": "unwatched", "message": str(error), "error": type(error).__name__}


def json_result(value: object) -> Any:
    """The result of a job as JSON.

    Raises:
        ConfigurationError: It is no JSON and no text.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise ConfigurationError(
                "the result is bytes that are no text, and an XCom is JSON. Save the result in a task of your own, with"
                " watcher.watch_from_token and watch.save_result"
            ) from None
    try:
        return _json(value)
    except (TypeError, orjson.JSONEncodeError) as exc:
        raise ConfigurationError(f"the result is a {type(value).__name__}, which is no JSON ({exc})") from None


def _status(endpoint: Endpoint[Any, Any], status: Any) -> tuple[Any, str | None]:
    """The status as JSON, or why it is left out."""
    try:
        text = orjson.dumps(endpoint.codec.status_to_json(status), default=_plain)
    except Exception as exc:  # noqa: BLE001  # a codec is the user's code; the outcome is worth more than its status
        return None, f"the codec of {endpoint.name} cannot write it as JSON ({type(exc).__name__})"
    if len(text) > MOST_STATUS_BYTES:
        return None, f"it has {len(text):,} bytes, more than {MOST_STATUS_BYTES:,}"
    return orjson.loads(text), None


def _json(value: object) -> Any:
    return orjson.loads(orjson.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=False)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _line(event: Event[Any, Any]) -> str | None:
    """What the log says of an event, without text of the server's but in an error, which has it made printable."""
    match event:
        case Progressed():
            share = "" if event.fraction is None else f", {event.fraction:.0%}"
            return f"{event.phase.value.lower()}{share}"
        case Retrying():
            return f"poll {event.polls} failed, the next is in {event.delay_s:.0f} s: {event.error}"
        case Succeeded():
            return f"succeeded after {event.polls} polls"
        case Throttled() | Failed() | Cancelled() | Abandoned():
            return None
