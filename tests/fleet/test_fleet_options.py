"""The options of a worker are those of its watchers."""

from __future__ import annotations

from pollwise.fleet.options import WatchingOptions
from pollwise.runtime.options import WatcherOptions

OF_THE_WORKER = {"timeout_s", "budget", "ledger", "ledger_patience_s", "count_suspended"}


def test_a_watcher_has_every_option() -> None:
    """With the same type. What the worker decides itself is left out, and nothing else."""
    ours, theirs = WatchingOptions.__annotations__, WatcherOptions.__annotations__
    assert set(ours) == set(theirs) - OF_THE_WORKER
    assert {name: kind.__forward_arg__ for name, kind in ours.items()} == {
        name: theirs[name].__forward_arg__ for name in ours
    }
