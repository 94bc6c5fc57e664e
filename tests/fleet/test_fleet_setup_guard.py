"""A worker whose credentials are refused abandons no job of the fleet."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fleet_toy import FleetToy, Vendor, until, working

from pollwise.fleet import Client, PostgresLedger, Shard, fleet_status
from pollwise.fleet.setup_guard import GuardedLedger
from pollwise.ledger import Conclusion, LeaseLost, NewWatch, OutcomeKind
from pollwise.model.events import Succeeded
from pollwise.model.messages import Request
from pollwise.testing import Answer
from real_postgres import needs_postgres
from toy import ToyJob

pytestmark = needs_postgres

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


class Refusing(Vendor):
    """Refuses every credential."""

    def _answer(self, request: Request) -> Answer:
        super()._answer(request)
        return 401


async def test_refused_credentials_leave_the_jobs_to_others(
    store: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """The job stays open, the log has one line, and a worker with the right credentials goes on."""
    wrong, right = Refusing(), Vendor()
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, wrong, name="wrong") as worker:
        await until(lambda: worker.stats().refused == [Shard("toy")] and not worker.shards, store=store)
        assert (await fleet_status(store)).shards[0].open == 1
        assert worker.stats().lost == 0
        right.finish()
        async with working(store, right, name="right"):
            assert isinstance(await client.outcome(ToyJob("a")), Succeeded)
    assert set(wrong.asked) == {"a"}
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1
    assert lines[0].startswith("wrong: the shard toy cannot be served here (AuthenticationError: ")


async def test_outcomes_about_jobs_are_written(store: PostgresLedger) -> None:
    """Of one call, only those about the worker are not."""
    shard = Shard("toy")
    recorded = [await store.record([_row(name)]) for name in "ab"]
    first, second = (found[0].id for found in recorded)
    async with store.leases(owner="w", ttl_s=3.0) as leases:
        [lease] = await leases.acquire(1)
        guarded = GuardedLedger(store.fenced(shard, lease.epoch), shard)
        with pytest.raises(LeaseLost):
            await guarded.conclude([_end(first, "SetupError"), _end(second, "DeadlineExceeded")])
        assert guarded.fault is not None
        assert guarded.fault.id == first
        assert [row.id async for page in store.open_watches("toy") for row in page] == [first]
        await guarded.aclose()


def _row(name: str) -> NewWatch:
    return NewWatch(endpoint="toy", keys={"id": name}, first_seen=BEGAN, deadline=None)


def _end(number: int, error: str) -> Conclusion:
    return Conclusion(
        id=number, outcome=OutcomeKind.ABANDONED, phase=None, polls=1, status=None, elapsed_s=1.0, error_type=error
    )
