"""What went wrong since the last good reading, or is not believed yet.

Rule 1: outages are counted in time. They end a watch only when nothing but failed polls came for so long.
Rule 2: the pause that a 429 asks for is no part of an outage: the server is there.
Rule 3: what looks over is believed when enough polls have shown it, spread over enough time. Once it went on all the
same, it takes four times as many, and then eight times: polls a minute apart can meet nothing but the failures of a job
that is tried again each minute.

Most watches have no streak, most of the time; so the machine makes one when it needs it.
"""

from __future__ import annotations

from typing import Any

from pollwise.core.pacing import Retry
from pollwise.errors import PollError
from pollwise.model.reading import Phase, Reading

__all__ = ["FailureStreak"]

_DOUBTS = (1, 4, 8)  # by how often it went on: how much more it takes


class FailureStreak:
    """The state that a watch needs while something is wrong or doubtful. Times are in monotonic seconds.

    Attributes:
        bad: Bad polls in a row, 429 and 404 included, which set the pace of retrying.
        failures: Those of them that count as an outage.
        failing_since: When the first poll that counts failed, moved on by the pauses of 429s; None without one.
        flaps: How often what looked over went on again, or looked over in another way.
        grace_s: Seconds for an overdue watch to get an answer in, until it is asked about.
        last_error: What the last bad poll came to.
        looked_over_at: When the end that is being confirmed was seen first.
        missing: 404s in a row, of a job that was never seen. A server in trouble begins the row anew: its 404 tells nothing.
        missing_since: When the first of them came.
        overdue: The deadline that passed before the watch was resumed, if one did: the next reading is the last.
        reading: The last unconfirmed reading, while one is being confirmed.
        refused: The credentials were refused, and renewed.
        seen_s: Age of the watch when the job was last seen going on, before it looked over; None if it never was.
        stale: The last poll met a kept-alive connection that had been closed, and is asked again at once.
        unconfirmed: Polls in a row that showed the same unconfirmed end.
        visible: The job was seen by an earlier process, whose status is not known here.
    """

    __slots__ = (
        "bad",
        "failing_since",
        "failures",
        "flaps",
        "grace_s",
        "last_error",
        "looked_over_at",
        "missing",
        "missing_since",
        "overdue",
        "reading",
        "refused",
        "seen_s",
        "stale",
        "unconfirmed",
        "visible",
    )

    def __init__(self) -> None:
        self.bad = self.failures = self.missing = self.unconfirmed = self.flaps = 0
        self.failing_since: float | None = None
        self.missing_since = self.looked_over_at = 0.0
        self.last_error: PollError | None = None
        self.grace_s: float | None = None
        self.overdue: float | None = None
        self.seen_s: float | None = None
        self.reading: Reading[Any] | None = None
        self.refused = self.stale = self.visible = False

    @property
    def is_needed(self) -> bool:
        """Whether anything must be remembered beyond a good reading."""
        return self.unconfirmed > 0 or self.overdue is not None or self.flaps > 0

    def recover(self) -> None:
        """A good reading came."""
        self.bad = self.failures = self.missing = 0
        self.failing_since = self.last_error = None
        self.refused = self.stale = self.visible = False

    # --- outages ------------------------------------------------------------------------------

    def fail(self, now: float) -> None:
        """A poll failed that counts as an outage."""
        self.failures += 1
        self.missing = 0
        if self.failing_since is None:
            self.failing_since = now

    def excuse(self, pause_s: float) -> None:
        """A 429 asks for a pause, which is no part of an outage, nor of the time in which a job may become visible."""
        self.missing_since += pause_s
        if self.failing_since is not None:
            self.failing_since += pause_s

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

    def show(self, reading: Reading[Any], now: float) -> bool:
        """A poll showed an unconfirmed end. Returns whether it is another than before."""
        before = self.reading
        differs = before is None or before.phase is not reading.phase or _kind(before) != _kind(reading)
        if differs:
            self.flaps += self.unconfirmed > 0
            self.unconfirmed = 0
            self.looked_over_at = now
        self.unconfirmed += 1
        self.reading = reading
        return differs

    def is_shown(self, confirmations: int, confirm_s: float, now: float) -> bool:
        """Whether enough polls have shown the end, over enough time."""
        doubt = _DOUBTS[min(self.flaps, len(_DOUBTS) - 1)]
        if self.unconfirmed <= confirmations * doubt:
            return False
        return confirmations == 0 or now >= self.looked_over_at + confirm_s * doubt

    def contradict(self) -> None:
        """A poll showed that the job goes on."""
        if self.unconfirmed:
            self.flaps += 1
            self.unconfirmed = 0
            self.reading = None


def _kind(reading: Reading[Any]) -> str | None:
    """The word for an end of unknown kind."""
    return reading.unknown if reading.phase is Phase.RUNNING else None
