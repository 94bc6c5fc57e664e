"""Watch the jobs of any API: build its request, and read its reply."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import attrs
from yarl import URL

from pollwise import Endpoint, JobWatcher, Reading, Reply, Request
from pollwise.endpoints import AttrsCodec


@attrs.frozen
class Export:
    """A job, by its ID."""

    export_id: int


@attrs.frozen
class ExportStatus:
    """The API's status of an export."""

    state: str
    rows_done: int
    rows: int


class ExportEndpoint(Endpoint[Export, ExportStatus]):
    """GET /exports/{id} answers {"state": "running", "rows_done": 10, "rows": 40}."""

    name = "exports"
    codec = AttrsCodec(Export, ExportStatus)  # for ledgers and resume tokens

    def __init__(self, base_url: str) -> None:
        self._base = URL(base_url)

    def request(self, job: Export, /) -> Request:
        return Request(self._base / "exports" / str(job.export_id))

    def read(self, reply: Reply, /) -> Reading[ExportStatus]:
        try:
            document: dict[str, Any] = reply.json()
            status = ExportStatus(str(document["state"]), int(document["rows_done"]), int(document["rows"]))
        except (ValueError, KeyError, TypeError) as exc:
            raise reply.malformed(f"not an export's status ({type(exc).__name__})") from exc
        match status.state:
            case "done":
                return Reading.succeeded(status)
            case "error":
                return Reading.failed(status)
            case _:
                return Reading.running(status, fraction=status.rows_done / status.rows if status.rows else None)


async def main() -> None:
    async with JobWatcher(ExportEndpoint(os.environ["EXPORTS_BASE_URL"]), timeout_s=600) as watcher:
        print(await watcher.watch(Export(7)))


if __name__ == "__main__":
    asyncio.run(main())
