"""The contract of every ledger: what is read, in which order, and an export."""

from __future__ import annotations

import itertools

from ledger_values import ENDPOINT, abandoned, acks, change, every, exported, new, success

from pollwise.ledger import Ledger


async def test_many_watches_come_in_chunks(ledger: Ledger) -> None:
    """Open watches and outcomes come in chunks of about 1,000, each once and in order."""
    recorded = [one.id for one in await ledger.record([new(n) for n in range(2_500)])]
    chunks = [[watch.id for watch in chunk] async for chunk in ledger.open_watches(ENDPOINT)]
    assert 2 <= len(chunks) <= 5
    assert all(chunks)
    assert list(itertools.chain(*chunks)) == recorded
    await ledger.conclude([success(number) for number in recorded])
    chunks = [[known.id for known in chunk] async for chunk in ledger.unacknowledged(ENDPOINT)]
    assert 2 <= len(chunks) <= 5
    assert all(chunks)
    assert list(itertools.chain(*chunks)) == recorded


async def test_a_reader_may_write_between_chunks(ledger: Ledger) -> None:
    """Acknowledging while iterating skips nothing."""
    await ledger.record([new(n) for n in range(1_500)])
    await ledger.conclude([success(n + 1) for n in range(1_500)])
    count = 0
    async for chunk in ledger.unacknowledged(ENDPOINT):
        count += await ledger.acknowledge([known.acknowledgement for known in chunk])
    assert count == 1_500


async def test_watches_after_a_number(ledger: Ledger) -> None:
    """Only those that were recorded after it come: what another process has recorded since the last look."""
    rows = [new(1), new(2), new(3, account="a"), new(4), new(5)]
    one, two, _, four, five = [found.id for found in await ledger.record(rows)]
    await ledger.conclude([success(four)])
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT, after=0))] == [one, two, five]
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT, after=one))] == [two, five]
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT, after=four))] == [five]
    assert await every(ledger.open_watches(ENDPOINT, after=five)) == []
    assert await every(ledger.open_watches(ENDPOINT, after=2**62)) == []
    (late,) = await ledger.record([new(6)])
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT, after=five))] == [late.id]


async def test_many_watches_after_a_number(ledger: Ledger) -> None:
    """They come in chunks, too, and none is left out or comes twice."""
    numbers = [one.id for one in await ledger.record([new(n) for n in range(2_100)])]
    found = await every(ledger.open_watches(ENDPOINT, after=numbers[49]))
    assert [watch.id for watch in found] == numbers[50:]


async def test_nothing_to_read(ledger: Ledger) -> None:
    """Of an endpoint without rows there is nothing, and no chunk."""
    assert [chunk async for chunk in ledger.open_watches("none")] == []
    assert [chunk async for chunk in ledger.unacknowledged("none")] == []
    assert list(await ledger.durations("none")) == list(await ledger.origins("none")) == []
    assert await exported(ledger, include_open=True) == []


async def test_durations_are_those_of_successes(ledger: Ledger) -> None:
    """Learnt durations come from what succeeded, the newest first, as many as wanted."""
    await ledger.record([new(n) for n in range(4)] + [new(9, endpoint="document360")])
    await ledger.conclude([success(n, elapsed_s=float(n)) for n in (1, 2, 3, 5)] + [abandoned(4)])
    assert list(await ledger.durations(ENDPOINT)) == [3.0, 2.0, 1.0]
    assert list(await ledger.durations(ENDPOINT, newest=2)) == [3.0, 2.0]


async def test_export_is_json_lines(ledger: Ledger) -> None:
    """Results are one JSON object a line, in the order recorded, the open ones only if wanted."""
    await ledger.record([new(1), new(2, deadline=None), new(3)])
    await ledger.update([change(2)])
    await ledger.conclude([abandoned(3, error_message="line\nbreak"), success(1, status=b'{\n"n": [1]\n}')])
    await ledger.acknowledge(acks(1))
    first, third = await exported(ledger)
    assert first == {
        "outcome": "succeeded",
        "endpoint": ENDPOINT,
        "job": {"file_id": "D1", "job_id": "ZX-1"},
        "phase": "succeeded",
        "first_seen": "2026-03-01T12:00:00.123456Z",
        "deadline": "2026-03-01T13:00:00.123456Z",
        "elapsed_s": 12.5,
        "detected_within_s": 2.5,
        "polls": 4,
        "failures": 0,
        "status": {"n": [1]},
        "error": None,
        "acknowledged": True,
    }
    assert third["error"] == {"type": "RetriesExhausted", "message": "line\nbreak"}
    everything = await exported(ledger, include_open=True)
    assert [line["outcome"] for line in everything] == ["succeeded", None, "abandoned"]
    assert everything[1]["status"] == {"progress": "PROCESSING"}
    assert everything[1]["deadline"] is None


async def test_export_is_the_same_line_byte_for_byte(ledger: Ledger) -> None:
    """Of each kind of ledger, with each field that a row may have. Programs of users read these lines."""
    await ledger.record([new(1, account="acme", origin="https://a.example", cursor=b'{"page": 2}'), new(2)])
    await ledger.conclude([abandoned(2, error_message="\u00e9 \U0001f989", error_data=b'{"version": 1}', cursor=b"7")])
    text = b"".join([lines async for lines in ledger.export(include_open=True)])
    assert text.decode() == (
        '{"outcome":null,"endpoint":"oracle-content","account":"acme","job":{"file_id":"D1","job_id":"ZX-1"},"phase":null,'
        '"first_seen":"2026-03-01T12:00:00.123456Z","deadline":"2026-03-01T13:00:00.123456Z","elapsed_s":null,'
        '"detected_within_s":null,"polls":0,"failures":0,"status":null,"error":null,"acknowledged":false,'
        '"origin":"https://a.example","cursor":{"page":2}}\n'
        '{"outcome":"abandoned","endpoint":"oracle-content","job":{"file_id":"D1","job_id":"ZX-2"},"phase":"running",'
        '"first_seen":"2026-03-01T12:00:00.123456Z","deadline":"2026-03-01T13:00:00.123456Z","elapsed_s":12.5,'
        '"detected_within_s":null,"polls":4,"failures":8,"status":{"progress":"SUCCEEDED"},"error":{"type":'
        '"RetriesExhausted","message":"\u00e9 \U0001f989","data":{"version":1}},"acknowledged":false,"cursor":7}\n'
    )


async def test_export_streams(ledger: Ledger) -> None:
    """Many results come as several pieces, each of whole lines."""
    await ledger.record([new(n) for n in range(2_500)])
    pieces = [piece async for piece in ledger.export(include_open=True)]
    assert sum(piece.count(b"\n") for piece in pieces) == 2_500
    assert 2 <= len(pieces) <= 5
    assert all(piece.endswith(b"\n") for piece in pieces)
