"""Makes the value of `JobWatcher.stats()`.

Rule 1: nothing is changed here, and every number is read in one step. So any thread may ask, such as that of an exporter.
Rule 2: open watches are counted when they are asked for, not at each poll. A hundred thousand take some tens of milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pollwise.core.counters import histogram
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.model.stats import DELAY_BOUNDS, JOB_BOUNDS, BudgetStats, LedgerStats, WatcherStats
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.observing import Observing

__all__ = ["states_of", "stats_of"]


def stats_of(
    observing: Observing[Any, Any],
    dispatcher: Dispatcher[Any, Any] | None,
    watches: Iterable[DrivenWatch[Any, Any]],
    budget: RateBudget,
    ledger: LedgerStats | None,
) -> WatcherStats:
    """What a watcher has done and does. `dispatcher` is None while it is closed."""
    engine, counts = engine_of(budget), observing.watches
    now = None if dispatcher is None else dispatcher.loop.time()
    return WatcherStats(
        endpoint=observing.endpoint.name,
        account=observing.endpoint.account,
        server=observing.endpoint.fixed_origin,
        polls=observing.polls.results(),
        errors=dict(observing.polls.errors),
        calls=observing.calls.results(),
        call_errors=dict(observing.calls.errors),
        requests=observing.durations(),
        in_flight=0 if dispatcher is None else dispatcher.in_flight,
        started=counts.started,
        resumed=counts.resumed,
        watches=states_of(watches),
        outcomes=dict(counts.outcomes),
        jobs={kind: histogram(row, JOB_BOUNDS) for kind, row in list(counts.jobs.items())},
        detection_delay=histogram(counts.delays, DELAY_BOUNDS),
        budget=BudgetStats(
            limit=engine.limit,
            per_s=engine.per_s,
            remaining=None if now is None else engine.seen_left(now),
            refused=engine.refused,
            waiting=0 if dispatcher is None else dispatcher.waiting,
        ),
        ledger=ledger,
        hosts_down=() if now is None else engine.hosts.outages(now),
    )


def states_of(watches: Iterable[DrivenWatch[Any, Any]]) -> dict[str, int]:
    """How many of these are in which state, as in `WatcherStats.watches`."""
    return dict(Counter(map(_state_of, list(watches))))


def _state_of(watch: DrivenWatch[Any, Any]) -> str:
    machine = watch.machine
    if machine.failures:
        return "failing"
    phase = machine.phase
    return "unseen" if phase is None else phase.value
