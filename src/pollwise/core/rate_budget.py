"""The rate budget as a caller sees it: what was configured or learnt, and how many requests were refused.

`TokenBudget` decides. A caller shares a `RateBudget` and reads it. The watcher takes the `TokenBudget` with `engine_of`,
so a poll does not pass through this file.
"""

from __future__ import annotations

from pollwise.core.token_budget import TokenBudget
from pollwise.model.limits import RateLimit

__all__ = ["RateBudget", "engine_of"]


class RateBudget:
    """Requests per time, shared by every watch that uses the same token. Share one between watchers of one event loop.

    Args:
        limit: Requests that the server allows in one window, at least 1. None learns it from the replies.
        per_s: Length of the window in seconds. None learns it from the replies.
        longest_hint_s: No header of a reply delays a request by more than this many seconds. If a server asks for a
            longer pause, one request goes after this time, and the others after its reply.
    """

    __slots__ = ("_engine",)

    def __init__(self, limit: int | None = None, *, per_s: float | None = None, longest_hint_s: float = 3600.0) -> None:
        self._engine = TokenBudget(limit, per_s=per_s, longest_hint_s=longest_hint_s)

    def __repr__(self) -> str:
        return f"RateBudget({self.limit}, per_s={self.per_s})"

    @classmethod
    def documented(cls, limit: RateLimit | None, *, longest_hint_s: float = 3600.0) -> RateBudget:
        """A budget from the limit that a vendor documents; None where there is none.

        It holds until the server says that this token may send more or less.
        """
        budget = cls.__new__(cls)
        budget._engine = TokenBudget.documented(limit, longest_hint_s=longest_hint_s)  # noqa: SLF001  # of this class
        return budget

    @property
    def limit(self) -> int | None:
        """Requests in one window, configured or learnt; None while the limit is not known."""
        return self._engine.limit

    @property
    def per_s(self) -> float | None:
        """Length of the window in seconds, configured or learnt; None while it is not known."""
        return self._engine.per_s

    @property
    def longest_hint_s(self) -> float:
        """No header of a reply delays a request by more than this many seconds."""
        return self._engine.longest_hint_s

    @property
    def refused(self) -> int:
        """How many requests the server has refused with 429."""
        return self._engine.refused

    def close_at(self, at: float | None) -> None:
        """Send no request at this time or later, until the time is moved.

        Several processes that take turns with one token use it: each closes its budget before its lease of the token expires,
        and moves the time with each renewal. It is checked before each request. Watches wait meanwhile, and none fails
        because of it. Their deadlines still count. Call it from the event loop of the watchers.

        Args:
            at: Monotonic seconds, as `asyncio.get_running_loop().time()` returns them. None for never.

        Raises:
            ConfigurationError: It is not a number.
        """
        self._engine.close_at(at)


def engine_of(budget: RateBudget) -> TokenBudget:
    """What decides for this budget. Internal: only pollwise itself takes permits."""
    return budget._engine  # noqa: SLF001  the one way in
