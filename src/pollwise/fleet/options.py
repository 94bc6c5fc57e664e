"""The options of a worker."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol, TypedDict

from pollwise.core.pacing import Pacing, Retry
from pollwise.model.limits import Limits
from pollwise.model.observer import Observer
from pollwise.model.protocols import Transport

__all__ = ["ShowsMetrics", "WatchingOptions"]


class ShowsMetrics(Protocol):
    """Shows the metrics of watchers and workers."""

    def add(self, source: Any, /) -> None:
        """Show this one, too."""
        ...

    def remove(self, source: Any, /) -> None:
        """Show its counts as they are now, and forget it."""
        ...


class WatchingOptions(TypedDict, total=False):
    """The options of the watchers of a `Worker`. The docstring of `JobWatcher` explains them."""

    pacing: Pacing | None
    retry: Retry | None
    transport: Transport | None
    limits: Limits | None
    not_found_grace_s: float
    confirmations: int
    confirm_s: float | None
    longest_hint_s: float
    heartbeat_s: float | None
    cancel_on_deadline: bool
    moved_from: str | Collection[str]
    observer: Observer | None
