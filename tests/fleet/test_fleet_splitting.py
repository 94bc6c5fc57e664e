"""A token whose jobs are too many for one process is split into parts."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from fleet_toy import FleetToy, Vendor, jobs, until, working

from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError
from pollwise.fleet import Client, PostgresLedger, Shard, base_of, shards_of
from pollwise.fleet.splitting import budget_of, endpoint_of, part_of, parts_in
from pollwise.model.abilities import with_defaults
from pollwise.model.events import Succeeded
from real_postgres import needs_postgres

WHOLE = Shard("toy", "acme")


def test_parts_have_names() -> None:
    """A part says which one it is, and of how many, and leads back to the whole."""
    parts = shards_of(WHOLE, 3)
    assert [str(part) for part in parts] == ["toy/acme#0/3", "toy/acme#1/3", "toy/acme#2/3"]
    assert {base_of(part) for part in parts} == {WHOLE}
    assert {parts_in(part) for part in parts} == {3}
    assert list(shards_of(WHOLE, 1)) == [WHOLE]
    assert (base_of(WHOLE), parts_in(WHOLE)) == (WHOLE, 1)


@pytest.mark.parametrize("split", [0, -1, 1_001, 2.0, True, "2"])
def test_a_split_is_a_whole_number(split: int) -> None:
    """A wrong one is refused at once."""
    with pytest.raises(ConfigurationError, match="split must be a whole number"):
        shards_of(WHOLE, split)


def test_jobs_are_divided_evenly_and_always_in_the_same_way() -> None:
    """The part depends on the keys alone, in whatever order they are."""
    counts = Counter(part_of({"id": str(n)}, 4) for n in range(4_000))
    assert sorted(counts) == [0, 1, 2, 3]
    assert min(counts.values()) > 900
    assert part_of({"a": "1", "b": "2"}, 7) == part_of({"b": "2", "a": "1"}, 7)


def test_the_parts_have_the_limit_together() -> None:
    """Never more than the token may send."""
    parts = shards_of(WHOLE, 4)
    budgets = [budget_of(RateBudget(60, per_s=60), part) for part in parts]
    assert [(one.limit, one.per_s) for one in budgets] == [(15, 60)] * 4
    tiny = budget_of(RateBudget(2, per_s=60), parts[0])
    assert (tiny.limit, tiny.per_s) == (1, 120)
    whole, unknown = RateBudget(60, per_s=60), RateBudget()
    assert budget_of(whole, WHOLE) is whole
    assert budget_of(unknown, parts[0]) is unknown


def test_an_endpoint_serves_the_parts_of_its_account() -> None:
    """A copy of it has the account of the part. One of another account is refused, and one that cannot be copied, too."""
    endpoint = with_defaults(FleetToy("acme"))
    part = endpoint_of(endpoint, shards_of(WHOLE, 2)[1])
    assert (part.account, endpoint.account) == ("acme#1/2", "acme")
    assert endpoint_of(endpoint, WHOLE) is endpoint
    with pytest.raises(ConfigurationError, match="must have the name 'toy' and the account 'other'"):
        endpoint_of(endpoint, Shard("toy", "other"))

    class Frozen(FleetToy):
        def __setattr__(self, name: str, value: object) -> None:
            if hasattr(self, "codec"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    frozen = Frozen.__new__(Frozen)
    frozen.__dict__.update(vars(FleetToy("acme")))
    with pytest.raises(ConfigurationError, match="cannot be split"):
        endpoint_of(frozen, shards_of(WHOLE, 2)[0])


@needs_postgres
async def test_the_parts_of_a_token_are_shared_by_workers(store: PostgresLedger) -> None:
    """Each part has one owner, and a client finds the outcomes of all."""
    vendors = Vendor(), Vendor()
    client = Client(store, FleetToy("acme"), split=4)
    some = jobs(*(str(n) for n in range(20)))
    await client.submit_many(some, timeout_s=60)
    async with working(store, vendors[0]) as one, working(store, vendors[1]) as two:
        await until(lambda: len(one.shards) == len(two.shards) == 2, store=store)
        assert {base_of(shard) for shard in (*one.shards, *two.shards)} == {WHOLE}
        await until(lambda: {*vendors[0].asked, *vendors[1].asked} == {job.id for job in some}, store=store)
        assert await client.cancel(some[0])
        for vendor in vendors:
            vendor.finish()
        outcomes = await asyncio.gather(*(client.outcome(job) for job in some[1:]))
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
        async with client.outcomes() as deliveries:
            assert sum([await delivery.ack() async for delivery in deliveries]) == 20
