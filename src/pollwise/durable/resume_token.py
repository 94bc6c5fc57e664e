"""Resume tokens: a watch as one short text, for programs that store their own state.

    pw2.eyJlIjoib3JhY2xlLWNvbnRlbnQiLCJrIjp7...

Rule 1: a token is a version, a dot, and JSON in URL-safe base64. Nothing in a token names code. A token is used whole or
not at all.
Rule 2: a token has the endpoint's name and account, the job's keys, the origin at which the job is asked about, when the
watch began and ends (epoch seconds), and its counts. It has no credential and no status.
Rule 3: a token is not signed, and gives access to no more than a job's keys do. A program that takes tokens from outside
must check the job like keys from outside. A token never gives a watch more time than the watcher's `timeout_s`. A token with
a cursor may choose every URL that the endpoint follows, so take such a token only from where you would take a URL from.
Rule 4: version 1 has no account and no origin. A token with either is of version 2, because a release that reads only
version 1 would ignore them and poll with another account or another server. Version 3 has a cursor. All versions are read.
Rule 5: a token may have the W3C traceparent of the code that began the watch. A release that does not know it ignores it, and
so does this one if it has another form.
Rule 6: a cursor that makes a token too long is left out. The job is then asked about from the start.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs
import orjson

from pollwise.core.callbacks import LATEST_S
from pollwise.core.identity import Origins
from pollwise.core.machine import WatchMachine
from pollwise.core.resume_state import ResumeState
from pollwise.errors import TokenError
from pollwise.model.cursor import Cursor, CursorTooLarge, own_cursor
from pollwise.model.limits import is_number
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Phase
from pollwise.model.traceparent import checked_traceparent

__all__ = ["Token", "read_token", "write_token"]

J = TypeVar("J", bound=Hashable)

_VERSION: Final = 2
_WITH_CURSOR: Final = 3
_VERSIONS: Final = (1, _VERSION, _WITH_CURSOR)
_FORM: Final = re.compile(r"pw(\d{1,4})\.([A-Za-z0-9_-]*)", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://[!-.0-?A-~]{1,300}", re.ASCII)
_LONGEST: Final = 8_192  # characters: four times the longest URL that servers accept
_MOST_KEYS: Final = 32
_MOST_POLLS: Final = 10**9
_PHASES: Final = {phase.value: phase for phase in Phase}


@attrs.frozen(kw_only=True)
class Token(Generic[J]):
    """The fields of a token.

    Attributes:
        job: What is watched.
        first_seen_s: When the watch began, in epoch seconds.
        deadline_s: When it ends, in epoch seconds; None for never.
        polls: Polls so far.
        failures: Polls in a row without a reading.
        phase: The phase last seen, or None.
        origin: Scheme, host and port at which the job was asked about, or None if the token has none.
        cursor: What the last reading handed on, or None.
        traceparent: The W3C traceparent of the code that began the watch, or None.
    """

    job: J
    first_seen_s: float
    deadline_s: float | None
    polls: int
    failures: int
    phase: Phase | None
    origin: str | None = None
    cursor: Cursor = None
    traceparent: str | None = None

    def resume_state(self, wall_now: float, *, moved: bool = False) -> ResumeState[Any]:
        """The state of the watch at `wall_now`, in epoch seconds.

        `moved` says that the API has moved. A URL in the cursor would be one of the old origin.
        """
        # without the phase, because a phase needs a status, which a token does not have
        return ResumeState.between(
            self.first_seen_s,
            self.deadline_s,
            wall_now,
            polls=self.polls,
            failures=self.failures,
            visible=self.phase is not None,
            cursor=None if moved else self.cursor,
        )


def write_token(
    endpoint: Endpoint[J, Any],
    machine: WatchMachine[J, Any],
    *,
    now: float,
    wall_now: float,
    traceparent: str | None = None,
) -> str:
    """The token of a watch.

    Args:
        endpoint: The endpoint of the job.
        machine: The machine of the watch.
        now: Monotonic seconds.
        wall_now: The same time in epoch seconds.
        traceparent: Of the code that began the watch, or None.

    Raises:
        TokenError: It would be too long to be read.
    """
    fields: dict[str, Any] = {
        "e": endpoint.name,
        "k": endpoint.codec.job_to_keys(machine.job),
        "s": _rounded(wall_now - (now - machine.started_at)),
        "p": machine.polls,
    }
    if machine.agreed_deadline < math.inf:  # without grace, because each token would add some
        fields["d"] = _rounded(wall_now + (machine.agreed_deadline - now))
    if endpoint.account:
        fields["a"] = endpoint.account
    origin = Origins(endpoint).of(machine.job)
    if origin is not None:
        fields["o"] = origin
    if machine.failures:
        fields["f"] = machine.failures
    if machine.phase is not None:
        fields["h"] = machine.phase.value
    if traceparent is not None:
        fields["t"] = traceparent
    if machine.kept_cursor is not None:
        token = _encoded(_WITH_CURSOR, {**fields, "c": machine.kept_cursor})
        if len(token) <= _LONGEST:
            return token
    token = _encoded(_VERSION, fields)
    if len(token) > _LONGEST:
        raise TokenError("the keys of its job are too long for one")
    return token


def _encoded(version: int, fields: Mapping[str, Any]) -> str:
    text = base64.urlsafe_b64encode(orjson.dumps(fields)).decode("ascii").rstrip("=")
    return f"pw{version}.{text}"


def _rounded(epoch_s: float) -> float:
    return round(min(max(epoch_s, 0.0), LATEST_S), 3)


def read_token(endpoint: Endpoint[J, Any], text: str) -> Token[J]:
    """Read a token.

    Raises:
        TokenError: The text is no token, or is of another version, endpoint or account. Nothing of it was used.
    """
    fields = _decoded(text)
    _check_owner(endpoint, fields.get("e"), fields.get("a", ""))
    keys, origin = fields.get("k"), fields.get("o")
    if not (origin is None or (isinstance(origin, str) and _ORIGIN.fullmatch(origin))):
        raise TokenError("its origin is not a scheme, a host and a port")
    first_seen_s = _seconds(fields.get("s"), "beginning")
    deadline_s = None if fields.get("d") is None else _seconds(fields.get("d"), "deadline")
    if deadline_s is not None and deadline_s < first_seen_s:
        raise TokenError("it ends before it begins")
    polls = _count(fields.get("p"), "polls")
    failures = _count(fields.get("f", 0), "failures")
    if failures > polls:
        raise TokenError("its counts cannot be")
    phase = fields.get("h")
    if phase is not None and (not isinstance(phase, str) or phase not in _PHASES):
        raise TokenError("its phase is unknown")
    return Token(
        job=_job(endpoint, keys),
        first_seen_s=first_seen_s,
        deadline_s=deadline_s,
        polls=polls,
        failures=failures,
        phase=None if phase is None else _PHASES[phase],
        origin=origin,
        cursor=_cursor(fields.get("c")),
        traceparent=checked_traceparent(fields.get("t")),
    )


def _cursor(value: Cursor) -> Cursor:
    try:
        return own_cursor(value)
    except CursorTooLarge as exc:
        raise TokenError(f"its cursor cannot be used: {exc}") from None


def _check_owner(endpoint: Endpoint[Any, Any], name: object, account: object) -> None:
    """Raise TokenError unless the token is of this endpoint and this account."""
    if not isinstance(name, str):
        raise TokenError("it names no endpoint")
    if name != endpoint.name:
        raise TokenError(f"it is of the endpoint {name[:50]!a}, not of {endpoint.name!r}")
    if not isinstance(account, str):
        raise TokenError("its account is no text")
    if account != endpoint.account:
        theirs = f"of the account {account[:50]!a}" if account else "of no account"
        ours = f"of {endpoint.account[:50]!a}" if endpoint.account else "of an endpoint without one"
        raise TokenError(f"it is {theirs}, not {ours}")


def _decoded(text: str) -> dict[str, Any]:
    given: object = text  # a caller may pass anything
    if not isinstance(given, str):
        raise TokenError("it is not a text")
    if len(given) > _LONGEST:
        raise TokenError(f"it is longer than {_LONGEST:,} characters")
    form = _FORM.fullmatch(given.strip())
    if form is None:
        raise TokenError("it does not have the form of one")
    if int(form[1]) not in _VERSIONS:
        raise TokenError(f"it is of version {int(form[1])}, and this pollwise reads versions up to {_WITH_CURSOR}")
    try:
        fields = orjson.loads(base64.b64decode(form[2] + "=" * (-len(form[2]) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        fields = None
    if not isinstance(fields, dict):
        raise TokenError("it is damaged")
    return fields


def _seconds(value: object, what: str) -> float:
    if is_number(value) and 0 <= value <= LATEST_S:
        return float(value)
    raise TokenError(f"its {what} is not a time")


def _count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_POLLS:
        raise TokenError(f"its {what} are no count")
    return value


def _job(endpoint: Endpoint[J, Any], keys: object) -> J:
    if (
        not isinstance(keys, dict)
        or len(keys) > _MOST_KEYS
        or not all(isinstance(value, str) for value in keys.values())
    ):
        raise TokenError("it names no job")
    try:
        job = endpoint.codec.job_from_keys(keys)
        hash(job)
    except (ValueError, TypeError, KeyError) as exc:
        raise TokenError("its keys are not a job's") from exc
    return job
