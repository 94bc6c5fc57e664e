"""A process that starts jobs with a ledger, to be killed: `submit_child.py PATH URL ORDERS`. It reports on stdout.

Each order is submitted with its name as the key, watched with a cursor, and its result is fetched page by page. The first line of
stdin names the jobs of starts that are in doubt, as JSON: null for none.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import attrs
from yarl import URL

from pollwise import JobWatcher, Pacing, Reading, Reply, Request, Retry, SqliteLedger
from pollwise.endpoints import AttrsCodec, Cursor, Endpoint, ResultPage, Submitted
from pollwise.errors import SubmitDoubtful


@attrs.frozen
class Export:
    id: str


@attrs.frozen
class Length:
    pages: int


class Exports(Endpoint[Export, Length]):
    """`POST /start` with the name of an order starts an export. The cursor of its status is the next page."""

    name = "exports"
    heeded_headers = ()
    codec = AttrsCodec(Export, Length)
    key_field: str | None = None

    def __init__(self, base_url: str) -> None:
        self._base = base_url

    def submit_request(self, order: str, key: str, /) -> Request:
        headers = {} if self.key_field is None else {self.key_field: key}
        return Request(URL(f"{self._base}/start/{order}"), headers, "POST", b"{}")

    def read_submitted(self, order: str, reply: Reply, /) -> Submitted[Export]:
        document = reply.json()  # some have the end of the job already
        return Submitted(Export(str(document["id"])), reading=self.read(reply) if "pages" in document else None)

    def request(self, job: Export, /, cursor: Cursor = None) -> Request:
        return Request(URL(f"{self._base}/status/{job.id}/{cursor or 0}"))

    def read(self, reply: Reply, /) -> Reading[Length]:
        document = reply.json()
        if "pages" in document:
            return Reading.succeeded(Length(document["pages"]))
        return Reading.running(Length(0), cursor=document["next"])

    def result_request(self, job: Export, status: Length, /, cursor: Cursor = None) -> Request:
        return Request(URL(f"{self._base}/result/{job.id}/{cursor or 0}"))

    def read_result(self, reply: Reply, /) -> ResultPage[list[str]]:
        document = reply.json()
        return ResultPage(document["rows"], document["next"])


class KeyedExports(Exports):
    """The same with an idempotency key."""

    name = "keyed-exports"
    key_field = "Idempotency-Key"


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def finish(watcher: JobWatcher[Any, Any, list[str], str], order: str, turns: asyncio.Semaphore) -> None:
    """One order, from its start to its result."""
    async with turns:
        try:
            watch = await watcher.submit(order, key=order)
        except SubmitDoubtful:
            say("doubt", order)
            return
        say("job", order, watch.job.id)
        await watch
        say("result", order, *await watch.result())


async def main(path: str, url: str, orders: int, truth: dict[str, str | None]) -> None:
    options: dict[str, Any] = {
        "timeout_s": 3600.0,
        "pacing": Pacing.fixed(0.03),
        "retry": Retry(outage_s=60.0, base_s=0.05, max_s=0.2),
    }
    async with (
        SqliteLedger(path) as ledger,
        JobWatcher(Exports(url), ledger=ledger, **options) as plain,
        JobWatcher(KeyedExports(url), ledger=ledger, **options) as keyed,
    ):
        say("open")
        for start in await plain.unfinished_submits() if truth else ():
            job = truth[start.key]
            await (start.forget() if job is None else start.settle(Export(job)))
        turns = asyncio.Semaphore(8)
        async with asyncio.TaskGroup() as group:
            for n in range(orders):
                group.create_task(finish(plain, f"plain-{n}", turns))
                group.create_task(finish(keyed, f"keyed-{n}", turns))
    say("over")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.stdin.readline())))
