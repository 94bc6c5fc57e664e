"""The contract of every ledger: what is to be started, and which job it became."""

from __future__ import annotations

import asyncio
from datetime import timedelta, timezone

from ledger_values import ENDPOINT, NOON, every, intent, known_intent, new, started

from pollwise.ledger import Ledger


async def test_a_start_is_unfinished_until_its_job_is_recorded(ledger: Ledger) -> None:
    """Then its key gives the keys of the job."""
    (first,) = await ledger.intend_submits([intent()])
    assert first.known is None
    assert list(await ledger.unfinished_submits(ENDPOINT, "")) == [known_intent(first.id, intent())]
    (recorded,) = await ledger.record([started(7, by=first.id)])
    assert recorded.known is None
    assert list(await ledger.unfinished_submits()) == []
    (again,) = await ledger.intend_submits([intent(digest="1234", began=NOON.replace(hour=1))])
    assert (again.id, again.known) == (first.id, known_intent(first.id, intent(), keys=new(7).keys))


async def test_one_key_at_the_same_time(ledger: Ledger) -> None:
    """Of all calls that bring a new key, exactly one gets it as new: that caller starts the job."""
    found = await asyncio.gather(*(ledger.intend_submits([intent(digest=f"{n:04}")]) for n in range(20)))
    assert [one.known is None for (one,) in found].count(True) == 1
    assert len({one.id for (one,) in found}) == 1


async def test_one_key_twice_in_one_call(ledger: Ledger) -> None:
    """The second mention finds the first."""
    first, second = await ledger.intend_submits([intent(), intent(digest="1234")])
    assert (first.known, second.known) == (None, known_intent(first.id, intent()))


async def test_the_time_of_a_start_comes_back_in_utc(ledger: Ledger) -> None:
    """Equal, and exact to the microsecond."""
    began = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    await ledger.intend_submits([intent(began=began)])
    (found,) = await ledger.unfinished_submits()
    assert (found.began, found.began.utcoffset()) == (NOON, timedelta(0))


async def test_a_known_key_stays_as_it_is(ledger: Ledger) -> None:
    """Its digest and its time are the first ones."""
    await ledger.intend_submits([intent()])
    (again,) = await ledger.intend_submits([intent(digest="1234")])
    assert again.known == known_intent(1, intent())


async def test_a_key_is_one_of_its_endpoint_and_account(ledger: Ledger) -> None:
    """Equal keys of two accounts are two starts."""
    others = [intent(), intent(account="acme"), intent(endpoint="other")]
    found = await ledger.intend_submits(others)
    assert [one.id for one in found] == [1, 2, 3]
    assert [one.id for one in await ledger.unfinished_submits(ENDPOINT, "acme")] == [2]
    assert [one.id for one in await ledger.unfinished_submits()] == [1, 2, 3]


async def test_a_forgotten_intent_is_gone_and_a_finished_one_stays(ledger: Ledger) -> None:
    """So no key that has started a job starts a second one. No number is used twice."""
    await ledger.intend_submits([intent("a"), intent("b")])
    await ledger.record([started(1, by=1)])
    assert await ledger.forget_submits([1, 2, 3]) == 1
    (a, b) = await ledger.intend_submits([intent("a"), intent("b")])
    assert a.known is not None
    assert a.known.keys == new(1).keys
    assert (b.known, b.id) == (None, 3)


async def test_the_first_job_of_an_intent_stays(ledger: Ledger) -> None:
    """A job that is known already may be one's, too. An intent that was forgotten has none."""
    await ledger.record([new(7)])
    await ledger.intend_submits([intent("a"), intent("b")])
    await ledger.record([started(7, by=1), started(8, by=1), started(9, by=5)])
    (a, _) = await ledger.intend_submits([intent("a"), intent("b")])
    assert a.known is not None
    assert a.known.keys == new(7).keys
    assert len(await every(ledger.open_watches(ENDPOINT))) == 3
