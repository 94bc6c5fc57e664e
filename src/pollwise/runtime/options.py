"""The options of a JobWatcher, checked before the first request.

Rule: a wrong argument is a ConfigurationError that says what to pass.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from typing import Any, Final, Required, TypedDict

from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError
from pollwise.ledger import Ledger
from pollwise.model.calls import Call
from pollwise.model.limits import Limits, is_number, require_seconds
from pollwise.model.log_fields import log_fields
from pollwise.model.observer import Observer
from pollwise.model.protocols import Transport

__all__ = ["WatcherOptions", "check_first_delay", "check_parts", "check_seconds", "fraction_warning", "policy_for"]

_log = logging.getLogger(__name__)

_LAST_POLL_S: Final = 1.0
_LAST_POLL_SHARE: Final = 0.1
_CONFIRM_S: Final = 60.0  # services that try a failed attempt again pause for less
_CONFIRM_SHARE: Final = 0.1

_VALUES: Final[dict[str, tuple[type, str]]] = {
    "pacing": (Pacing, "Pacing(max_s=30) or Pacing.fixed(5)"),
    "retry": (Retry, "Retry(outage_s=600)"),
    "budget": (RateBudget, "RateBudget(60, per_s=60)"),
    "limits": (Limits, "Limits(concurrency=64)"),
}
_METHODS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "transport": (("send",), "AiohttpTransport()"),
    "ledger": (("record", "update", "conclude"), "the opened SqliteLedger('jobs.ledger')"),
    "observer": (
        ("on_start", "on_outcome", "on_request"),
        "one of a class that derives from pollwise.telemetry.Observer",
    ),
}


class WatcherOptions(TypedDict, total=False):
    """The options of a `JobWatcher`, for its overloads. Its docstring explains them."""

    timeout_s: Required[float | None]
    pacing: Pacing | None
    retry: Retry | None
    transport: Transport | None
    budget: RateBudget | None
    limits: Limits | None
    not_found_grace_s: float
    confirmations: int
    confirm_s: float | None
    longest_hint_s: float
    heartbeat_s: float | None
    cancel_on_deadline: bool
    count_suspended: bool
    ledger: Ledger | None
    ledger_patience_s: float
    moved_from: str | Collection[str]
    observer: Observer | None


def check_parts(**parts: object) -> None:
    """Raise ConfigurationError for a part that is not of its kind. None stands for the default."""
    for name, part in parts.items():
        if part is None:
            continue
        if name in _VALUES:
            kind, example = _VALUES[name]
            fits = isinstance(part, kind)
        else:
            methods, example = _METHODS[name]
            fits = not isinstance(part, type) and all(callable(getattr(part, method, None)) for method in methods)
        if not fits:
            got = f"the class {part.__name__}" if isinstance(part, type) else f"{type(part).__name__}"
            raise ConfigurationError(f"{name} must be an object such as {example}, got {got}")


def check_seconds(**durations: float | None) -> None:
    """Raise ConfigurationError for a duration that is neither None nor a positive number of seconds."""
    for name, value in durations.items():
        if value is not None:
            require_seconds(name, value)


def check_first_delay(first_after_s: object) -> None:
    """Raise ConfigurationError unless this is a number of seconds."""
    if not (is_number(first_after_s) and 0.0 <= first_after_s < math.inf):
        raise ConfigurationError(f"first_after_s must be a number of seconds of at least 0, got {first_after_s!r}")


def policy_for(
    *,
    pacing: Pacing | None,
    retry: Retry | None,
    timeout_s: float | None,
    not_found_grace_s: float,
    confirmations: int,
    confirm_s: float | None,
    longest_hint_s: float,
    heartbeat_s: float | None,
    renewable: bool,
    endpoint_name: str,
    call: Call[Any, Any] | None = None,
) -> Policy:
    """What all watches of one watcher have in common.

    Raises:
        ConfigurationError: An argument cannot be right.
    """
    check_seconds(timeout_s=timeout_s, heartbeat_s=heartbeat_s, confirm_s=confirm_s, longest_hint_s=longest_hint_s)
    if not (is_number(not_found_grace_s) and not_found_grace_s >= 0):
        raise ConfigurationError(f"not_found_grace_s must be at least 0 seconds, got {not_found_grace_s!r}")
    if type(confirmations) is not int or confirmations < 0:
        raise ConfigurationError(f"confirmations must be a whole number of at least 0, got {confirmations!r}")
    if confirm_s is None:
        confirm_s = _CONFIRM_S if timeout_s is None else min(_CONFIRM_S, _CONFIRM_SHARE * timeout_s)
    return Policy(
        pacing=pacing or Pacing(),
        retry=retry or Retry(),
        timeout_s=timeout_s,
        # a watcher without a timeout may resume a watch that has a deadline
        last_poll_s=_LAST_POLL_S if timeout_s is None else min(_LAST_POLL_S, _LAST_POLL_SHARE * timeout_s),
        not_found_grace_s=not_found_grace_s,
        confirmations=confirmations,
        confirm_s=confirm_s,
        longest_hint_s=longest_hint_s,
        heartbeat_s=heartbeat_s,
        renewable=renewable,
        on_odd_fraction=fraction_warning(endpoint_name),
        call=call,
    )


def fraction_warning(endpoint_name: str) -> Callable[[float], None]:
    """A function that logs the first fraction that it is called with, and no other."""
    warned = False

    def warn(fraction: float) -> None:
        nonlocal warned
        if not warned:
            warned = True
            _log.warning(
                "%s: fraction %r is no share of the work; it must be from 0 to 1. It counts as None;"
                " this is logged once.",
                endpoint_name,
                fraction,
                extra=log_fields(endpoint=endpoint_name, value=fraction),
            )

    return warn
