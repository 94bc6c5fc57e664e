"""A process that follows cursors with a ledger, to be killed: `cursor_child.py PATH URL JOBS`. It reports on stdout."""

from __future__ import annotations

import asyncio
import sys

import attrs
from yarl import URL

from pollwise import JobWatcher, Pacing, Reading, Reply, Request, Retry, SqliteLedger
from pollwise.endpoints import AttrsCodec, Cursor, Endpoint


@attrs.frozen
class List:
    name: str


@attrs.frozen
class Length:
    items: int


class Lists(Endpoint[List, Length]):
    """`GET /NAME/PAGE` answers `{"next": PAGE + 1}`, or `{"items": n}` at the end. The cursor is the next page."""

    name = "lists"
    heeded_headers = ()
    codec = AttrsCodec(List, Length)

    def __init__(self, base_url: str) -> None:
        self._base = base_url

    def request(self, job: List, /, cursor: Cursor = None) -> Request:
        return Request(URL(f"{self._base}/{job.name}/{cursor or 0}"))

    def read(self, reply: Reply, /) -> Reading[Length]:
        document = reply.json()
        if "items" in document:
            return Reading.succeeded(Length(document["items"]))
        return Reading.running(Length(0), cursor=document["next"])


async def main(path: str, url: str, jobs: int) -> None:
    async with (
        SqliteLedger(path) as ledger,
        JobWatcher(
            Lists(url),
            timeout_s=3600.0,
            pacing=Pacing.fixed(0.1),
            retry=Retry(outage_s=60.0, base_s=0.05, max_s=0.2),
            ledger=ledger,
        ) as watcher,
    ):
        await watcher.resume()
        await watcher.record_all(List(f"l{n}") for n in range(jobs))
        print("recorded", flush=True)  # noqa: T201  # for the test
        async for delivery in watcher.outcomes():
            print(delivery.outcome.job.name, type(delivery.outcome).__name__, flush=True)  # noqa: T201
            await delivery.ack()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
