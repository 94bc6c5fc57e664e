"""An event as text: the same words on a live row, on a plain line and in a summary.

Rule 1: the word of a state is enough to understand it. The symbol and the colour only repeat it.
Rule 2: all texts of an `EventView` are safe to print (safe_text.py) and fit on one line.
Rule 3: a state never says more than is known. A job that looks over, but is not confirmed, is `confirming`. The text of
`abandoned` says that the job may still be running.
Rule 4: colours are few. Red is a failed job, yellow is what a user has to look at, and one accent is what goes well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs
from rich.text import Text

from pollwise.cli.error_text import abandoned_text, error_text
from pollwise.cli.safe_text import counted, duration, endpoint_label, safe
from pollwise.cli.status_text import status_text
from pollwise.errors import NotVisibleYet, PollError, RateLimited, ServerUnavailable
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
from pollwise.model.reading import TERMINAL

__all__ = [
    "ACCENT",
    "ENDED",
    "AnyEndpoint",
    "AnyEvent",
    "AnyOutcome",
    "Appearance",
    "EventView",
    "appearance_of",
    "counts_line",
    "event_line",
    "job_keys",
    "label_of",
    "state_text",
    "view_of",
]

AnyEndpoint: TypeAlias = Endpoint[Any, Any]
AnyEvent: TypeAlias = Event[Any, Any]
AnyOutcome: TypeAlias = Outcome[Any, Any]


@attrs.frozen
class Appearance:
    """How a state is shown on a terminal: a symbol, another symbol for ASCII terminals, and a rich style."""

    symbol: str
    ascii_symbol: str
    style: str


ENDED = frozenset({"succeeded", "failed", "cancelled", "abandoned"})
"""The states that are outcomes."""

ACCENT = "green"
"""The one colour of what goes well. It is readable on a dark and on a light background."""

_APPEARANCES: Mapping[str, Appearance] = {
    "succeeded": Appearance("✓", "+", ACCENT),
    "failed": Appearance("✗", "x", "red"),
    "cancelled": Appearance("⊘", "/", ""),
    "abandoned": Appearance("!", "!", "yellow"),
    "waiting_for_input": Appearance("◆", "*", "yellow"),
    "confirming": Appearance("?", "?", ""),
    "running": Appearance("▸", ">", ""),
    "retrying": Appearance("↻", "~", ""),
    "throttled": Appearance("‖", "=", ""),
    "queued": Appearance("·", ".", "dim"),
    "waiting": Appearance("·", ".", "dim"),
}


@attrs.frozen(kw_only=True)
class EventView:
    """One event as texts and numbers.

    Attributes:
        state: The state of the job or of its watch: one of the words that `appearance_of` takes.
        fraction: Share of the work done, 0..1, or None if it is not known.
        eta_s: Estimated seconds until the job is over, or None.
        elapsed_s: Seconds since the watch began.
        polls: Status exchanges so far.
        note: The message or the reason, short enough for a live row; may be empty.
        reason: The same in full; may be empty.
    """

    state: str
    elapsed_s: float
    polls: int
    fraction: float | None = None
    eta_s: float | None = None
    note: str = ""
    reason: str = ""


def appearance_of(state: str) -> Appearance:
    """How a state is shown on a terminal. Raises KeyError for an unknown state."""
    return _APPEARANCES[state]


def state_text(state: str, *, ascii_only: bool = False) -> Text:
    """The symbol and the word of a state, in its colour."""
    appearance = appearance_of(state)
    return Text(f"{appearance.ascii_symbol if ascii_only else appearance.symbol} {state}", style=appearance.style)


def counts_line(counts: Mapping[str, int]) -> Text:
    """How many jobs have each state, in one order on all screens: `8 succeeded, 1 failed`. A state without jobs is left out."""
    shown = [
        (counts[state], state, appearance.style) for state, appearance in _APPEARANCES.items() if counts.get(state)
    ]
    return Text(", ").join(Text(f"{number:,} {state}", style=style) for number, state, style in shown)


def job_keys(endpoint: AnyEndpoint, job: Any) -> tuple[str, ...]:
    """A job's keys, safe to print, in the order of its endpoint."""
    return tuple(safe(value, 120) for value in endpoint.codec.job_to_keys(job).values())


def label_of(endpoint: AnyEndpoint) -> str:
    """The endpoint's name and account, safe to print."""
    return endpoint_label(endpoint.name, endpoint.account)


def view_of(event: AnyEvent) -> EventView:
    """The event as texts and numbers."""
    match event:
        case Progressed():
            state = "confirming" if event.phase in TERMINAL else event.phase.value
            message = safe(status_text(event.status, over=False))
            return _view(event, state, message, message, fraction=event.fraction, eta_s=event.eta_s)
        case Retrying(error=error):
            return _view(event, "retrying", _short(error), safe(error_text(error)))
        case Throttled(delay_s=delay_s):
            return _view(event, "throttled", f"for {duration(delay_s)}", f"rate budget spent for {duration(delay_s)}")
        case Succeeded():
            message = safe(status_text(event.status, over=True))
            return _view(event, "succeeded", message, message, fraction=1.0)
        case Failed() | Cancelled():
            reason = safe(event.error.reason or status_text(event.status, over=True) or "no reason given")
            return _view(event, type(event).__name__.lower(), reason, reason)
        case Abandoned(error=error):
            return _view(event, "abandoned", type(error).__name__, safe(abandoned_text(event)))


def event_line(endpoint: AnyEndpoint, event: AnyEvent) -> str:
    """The event as one plain line, for pipes and logs."""
    view = view_of(event)
    facts = [counted(view.polls, "poll"), duration(view.elapsed_s)]
    if view.fraction is not None and view.state != "succeeded":
        facts.insert(0, f"{int(view.fraction * 100)}%")
    if view.eta_s is not None:
        facts.insert(1, f"about {duration(view.eta_s)} left")
    if isinstance(event, Retrying):
        facts.append(f"again in {duration(event.delay_s)}")
    reason = f": {view.reason}" if view.reason else ""
    return f"{label_of(endpoint)} {' / '.join(job_keys(endpoint, event.job))} {view.state} ({', '.join(facts)}){reason}"


def _view(
    event: AnyEvent, state: str, note: str, reason: str, *, fraction: float | None = None, eta_s: float | None = None
) -> EventView:
    return EventView(
        state=state,
        elapsed_s=event.elapsed_s,
        polls=event.polls,
        fraction=fraction,
        eta_s=eta_s,
        note=note,
        reason=reason,
    )


def _short(error: PollError) -> str:
    match error:
        case RateLimited():
            return "HTTP 429"
        case NotVisibleYet():
            return "HTTP 404"
        case ServerUnavailable(http_status=http_status):
            return f"HTTP {http_status}"
        case _:
            return type(error).__name__
