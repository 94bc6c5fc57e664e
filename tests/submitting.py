"""A toy vendor whose jobs can be started, and a server that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from yarl import URL

from kept_toy import ToyCodec
from pollwise import JobWatcher, Pacing, Request
from pollwise.endpoints import Auth, Problem, Reply
from pollwise.endpoints import Submitted as SubmittedJob
from raw_server import Line, RawServer, raw_server, reply
from toy import ToyEndpoint, ToyJob

BUSY = reply(b'{"state": "running"}')
DONE = reply(b'{"state": "succeeded"}')
STARTED = reply(b'{"id": "7"}', status="201 Created")


def said(status: str, body: bytes = b"{}", *fields: str) -> bytes:
    return reply(body, *fields, status=status)


class Presses(ToyEndpoint):
    """`POST /start`, whose body is the order, and `GET /ID`. With `keyed` the API has an idempotency key."""

    codec = ToyCodec()

    def __init__(self, base_url: str, *, keyed: bool = False, auth: Auth | None = None) -> None:
        super().__init__(auth)
        self._url = URL(base_url)
        self._keyed = keyed

    def request(self, job: ToyJob, /) -> Request:
        return Request(self._url / job.id)

    def submit_request(self, order: str, key: str, /) -> Request:
        headers = {"Content-Type": "text/plain", **({"Idempotency-Key": key} if self._keyed else {})}
        return Request(self._url / "start", headers, method="POST", body=order.encode())

    def read_submitted(self, order: str, reply: Reply, /) -> ToyJob | SubmittedJob[ToyJob]:
        document = reply.json()
        if not isinstance(document, dict) or not isinstance(document.get("id"), str):
            raise reply.malformed("no id")
        job = ToyJob(document["id"])
        return SubmittedJob(job, document["wait"]) if "wait" in document else job

    def problem(self, reply: Reply, /) -> Problem | None:
        return Problem(codes=("E7",)) if reply.body == b'{"code":7}' else None


class Vendor:
    """Says `status` to polls, and the next of `answers` to starts; the last one again and again.

    An answer of None closes the connection, and an empty one says nothing.
    """

    def __init__(self, *answers: bytes | None, status: bytes = BUSY) -> None:
        self.answers = list(answers)
        self.status = status
        self.server: RawServer
        self.polls: list[float] = []
        self.starts: list[float] = []
        self.is_open = False

    def __call__(self, line: Line) -> None:
        now = asyncio.get_running_loop().time()
        if self.server.requests[-1].startswith(b"GET"):
            self.polls.append(now)
            line.say(self.status)
            return
        self.starts.append(now)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            line.hang_up()
        elif answer:
            line.say(answer)

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each start."""
        lines = [line for request in self.server.requests for line in request.decode("latin-1").split("\r\n")]
        return [line.partition(": ")[2] for line in lines if line.lower().startswith("idempotency-key")]


@asynccontextmanager
async def serving(vendor: Vendor) -> AsyncIterator[Vendor]:
    """The vendor with its server, for any number of watchers."""
    async with raw_server(vendor) as vendor.server:
        vendor.is_open = True
        yield vendor
    vendor.is_open = False


class Starting:
    """An open watcher of a vendor, and of a server if the vendor has none."""

    def __init__(self, vendor: Vendor, **options: Any) -> None:
        self._vendor = vendor
        self._kind: type[Presses] = options.pop("kind", Presses)
        self._own = {name: options.pop(name) for name in ("keyed", "auth") if name in options}
        self._options: dict[str, Any] = {"timeout_s": 600.0, "pacing": Pacing.fixed(60.0), **options}

    async def __aenter__(self) -> JobWatcher[Any, Any, Any, str]:
        async with AsyncExitStack() as stack:
            if not self._vendor.is_open:
                await stack.enter_async_context(serving(self._vendor))
            endpoint = self._kind(self._vendor.server.url, **self._own)
            watcher = await stack.enter_async_context(JobWatcher(endpoint, **self._options))
            self._opened = stack.pop_all()
        return watcher

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()


class ByUrl(Presses):
    """Takes the URL of the job from the reply."""

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL(job.id))
