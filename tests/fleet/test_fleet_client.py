"""Any process submits jobs, gets outcomes and cancels, without polling."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fleet_toy import FleetToy, Vendor, jobs, working

from pollwise.errors import ConfigurationError
from pollwise.fleet import Client, JobNotRecorded, PostgresLedger, Shard
from pollwise.ledger import LedgerClosed
from pollwise.model.events import Failed
from pollwise.testing import ScriptedTransport
from real_postgres import needs_postgres
from toy import FAILED, ToyEndpoint, ToyJob

pytestmark = needs_postgres


async def test_a_job_is_recorded_once(store: PostgresLedger) -> None:
    """Submitting it again changes nothing, from any client."""
    client = Client(store, FleetToy())
    assert await client.submit(ToyJob("a"), timeout_s=60)
    assert not await Client(store, FleetToy()).submit(ToyJob("a"), timeout_s=5)
    assert await client.submit_many([ToyJob("a"), *jobs("b", "c", "b")], timeout_s=None) == 2
    assert len([one async for chunk in store.open_watches("toy") for one in chunk]) == 3


async def test_jobs_come_from_an_async_iterable_of_any_length(store: PostgresLedger) -> None:
    """More than go into one statement."""

    async def many() -> AsyncIterator[ToyJob]:
        for n in range(1_100):
            yield ToyJob(str(n))

    assert await Client(store, FleetToy()).submit_many(many(), timeout_s=60) == 1_100


async def test_an_unknown_job_has_no_outcome(store: PostgresLedger) -> None:
    """The error says what to do, and nothing waits for ever."""
    client = Client(store, FleetToy())
    with pytest.raises(JobNotRecorded, match="Submit the job first"):
        await client.outcome(ToyJob("nobody"))
    with pytest.raises(JobNotRecorded):
        await client.cancel(ToyJob("nobody"))


async def test_failures_are_outcomes(store: PostgresLedger) -> None:
    """They have the vendor's reason, as those of a watcher have."""
    client = Client(store, FleetToy())
    await client.submit(ToyJob("a"), timeout_s=60)
    async with working(store, Vendor(), transport=ScriptedTransport([FAILED])):
        outcome = await client.outcome(ToyJob("a"))
    assert isinstance(outcome, Failed)
    assert "no disk" in str(outcome.error)


async def test_wrong_arguments_are_refused_at_once(store: PostgresLedger) -> None:
    """Each error says what to pass."""
    with pytest.raises(ConfigurationError, match="codec"):
        Client(store, ToyEndpoint())
    with pytest.raises(ConfigurationError, match="PostgresLedger"):
        Client("postgresql://x", FleetToy())  # type: ignore[arg-type]
    client = Client(store, FleetToy())
    with pytest.raises(ConfigurationError, match="timeout_s"):
        await client.submit(ToyJob("a"), timeout_s=-1)
    with pytest.raises(ConfigurationError, match="lease_s"):
        client.outcomes(lease_s=0)
    assert client.shard == Shard("toy")
    assert "Client of 'toy'" in repr(client)
    await store.aclose()
    with pytest.raises(LedgerClosed):
        Client(store, FleetToy())
