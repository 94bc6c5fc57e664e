"""Records many jobs. The iterable is read as fast as the ledger writes.

Rule 1: at most some thousand jobs are read ahead of the ledger.
Rule 2: other tasks run after each few hundred jobs.
Rule 3: an error of the iterable is raised when the jobs before it are on disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

from pollwise.durable.recorder import Recorder
from pollwise.runtime.fairness import STEPS, Yielder
from pollwise.runtime.watch import Watch

__all__ = ["each_of", "record_jobs"]

J = TypeVar("J", bound=Hashable)
W = TypeVar("W", bound=Watch[Any, Any, Any])

_AHEAD: Final = 4_000  # enough jobs for the ledger's next transaction while it writes one


async def record_jobs(
    recorder: Recorder[Any, Any], watch: Callable[[J], W], jobs: Iterable[J] | AsyncIterable[J]
) -> list[W]:
    """Watch all these jobs. Return their watches, in the order of the jobs, when all rows are on disk."""
    watches: list[W] = []
    fair = Yielder()
    try:
        async for job in each_of(jobs):
            watches.append(watch(job))
            await fair.checkpoint()
            if len(watches) % STEPS == 0 and len(watches) > _AHEAD:
                await recorder.wait_settled(watches[-_AHEAD])
    except Exception:  # mostly of the caller's iterable
        await _recorded(recorder, watches)
        raise
    await _recorded(recorder, watches)
    return watches


async def _recorded(recorder: Recorder[Any, Any], watches: Sequence[Watch[Any, Any, Any]]) -> None:
    for watch in watches:
        await recorder.wait_recorded(watch)


async def each_of(jobs: Iterable[J] | AsyncIterable[J]) -> AsyncIterator[J]:
    """These jobs, from either kind of iterable."""
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
