"""Shards are shared fairly, and do not go to and fro."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.fleet.shares import Plan, plan
from pollwise.ledger.postgres.workers import ShardState, Survey
from pollwise.ledger.shards import Shard


def shard(number: int) -> Shard:
    return Shard("toy", f"{number:03}")


def survey_of(owners: Mapping[Shard, int | None], workers: Collection[int], idle: Collection[Shard] = ()) -> Survey:
    """These shards and their owners. One without an owner is free."""
    return Survey(
        shards=[
            ShardState(shard=one, session=owner, is_free=owner is None, is_busy=one not in idle)
            for one, owner in owners.items()
        ],
        workers=workers,
    )


def plan_of(owners: Mapping[Shard, int | None], workers: Collection[int], me: int, **options: Any) -> Plan:
    given: dict[str, Any] = {
        "owned": [one for one, owner in owners.items() if owner == me],
        "refused": (),
        "given": (),
        "free_since": {},
        "now": 0.0,
        "patience_s": 2.0,
        **options,
    }
    return plan(survey_of(owners, workers, given.pop("idle", ())), session=me, **given)


@given(
    owners=st.lists(st.integers(0, 6), max_size=30),
    workers=st.sets(st.integers(1, 6), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_shards_come_to_rest_evenly(owners: list[int], workers: set[int], order: Any) -> None:
    """However they were owned, and in whatever order workers look, in the end no worker has two more than another."""
    now = {shard(n): owner if owner in workers else None for n, owner in enumerate(owners)}
    released: dict[int, set[Shard]] = {worker: set() for worker in workers}
    for _ in range(100):
        turns = sorted(workers)
        order.shuffle(turns)
        moved = False
        for me in turns:
            todo = plan_of(now, workers, me, given=released[me])
            for one in todo.chosen():
                now[one] = me
                moved = True
            for one in [one for one, owner in now.items() if owner == me][: todo.release]:
                now[one] = None
                released[me].add(one)
                moved = True
        if not moved:
            break
    else:
        pytest.fail("shards go to and fro")
    counts = Counter(dict.fromkeys(workers, 0))
    counts.update(owner for owner in now.values() if owner is not None)
    assert None not in now.values()
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_shard_that_others_do_not_take_is_taken() -> None:
    """A frozen worker, or one without the credentials, keeps no shard from being served."""
    owners = {shard(n): None if n == 2 else 1 for n in range(3)}
    todo = plan_of(owners, {1, 2}, 1, free_since={shard(2): 0.0}, now=1.9)
    assert (todo.room, todo.chosen()) == (0, [])
    todo = plan_of(owners, {1, 2}, 1, free_since={shard(2): 0.0}, now=2.0)
    assert todo.chosen() == [shard(2)]


def test_what_cannot_be_served_is_not_taken() -> None:
    """`endpoint_for` has failed for it."""
    assert plan_of({shard(0): None}, {1}, 1, refused=[shard(0)], now=99.0).chosen() == []


def test_a_shard_without_work_needs_no_owner() -> None:
    """It counts for nobody, and its owner may leave it."""
    owners = {shard(0): 1, shard(1): None, shard(2): 2}
    todo = plan_of(owners, {1, 2}, 1, idle=[shard(0), shard(1)])
    assert (todo.chosen(), todo.idle, todo.elsewhere) == ([], {shard(0)}, {shard(2)})


def test_a_dead_owner_is_no_worker() -> None:
    """Its shards are not given anything, and are free."""
    owners = {shard(n): 7 for n in range(4)}
    survey = Survey(
        shards=[ShardState(shard=one, session=7, is_free=True, is_busy=True) for one in owners], workers={1}
    )
    todo = plan(survey, session=1, owned=(), refused=(), given=(), free_since={}, now=0.0, patience_s=1.0)
    assert len(todo.chosen()) == 4
