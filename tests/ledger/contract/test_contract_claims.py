"""The contract of every ledger: claims, by which several consumers share outcomes."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from ledger_kinds import pass_lease
from ledger_values import ENDPOINT, abandoned, acks, every, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Concluded, Ledger, Renewal


async def filled(ledger: Ledger, count: int, **other: Any) -> list[int]:
    """Successes, and one open watch. Returns the numbers of the successes."""
    *ended, _ = await ledger.record([new(n, **other) for n in range(count + 1)])
    await ledger.conclude([success(one.id) for one in ended])
    return [one.id for one in ended]


def numbers(outcomes: Any) -> list[int]:
    return [one.id for one in outcomes]


async def test_a_claim_is_of_what_is_not_acknowledged(ledger: Ledger) -> None:
    """In the order recorded, as `unacknowledged` gives it, and of one endpoint and account."""
    mine = await filled(ledger, 3)
    (other,) = await filled(ledger, 1, account="acme")
    await ledger.acknowledge(acks(mine[1]))
    waiting = await every(ledger.unacknowledged(ENDPOINT))
    found = await ledger.claim(ENDPOINT)
    assert list(found) == waiting
    assert numbers(found) == [mine[0], mine[2]]
    assert all(isinstance(one, Concluded) for one in found)
    assert numbers(await ledger.claim(ENDPOINT, "acme")) == [other]
    assert list(await ledger.claim("none")) == []


async def test_two_consumers_never_get_the_same_outcome(ledger: Ledger) -> None:
    """However many call at the same time. Together they get each outcome."""
    mine = await filled(ledger, 200)
    taken = await asyncio.gather(*(ledger.claim(ENDPOINT, limit=30) for _ in range(10)))
    assert sorted(number for some in taken for number in numbers(some)) == mine
    assert list(await ledger.claim(ENDPOINT)) == []


async def test_a_claim_takes_as_many_as_wanted(ledger: Ledger) -> None:
    """The first ones. The rest is for the next call."""
    mine = await filled(ledger, 250)
    assert numbers(await ledger.claim(ENDPOINT, limit=1)) == mine[:1]
    assert numbers(await ledger.claim(ENDPOINT, limit=150)) == mine[1:151]
    assert numbers(await ledger.claim(ENDPOINT)) == mine[151:]


async def test_a_claim_is_of_a_thousand_by_default(ledger: Ledger) -> None:
    """So a consumer with a large backlog has no large memory."""
    mine = await filled(ledger, 1_001)
    assert numbers(await ledger.claim(ENDPOINT)) == mine[:1_000]
    assert numbers(await ledger.claim(ENDPOINT)) == mine[1_000:]


@pytest.mark.looptime
async def test_an_expired_claim_is_free_again(ledger: Ledger) -> None:
    """Not before its lease is over. What was acknowledged meanwhile does not come back."""
    mine = await filled(ledger, 3)
    assert numbers(await ledger.claim(ENDPOINT, lease_s=50.0)) == mine
    await ledger.acknowledge(acks(mine[0]))
    assert list(await ledger.claim(ENDPOINT, lease_s=50.0)) == []
    await pass_lease(ledger, 50.0)
    assert numbers(await ledger.claim(ENDPOINT, lease_s=50.0)) == mine[1:]
    assert list(await ledger.claim(ENDPOINT, lease_s=50.0)) == []


async def test_an_acknowledgement_of_a_claimed_outcome(ledger: Ledger) -> None:
    """It counts once, and ends the claim; whether its consumer or another one makes it."""
    mine = await filled(ledger, 2)
    (claimed,) = await ledger.claim(ENDPOINT, limit=1)
    counts = await asyncio.gather(*(ledger.acknowledge([claimed.acknowledgement]) for _ in range(5)))
    assert sorted(counts) == [0, 0, 0, 0, 1]
    assert await ledger.acknowledge(acks(mine[1])) == 1
    assert list(await ledger.claim(ENDPOINT)) == []


async def test_a_released_claim_is_free_at_once(ledger: Ledger) -> None:
    """Only what was released. What was never claimed, or has no outcome, stays as it is."""
    mine = await filled(ledger, 4)
    found = await ledger.claim(ENDPOINT, limit=3)
    await ledger.release_claims([found[1].acknowledgement, *acks(mine[3], mine[3] + 1, 2**40)])
    assert numbers(await ledger.claim(ENDPOINT)) == [mine[1], mine[3]]


async def test_a_claimed_outcome_is_still_unacknowledged(ledger: Ledger) -> None:
    """Reading takes no notice of claims, and makes none."""
    mine = await filled(ledger, 2)
    await every(ledger.unacknowledged(ENDPOINT))
    assert numbers(await ledger.claim(ENDPOINT)) == mine
    assert numbers(await every(ledger.unacknowledged(ENDPOINT))) == mine


async def test_a_watch_that_is_opened_again_loses_its_claim(ledger: Ledger) -> None:
    """The claim was of the outcome that is removed. The next outcome can be claimed at once."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1)])
    (before,) = await ledger.claim(ENDPOINT)
    await ledger.reopen([Renewal(id=1, generation=0, deadline=None)])
    assert list(await ledger.claim(ENDPOINT)) == []
    await ledger.conclude([success(1)])
    (after,) = await ledger.claim(ENDPOINT)
    assert (after.id, after.generation) == (before.id, 1)


async def test_a_consumer_of_an_earlier_outcome_ends_no_claim(ledger: Ledger) -> None:
    """It may acknowledge or release what it claimed before the watch was opened again. The new claim stays."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1)])
    (before,) = await ledger.claim(ENDPOINT)
    await ledger.reopen([Renewal(id=1, generation=0, deadline=None)])
    await ledger.conclude([success(1)])
    (after,) = await ledger.claim(ENDPOINT)
    assert await ledger.acknowledge([before.acknowledgement]) == 0
    await ledger.release_claims([before.acknowledgement])
    assert await ledger.reopen([Renewal(id=1, generation=0, deadline=None)]) == 0
    assert list(await ledger.claim(ENDPOINT)) == []
    await ledger.release_claims([after.acknowledgement])
    assert numbers(await ledger.claim(ENDPOINT)) == [after.id]


async def test_a_watch_that_was_over_when_it_was_recorded(ledger: Ledger) -> None:
    """Its outcome can be claimed as any other."""
    (one,) = await ledger.record([new(1, outcome=success(77))])
    assert numbers(await ledger.claim(ENDPOINT)) == [one.id]


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"limit": -1}, {"limit": 1.5}, {"limit": True}, {"limit": "9"}],
    ids=str,
)
async def test_a_limit_is_a_number_of_outcomes(ledger: Ledger, wrong: dict[str, Any]) -> None:
    """Anything else is refused by its name, and nothing is claimed."""
    mine = await filled(ledger, 1)
    with pytest.raises(ConfigurationError, match=r"^limit must be a whole number of outcomes, 1 or more; got "):
        await ledger.claim(ENDPOINT, **wrong)
    assert numbers(await ledger.claim(ENDPOINT)) == mine


@pytest.mark.parametrize("lease_s", [0, -1.0, math.inf, math.nan, True, "60"])
async def test_a_lease_is_a_number_of_seconds(ledger: Ledger, lease_s: Any) -> None:
    """Anything else is refused by its name, and nothing is claimed."""
    mine = await filled(ledger, 1)
    with pytest.raises(ConfigurationError, match=r"^lease_s must be a finite number of seconds above zero; got "):
        await ledger.claim(ENDPOINT, lease_s=lease_s)
    assert numbers(await ledger.claim(ENDPOINT)) == mine
