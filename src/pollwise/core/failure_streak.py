"""The failed polls since the last good reading, and the ends that are not confirmed yet.

Rule 1: outages are counted in time. A watch ends only if all polls of the last `Retry.outage_s` seconds failed.
A probe of another watch counts, too, while the host is down (`host_health.py`), until the host has answered one.
Rule 2: the pause that a 429 asks for is no part of an outage, because the server answered.
Rule 3: an unconfirmed end is believed when enough polls have shown it, over enough time. If the job went on after one,
the next takes four times as many polls, and then eight times. Otherwise polls a minute apart could meet only the failures
of a job that is tried again each minute.

Most watches have no streak most of the time, so the machine creates one when it needs it.
"""

from __future__ import annotations

import math
from typing import Any

from pollwise.core.pacing import Retry
from pollwise.errors import PollError
from pollwise.model.reading import Phase, Reading

__all__ = ["FailureStreak"]

_DOUBTS = (1, 4, 8)  # factors for polls and time, by how often the job went on after an unconfirmed end


class FailureStreak:
    """What a watch remembers while polls fail or an end is unconfirmed. Times are in monotonic seconds.

    Attributes:
        failed: Failed polls in a row, 429 and 404 included, by which `Retry` counts.
        failed_at: When the last poll that counts as an outage failed; minus infinity without one.
        failures: Those of them that count as an outage.
        failing_since: When the first poll that counts failed, moved on by the pauses of 429s; None without one.
        flaps: How often the job went on after an unconfirmed end, or showed another end.
        grace_s: Seconds that an overdue watch has for its reading, until its first poll is sent.
        last_error: The error of the last failed poll.
        looked_over_at: When the end that is to be confirmed was seen first.
        not_found: 404s in a row, of a job that was never seen. Another failure starts the row again.
        not_found_since: When the first of these 404s came.
        own_since: As `failing_since`, of the polls of this watch alone.
        overdue: The deadline, if it passed before the watch was resumed. The next reading is the last then.
        probes: Those of `failures` that were probes of other watches.
        reading: The last unconfirmed reading, until the end is confirmed or the job goes on.
        refused: The credentials were refused, and renewed.
        seen_s: Age of the watch when the job was last seen running, before the unconfirmed end; None if it never was.
        setup_faults: The kinds of the failures in a row that waiting cannot mend, before any poll has worked.
        stale: The last poll met a closed kept-alive connection, and is repeated at once.
        unconfirmed: Polls in a row that showed the same unconfirmed end.
        visible: The job was seen by an earlier process, whose status is not known here.
    """

    __slots__ = (
        "failed",
        "failed_at",
        "failing_since",
        "failures",
        "flaps",
        "grace_s",
        "last_error",
        "looked_over_at",
        "not_found",
        "not_found_since",
        "overdue",
        "own_since",
        "probes",
        "reading",
        "refused",
        "seen_s",
        "setup_faults",
        "stale",
        "unconfirmed",
        "visible",
    )

    def __init__(self) -> None:
        self.failed = self.failures = self.probes = self.not_found = self.unconfirmed = self.flaps = 0
        self.setup_faults: tuple[type[PollError], ...] = ()
        self.failing_since: float | None = None
        self.own_since: float | None = None
        self.failed_at = -math.inf
        self.not_found_since = self.looked_over_at = 0.0
        self.last_error: PollError | None = None
        self.grace_s: float | None = None
        self.overdue: float | None = None
        self.seen_s: float | None = None
        self.reading: Reading[Any] | None = None
        self.refused = self.stale = self.visible = False

    @property
    def is_needed(self) -> bool:
        """Whether something must be remembered after a good reading."""
        return self.unconfirmed > 0 or self.overdue is not None or self.flaps > 0

    def on_good_poll(self) -> None:
        """A good reading came."""
        self.failed = self.failures = self.probes = self.not_found = 0
        self.failing_since = self.own_since = self.last_error = None
        self.refused = self.stale = self.visible = False

    # --- outages ------------------------------------------------------------------------------

    def on_failure(self, now: float, *, own: bool = True) -> None:
        """A poll failed in a way that counts as an outage: one of this watch, or a probe of another one in its place."""
        self.failures += 1
        self.failed_at = now
        self.not_found = 0
        if self.failing_since is None:
            self.failing_since = now
        if not own:
            self.probes += 1
        elif self.own_since is None:
            self.own_since = now

    def on_host_answer(self) -> None:
        """The host answered a poll of another watch: failed probes count no more."""
        self.failures -= self.probes
        self.failed -= self.probes
        if self.probes:
            self.failing_since, self.probes, self.setup_faults = self.own_since, 0, ()

    def on_pause(self, pause_s: float) -> None:
        """A 429 asks for a pause. It is no part of an outage, and no part of the grace of a 404."""
        self.not_found_since += pause_s
        if self.failing_since is not None:
            self.failing_since += pause_s
        if self.own_since is not None:
            self.own_since += pause_s

    def outlasts(self, retry: Retry, now: float) -> bool:
        """Whether the outage is too long."""
        since, outage_s = self.failing_since, retry.outage_s
        if since is None or outage_s is None:
            return False
        return self.failures >= retry.min_failures and now >= since + outage_s

    def ends_at(self, retry: Retry) -> float | None:
        """When the next failed poll would end the watch; None if it would not."""
        since, outage_s = self.failing_since, retry.outage_s
        if since is None or outage_s is None or self.failures + 1 < retry.min_failures:
            return None
        return since + outage_s

    # --- confirmation -------------------------------------------------------------------------

    def on_unconfirmed(self, reading: Reading[Any], now: float) -> bool:
        """A poll showed an unconfirmed end. Returns whether it differs from the one before."""
        before = self.reading
        differs = before is None or before.phase is not reading.phase or _kind(before) != _kind(reading)
        if differs:
            self.flaps += self.unconfirmed > 0
            self.unconfirmed = 0
            self.looked_over_at = now
        self.unconfirmed += 1
        self.reading = reading
        return differs

    def is_confirmed(self, confirmations: int, confirm_s: float, now: float) -> bool:
        """Whether enough polls have shown the end, over enough time."""
        doubt = _DOUBTS[min(self.flaps, len(_DOUBTS) - 1)]
        if self.unconfirmed <= confirmations * doubt:
            return False
        return confirmations == 0 or now >= self.looked_over_at + confirm_s * doubt

    def on_running(self) -> None:
        """A poll showed that the job runs."""
        if self.unconfirmed:
            self.flaps += 1
            self.unconfirmed = 0
            self.reading = None


def _kind(reading: Reading[Any]) -> str | None:
    """The word for an end of unknown kind."""
    return reading.unknown if reading.phase is Phase.RUNNING else None
