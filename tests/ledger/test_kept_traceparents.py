"""The traceparent of a watch in a file: from the first row on, and in an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from kept_toy import KeptToyEndpoint, keeping
from pollwise.durable.codec import new_watch
from pollwise.ledger import SqliteLedger
from pollwise.model.messages import Reply
from pollwise.model.observer import Observer, WatchStart
from pollwise.model.reading import Reading
from pollwise.model.submitting import Submitted
from submitting import STARTED, Presses, Starting, Vendor
from toy import RUNNING, ToyJob, ToyStatus

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced(Observer):
    def on_start(self, watch: WatchStart, /) -> str | None:
        return TRACE


async def exported(ledger: SqliteLedger) -> list[dict[str, Any]]:
    chunks = [chunk async for chunk in ledger.export(include_open=True)]
    return [json.loads(line) for line in b"".join(chunks).splitlines()]


async def test_a_row_has_its_traceparent_from_the_beginning(tmp_path: Path) -> None:
    """A crash right after `record` loses no trace. The checksums are right, and an export shows it by its name."""
    path = tmp_path / "a.ledger"
    async with SqliteLedger(path) as ledger, keeping(ledger, [RUNNING], observer=Traced()) as (watcher, _):
        await watcher.record(ToyJob())
        (line,) = await exported(ledger)
    assert line["traceparent"] == TRACE
    assert "cursor" not in line
    async with SqliteLedger(path) as ledger:
        (line,) = await exported(ledger)
        assert (line["traceparent"], line["outcome"], ledger.damaged) == (TRACE, None, [])


@pytest.mark.looptime
@pytest.mark.parametrize("known", [True, False])
async def test_a_row_that_is_written_with_its_outcome_is_sound(tmp_path: Path, *, known: bool) -> None:
    """As any other one, a watch that may be opened again has its traceparent still."""
    status = ToyStatus("succeeded")
    reading = Reading.succeeded(status) if known else Reading.unknown_end(status, unknown="state=gone")

    class AtOnce(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> Submitted[ToyJob]:
            return Submitted(ToyJob("7"), reading=reading)

    path = tmp_path / "a.ledger"
    async with (
        SqliteLedger(path) as ledger,
        Starting(Vendor(STARTED), kind=AtOnce, ledger=ledger, observer=Traced()) as watcher,
    ):
        await watcher.submit("print")
    async with SqliteLedger(path) as ledger:
        (line,) = await exported(ledger)
        assert (line["outcome"], ledger.damaged) == ("succeeded" if known else "abandoned", [])
    assert line.get("traceparent") == (None if known else TRACE)


async def test_a_row_without_a_traceparent_is_as_before(tmp_path: Path) -> None:
    """A cursor alone is kept as it is, and many rows fit into one call."""
    endpoint = KeptToyEndpoint()
    rows = [new_watch(endpoint, ToyJob(str(n)), first_seen_s=1.0, timeout_s=None) for n in range(250)]
    async with SqliteLedger(tmp_path / "a.ledger") as ledger:
        await ledger.record(rows)
        lines = await exported(ledger)
    assert len(lines) == 250
    assert [line for line in lines if "cursor" in line or "traceparent" in line] == []


def test_a_new_row_shares_the_column_of_the_cursor() -> None:
    """So a ledger's file needs no other columns."""
    row = new_watch(KeptToyEndpoint(), ToyJob(), first_seen_s=1.0, timeout_s=None, traceparent=TRACE)
    assert row.cursor is not None
    assert orjson.loads(row.cursor) == {"pollwise.traceparent": TRACE, "cursor": None}
