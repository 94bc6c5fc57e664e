"""Watch tokens: a watch in one short text, for callers that keep their own state.

    pw2.eyJlIjoib3JhY2xlLWNvbnRlbnQiLCJrIjp7...

Rule 1: a token is a version, a dot, and JSON in URL-safe base64. Reading one only ever compares and copies: nothing in
it names code, and it is taken whole or not at all.
Rule 2: it holds no credential and no status: the endpoint's name and account, the job's keys, the origin at which the
job is asked about, when the watch began and ends (wall clock, epoch seconds), and how far it got.
Rule 3: it is not signed. It gives nobody more than a job's keys do: whoever takes tokens from strangers must check the
job as they would check its keys. A token never gives a watch more time than its watcher would.Rule 4: version 1 has no account and no origin. A release that knows version 1 alone must refuse what has them, or it would
ask another account or another server; hence version 2. Both are read.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

import attrs
import orjson

from pollwise.core.identity import Origins
from pollwise.core.machine import WatchMachine
from pollwise.core.resume_state import ResumeState
from pollwise.errors import TokenError
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Phase

__all__ = ["Token", "read_token", "write_token"]

J = TypeVar("J", bound=Hashable)

_VERSION: Final = 2
_VERSIONS: Final = (1, _VERSION)
_FORM: Final = re.compile(r"pw(\d{1,4})\.([A-Za-z0-9_-]*)", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://[!-.0-?A-~]{1,300}", re.ASCII)
_LONGEST: Final = 8_192  # characters: four times what the longest URL that servers take could need
_MOST_KEYS: Final = 32
_MOST_POLLS: Final = 10**9
_LATEST_S: Final = 253_402_300_799.0  # the end of year 9999, as for every date of Python's
_PHASES: Final = {phase.value: phase for phase in Phase}


@attrs.frozen(kw_only=True)
class Token(Generic[J]):
    """What a token says.

    Attributes:
        job: What is watched.
        first_seen_s: When the watch began, in epoch seconds.
        deadline_s: When it ends, in epoch seconds; None for never.
        polls: Status exchanges so far.
        failures: Polls in a row that taught nothing.
        phase: The phase last seen, or None.
        origin: Scheme, host and port at which the job was asked about, or None where the token does not say.
    """

    job: J
    first_seen_s: float
    deadline_s: float | None
    polls: int
    failures: int
    phase: Phase | None
    origin: str | None = None

    def past(self, wall_now: float) -> ResumeState[Any]:
        """How far the watch had got, as seen from now, in epoch seconds."""
        # without the phase: it goes with a status, which is not in here
        return ResumeState.between(
            self.first_seen_s,
            self.deadline_s,
            wall_now,
            polls=self.polls,
            failures=self.failures,
            visible=self.phase is not None,
        )


def write_token(endpoint: Endpoint[J, Any], machine: WatchMachine[J, Any], *, now: float, wall_now: float) -> str:
    """The token of a watch.

    Args:
        endpoint: Whose job it watches.
        machine: What is known of it.
        now: Monotonic seconds.
        wall_now: The same moment in epoch seconds.

    Raises:
        TokenError: It would be too long to be read.
    """
    said: dict[str, Any] = {
        "e": endpoint.name,
        "k": endpoint.job_to_keys(machine.job),
        "s": _rounded(wall_now - (now - machine.started_at)),
        "p": machine.polls,
    }
    if machine.agreed_deadline < math.inf:  # grace goes into no token, or each one would add some
        said["d"] = _rounded(wall_now + (machine.agreed_deadline - now))
    if endpoint.account:
        said["a"] = endpoint.account
    origin = Origins(endpoint).of(machine.job)
    if origin is not None:
        said["o"] = origin
    if machine.failures:
        said["f"] = machine.failures
    if machine.phase is not None:
        said["h"] = machine.phase.value
    text = base64.urlsafe_b64encode(orjson.dumps(said)).decode("ascii").rstrip("=")
    token = f"pw{_VERSION}.{text}"
    if len(token) > _LONGEST:
        raise TokenError("the keys of its job are too long for one")
    return token


def _rounded(epoch_s: float) -> float:
    return round(min(max(epoch_s, 0.0), _LATEST_S), 3)


def read_token(endpoint: Endpoint[J, Any], text: str) -> Token[J]:
    """What a token says.

    Raises:
        TokenError: It is none, of another version, or of another endpoint or account; nothing of it was used.
    """
    said = _decoded(text)
    _check_owner(endpoint, said.get("e"), said.get("a", ""))
    keys, origin = said.get("k"), said.get("o")
    if not (origin is None or (isinstance(origin, str) and _ORIGIN.fullmatch(origin))):
        raise TokenError("its origin is not a scheme, a host and a port")
    first_seen_s = _seconds(said.get("s"), "beginning")
    deadline_s = None if said.get("d") is None else _seconds(said.get("d"), "deadline")
    if deadline_s is not None and deadline_s < first_seen_s:
        raise TokenError("it ends before it begins")
    polls = _count(said.get("p"), "polls")
    failures = _count(said.get("f", 0), "failures")
    if failures > polls:
        raise TokenError("its counts cannot be")
    phase = said.get("h")
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
    )


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
    given: object = text  # whatever a caller was handed
    if not isinstance(given, str):
        raise TokenError("it is no text")
    if len(given) > _LONGEST:
        raise TokenError(f"it is longer than {_LONGEST:,} characters")
    form = _FORM.fullmatch(given.strip())
    if form is None:
        raise TokenError("it does not have the form of one")
    if int(form[1]) not in _VERSIONS:
        raise TokenError(f"it is of version {int(form[1])}, and this pollwise reads versions up to {_VERSION}")
    try:
        said = orjson.loads(base64.b64decode(form[2] + "=" * (-len(form[2]) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        said = None
    if not isinstance(said, dict):
        raise TokenError("it is damaged")
    return said


def _seconds(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LATEST_S:
        raise TokenError(f"its {what} is no time")
    return float(value)


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
        job = endpoint.job_from_keys(keys)
        hash(job)
    except (ValueError, TypeError, KeyError) as exc:
        raise TokenError("its keys are not a job's") from exc
    return job
