"""Accounts and origins in a ledger: whose job a row is, and where it is asked about."""

from __future__ import annotations

import pytest
from ledger_values import ENDPOINT, NOON, abandoned, every, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Concluded, Ledger, OpenWatch, Relocation, Renewal

OLD, NEW = "https://old.example", "https://new.example"


async def test_equal_keys_of_two_accounts_have_two_rows(ledger: Ledger) -> None:
    """Each is known by itself, and each is open, over and acknowledged by itself."""
    one, two, again = await ledger.record([new(1, account="a"), new(1, account="b"), new(1, account="a")])
    assert (one.known, two.known, again.id) == (None, None, one.id)
    assert one.id != two.id
    await ledger.conclude([success(two.id)])
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT, "a"))] == [one.id]
    assert await every(ledger.open_watches(ENDPOINT, "b")) == await every(ledger.open_watches(ENDPOINT)) == []
    assert [known.account for known in await every(ledger.unacknowledged(ENDPOINT, "b"))] == ["b"]
    assert await every(ledger.unacknowledged(ENDPOINT, "a")) == []
    assert await ledger.durations(ENDPOINT, "b") == [12.5]
    assert await ledger.durations(ENDPOINT, "a") == await ledger.durations(ENDPOINT) == []


async def test_no_account_is_an_account_of_its_own(ledger: Ledger) -> None:
    """An empty name means the rows without one, and not all of them."""
    plain, _ = await ledger.record([new(1), new(1, account="a")])
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT))] == [plain.id]


async def test_an_origin_stays_as_it_was_recorded(ledger: Ledger) -> None:
    """To record a job again changes nothing; only to relocate it, or to open it again, does."""
    one, two = await ledger.record([new(1, origin=OLD), new(2, origin=OLD)])
    (again,) = await ledger.record([new(1, origin=NEW)])
    assert isinstance(again.known, OpenWatch)
    assert again.known.origin == OLD
    await ledger.conclude([abandoned(two.id)])
    await ledger.relocate([Relocation(id=one.id, origin=NEW), Relocation(id=two.id, origin=NEW)])
    assert [watch.origin for watch in await every(ledger.open_watches(ENDPOINT))] == [NEW]
    (ended,) = await every(ledger.unacknowledged(ENDPOINT))
    assert ended.origin == OLD
    await ledger.reopen([Renewal(id=two.id, generation=0, deadline=None)])
    assert [watch.origin for watch in await every(ledger.open_watches(ENDPOINT))] == [NEW, OLD]
    await ledger.conclude([abandoned(two.id)])
    await ledger.reopen([Renewal(id=two.id, generation=1, deadline=NOON, origin=NEW)])
    assert [watch.origin for watch in await every(ledger.open_watches(ENDPOINT))] == [NEW, NEW]


async def test_where_the_open_ones_are(ledger: Ledger) -> None:
    """How many at each origin, with the first of each; of one endpoint and account, and of what is open alone."""
    rows = [new(1, origin=OLD), new(2), new(3, origin=NEW), new(4, origin=OLD), new(5, origin=OLD)]
    recorded = await ledger.record([*rows, new(6, origin=NEW, account="a"), new(7, origin=NEW, endpoint="document360")])
    await ledger.conclude([success(recorded[4].id)])
    found = [(count.origin, count.watches, count.keys["job_id"]) for count in await ledger.origins(ENDPOINT)]
    assert found == [(OLD, 2, "ZX-1"), (None, 1, "ZX-2"), (NEW, 1, "ZX-3")]
    assert [(count.origin, count.watches) for count in await ledger.origins(ENDPOINT, "a")] == [(NEW, 1)]
    assert await ledger.origins(ENDPOINT, "b") == []


async def test_an_export_has_what_there_is(ledger: Ledger) -> None:
    """`account` and `origin` are in the lines that have one; the others are as they were."""
    await ledger.record([new(1), new(2, account="acme", origin=NEW)])
    one, two = b"".join([lines async for lines in ledger.export(include_open=True)]).splitlines()
    assert b'"endpoint":"oracle-content","account":"acme","job"' in two
    assert two.endswith(b',"origin":"https://new.example"}')
    assert b"account" not in one
    assert b"origin" not in one


async def test_an_outcome_keeps_its_account_and_origin(ledger: Ledger) -> None:
    """They come back with it."""
    (one,) = await ledger.record([new(1, account="acme", origin=NEW)])
    await ledger.conclude([success(one.id)])
    (known,) = await ledger.record([new(1, account="acme", origin=OLD)])
    assert isinstance(known.known, Concluded)
    assert (known.known.account, known.known.origin) == ("acme", NEW)


@pytest.mark.parametrize("wrong", [{"account": 7}, {"account": None}, {"origin": 7}])
def test_accounts_and_origins_are_texts(wrong: dict[str, object]) -> None:
    """Anything else is refused at once."""
    with pytest.raises(ConfigurationError, match="must be a text"):
        new(1, **wrong)
