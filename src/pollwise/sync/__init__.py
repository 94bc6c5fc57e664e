"""Await jobs from a program without asyncio: a script, a notebook, a thread of a web framework.

    from pollwise import sync

    status = sync.wait(job, endpoint, timeout_s=600)

    with sync.SyncWatcher(endpoint, timeout_s=600) as watcher:
        watch = watcher.watch(job)
        for event in watch:
            print(event)
        result = watch.result()

Everything runs on one background thread with an event loop of its own, so it also works while the caller's thread runs an
event loop, as in Jupyter. Such a call blocks the caller's loop: in a coroutine use `JobWatcher`.
"""

from __future__ import annotations

from pollwise.sync.outcomes import SyncOutcomes
from pollwise.sync.watch import SyncWatch
from pollwise.sync.watcher import SyncWatcher, wait

__all__ = ["SyncOutcomes", "SyncWatch", "SyncWatcher", "wait"]
