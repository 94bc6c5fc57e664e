from __future__ import annotations

from typing import Any

from pollwise.cli.fleet_demo_processes import worker_processes


async def test_a_worker_that_ends_by_itself_says_why(environment: Any) -> None:
    """The demo can name what went wrong in a worker, without the URL's password."""
    database = "postgresql://someone:hunter2@127.0.0.1:1/nothing"
    async with worker_processes(["worker-1"], ["--profile", "none"], database, {}) as workers:
        assert workers[0].failure is None
        await workers[0].read()
        await workers[0].wait()
        assert workers[0].failure is not None
        assert workers[0].failure.startswith(
            "worker worker-1 has ended with 74: pollwise: postgresql://127.0.0.1:1/nothing"
        )
        assert "hunter2" not in workers[0].failure
