"""The contract of every ledger: the cursor of a watch, with its state, through every call."""

from __future__ import annotations

import pytest
from ledger_values import ENDPOINT, abandoned, acks, change, every, exported, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Ledger, Renewal

URL = b'"https://a.example/monitor/2"'


async def test_a_new_watch_may_begin_with_a_cursor(ledger: Ledger) -> None:
    """It comes back byte for byte, also for a job that is recorded again."""
    await ledger.record([new(1, cursor=b'{"page":  1}'), new(2)])
    assert [watch.cursor for watch in await every(ledger.open_watches(ENDPOINT))] == [b'{"page":  1}', None]
    (again,) = await ledger.record([new(1, cursor=URL)])
    assert again.known is not None
    assert again.known.cursor == b'{"page":  1}'


async def test_an_open_watch_has_the_cursor_of_its_last_change(ledger: Ledger) -> None:
    """A later change without one takes it away."""
    await ledger.record([new(1), new(2)])
    await ledger.update([change(1, cursor=b'{"page": 1}'), change(2, cursor=URL)])
    await ledger.update([change(1, cursor=URL), change(2)])
    assert [watch.cursor for watch in await every(ledger.open_watches(ENDPOINT))] == [URL, None]


async def test_an_abandoned_watch_keeps_its_cursor_until_it_is_opened_again(ledger: Ledger) -> None:
    """Acknowledged or not."""
    await ledger.record([new(1), new(2)])
    await ledger.conclude([abandoned(1, cursor=URL), abandoned(2, cursor=b"7")])
    assert [outcome.cursor for outcome in await every(ledger.unacknowledged(ENDPOINT))] == [URL, b"7"]
    await ledger.acknowledge(acks(1))
    assert [known.known.cursor for known in await ledger.record([new(1), new(2)]) if known.known] == [URL, b"7"]
    assert await ledger.reopen([Renewal(id=number, generation=0, deadline=None) for number in (1, 2)]) == 2
    assert [watch.cursor for watch in await every(ledger.open_watches(ENDPOINT))] == [URL, b"7"]


async def test_an_outcome_without_a_cursor_has_none(ledger: Ledger) -> None:
    """Whatever the last change had."""
    await ledger.record([new(1)])
    await ledger.update([change(1, cursor=URL)])
    await ledger.conclude([success(1)])
    assert [outcome.cursor for outcome in await every(ledger.unacknowledged(ENDPOINT))] == [None]


async def test_a_cursor_is_one_json_document(ledger: Ledger) -> None:
    """Anything else is refused before it is written."""
    await ledger.record([new(1)])
    with pytest.raises(ConfigurationError, match="the cursor is not one JSON document"):
        await ledger.update([change(1, cursor=b"a b")])


async def test_an_export_has_the_cursor(ledger: Ledger) -> None:
    """As JSON, and left out where there is none."""
    await ledger.record([new(1), new(2)])
    await ledger.update([change(1, cursor=b'{"page":[1,null]}')])
    first, second = await exported(ledger, include_open=True)
    assert first["cursor"] == {"page": [1, None]}
    assert "cursor" not in second
