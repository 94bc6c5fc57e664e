"""What all watches of one watcher have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from pollwise.core.forecast import Forecast, level_of
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.setup_faults import PollHistory
from pollwise.model.calls import Call

__all__ = ["Policy"]


@attrs.frozen(kw_only=True)
class Policy:
    """What all watches of one watcher have in common. Times are in seconds.

    Attributes:
        timeout_s: Longest duration of a watch, or None for ever.
        last_poll_s: How long before the deadline the last poll is asked.
        not_found_grace_s: How long a 404 may mean that the job is not visible yet.
        confirmations: How many more polls confirm an end that is not final.
        confirm_s: The shortest time over which these polls are spread.
        longest_hint_s: The longest wait that a server may ask for.
        heartbeat_s: Report an unchanged status when nothing was reported for this long; None for never.
        renewable: Whether there are credentials to renew after a 401.
        forecast: What these watches teach about when jobs end.
        call: Asks about the jobs, if the endpoint takes a cursor; else None.
        history: What the polls of all these watches have shown.
        patience_level: The pacing's patience, as a level of worth.
        on_odd_fraction: Called with a fraction that is no share of 0..1. The reading counts without it.
        pause_s: Shortest wait between a poll and the last one before the deadline.
    """

    pacing: Pacing
    retry: Retry
    timeout_s: float | None
    last_poll_s: float = 1.0
    not_found_grace_s: float = 30.0
    confirmations: int = 2
    confirm_s: float = 60.0
    longest_hint_s: float = 3600.0
    heartbeat_s: float | None = None
    renewable: bool = False
    forecast: Forecast = attrs.field(factory=Forecast)
    on_odd_fraction: Callable[[float], object] = bool
    call: Call[Any, Any] | None = None
    history: PollHistory = attrs.field(factory=PollHistory)
    patience_level: int = attrs.field(init=False)
    pause_s: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "patience_level", level_of(self.pacing.patience_s))
        object.__setattr__(self, "pause_s", min(self.pacing.min_s, self.last_poll_s))
