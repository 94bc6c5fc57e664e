"""A steady poll is short: an engineer can follow it through few files."""

from __future__ import annotations

import pytest

from hops import PollTracer, Walk
from kept_toy import KeptToyEndpoint
from memory_ledger import MemoryLedger
from pollwise.model.limits import RateLimit
from pollwise.testing import run
from pollwise.watcher import JobWatcher
from toy import SUCCEEDED, ToyJob, running

_POLLS = 30
_STEADY = slice(10, 28)  # neither the first polls, which learn, nor the last one


def _walks(*, with_ledger: bool) -> list[Walk]:
    tracer = PollTracer([running(1)] * _POLLS + [SUCCEEDED])

    async def main() -> None:
        endpoint = KeptToyEndpoint(documented_limit=RateLimit(60, per_s=60.0))
        ledger = MemoryLedger() if with_ledger else None
        async with JobWatcher(endpoint, timeout_s=4_000, transport=tracer, ledger=ledger) as watcher:
            with tracer.tracing():
                await watcher.watch(ToyJob())

    run(main())
    return tracer.walks[_STEADY]


@pytest.mark.parametrize(("with_ledger", "files", "hops"), [(False, 9, 35), (True, 14, 44)])
def test_a_steady_poll_enters_few_files(with_ledger: bool, files: int, hops: int) -> None:
    """An unchanged poll enters at most so many files, and goes from file to file at most so often."""
    for walk in _walks(with_ledger=with_ledger):
        assert len(walk.files) <= files, walk.files
        assert walk.hops <= hops, walk.entered
