"""The protocol of observers."""

from __future__ import annotations

from pollwise.model.observer import Observer, WatchStart


class Silent(Observer):
    """Defines nothing."""


def test_an_observer_defines_only_what_it_needs() -> None:
    """The methods of the base class do nothing, and keep no traceparent."""
    assert Silent().on_start(WatchStart(endpoint="toy", account="", job=1)) is None
