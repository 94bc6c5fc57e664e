"""How long the window of a rate limit is, where the server states only when it ends.

Rule 1: the oldest of the last `limit` requests began the window, or leaves it, at the reset. So the window is as long as
from that request to the reset, and the longest that was seen counts.
Rule 2: a reset in whole seconds is rounded up: the window ends within that second. Windows are whole seconds, too.
Rule 3: a short window may still be taken for a second or two longer than it is: a reset as an epoch, compared with a
clock that has fractions, is rounded all the same. So a shorter one is tried after some windows. A refusal takes that
back.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Window"]

_WINDOWS = 4  # windows without a refusal, after which a shorter one is tried
_LONG_S = 21.0  # a second more or less is less than 5 % of a longer window
_WHOLE_S = 1e-6
_MOST_REMEMBERED = 10_000


class Window:
    """What is known of the window's length.

    Attributes:
        pressed: Whether all places were taken since the length was set.
        answered: When the last `limit` requests were answered. A place is filled until a window after that, because only
            the server knows when in between it counted the request.
        sent: When the last `limit` requests were sent.
        shorten_at: When to ask `shorter`; infinite for never.
    """

    __slots__ = ("_longer_s", "_settled", "answered", "pressed", "sent", "shorten_at")

    def __init__(self) -> None:
        self.pressed = False
        self.answered: deque[float] = deque()
        self.sent: deque[float] = deque()
        self.shorten_at = math.inf
        self._longer_s: float | None = None  # the length before the shorter one that is being tried
        self._settled = False  # a shorter one was tried and refused

    def on_request(self, now: float, limit: int | None) -> None:
        """A request goes now."""
        self.sent.append(now)
        if len(self.sent) > (limit or _MOST_REMEMBERED):
            self.sent.popleft()

    def on_reply(self, now: float, limit: int | None) -> None:
        """A request was answered."""
        self.answered.append(now)
        if len(self.answered) > (limit or _MOST_REMEMBERED):
            self.answered.popleft()

    def use(self, per_s: float, now: float) -> None:
        """This length counts from now on."""
        self.pressed = False
        self.shorten_at = math.inf if self._settled else now + _WINDOWS * per_s

    def on_reset(self, now: float, reset_s: float, *, limit: int, per_s: float | None, too_short: bool) -> float | None:
        """The window ends in `reset_s`. Returns its length if that is news.

        Args:
            now: Monotonic seconds.
            reset_s: Seconds until it ends.
            limit: Requests in a window.
            per_s: Its length as far as it is known.
            too_short: Whether a length that is being tried is refuted: by a refusal, or because nothing remains though
                our own count says that there are places.
        """
        if len(self.sent) < limit:
            return None
        if too_short and self._longer_s is not None:
            longer_s, self._longer_s, self._settled = self._longer_s, None, True
            return longer_s
        seen_s = now + reset_s - self.sent[-limit]
        if reset_s == int(reset_s):
            seen_s = max(1.0, math.floor(seen_s + _WHOLE_S))
        longer = per_s is None or (seen_s > per_s and self._longer_s is None and not self._settled)
        return seen_s if longer else None

    def shorter(self, per_s: float, now: float) -> float | None:
        """The length to try in place of this one, or None."""
        if self._settled or per_s > _LONG_S:
            self.shorten_at = math.inf
            return None
        self.shorten_at = now + _WINDOWS * per_s
        shorter_s = math.ceil(per_s - _WHOLE_S) - 1.0
        if not self.pressed or shorter_s < 1.0:
            return None
        self._longer_s = per_s
        return shorter_s
