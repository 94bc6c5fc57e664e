"""The smallest possible vendor, for tests of everything except the vendors.

Its replies are `{"state": "running", "done": 3, "of": 10}`. States: queued, running, succeeded, failed, cancelled;
`maybe-failed` looks over without being final; any other is unknown, hence running.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import orjson
from yarl import URL

from pollwise.core.pacing import Pacing
from pollwise.errors import Problem
from pollwise.model.events import Event
from pollwise.model.limits import Limits, RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint, Transport
from pollwise.model.reading import Phase, Reading
from pollwise.runtime.watch import Watch
from pollwise.testing import Answer, ScriptedTransport, controlled
from pollwise.watcher import JobWatcher

_PHASES = {phase.value: phase for phase in Phase}
_OVER = frozenset({"succeeded", "failed", "cancelled"})


@attrs.frozen
class ToyJob:
    id: str = "a"


@attrs.frozen
class ToyStatus:
    state: str
    done: int = 0


class ToyEndpoint(Endpoint[ToyJob, ToyStatus]):
    """Asks `https://toy.example/ID`."""

    name = "toy"

    heeded_headers: tuple[str, ...] | None = ()

    def __init__(self, auth: Auth | None = None, documented_limit: RateLimit | None = None) -> None:
        self.auth = auth
        self.documented_limit = documented_limit

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL(f"https://toy.example/{job.id}"))

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict) or "state" not in data:
            raise reply.malformed("no state")
        state, done = data["state"], data.get("done", 0)
        phase = _PHASES.get(state.removeprefix("maybe-"), Phase.RUNNING)
        return Reading(
            status=ToyStatus(state, done),
            phase=phase,
            final=state in _OVER,
            unconfirmed=state.startswith("maybe-"),
            fraction=done / data["of"] if "of" in data else None,
            reason=data.get("why"),
            unknown=None if state.removeprefix("maybe-") in _PHASES else f"state={state}",
        )

    def problem(self, reply: Reply, /) -> Problem | None:
        return Problem(("TOY-1",), ("no luck",)) if reply.body == b'{"code":1}' else None


RUNNING: Mapping[str, Any] = {"state": "running"}
SUCCEEDED: Mapping[str, Any] = {"state": "succeeded", "done": 10}
FAILED: Mapping[str, Any] = {"state": "failed", "why": "no disk"}
CANCELLED: Mapping[str, Any] = {"state": "cancelled"}


def running(done: int) -> Mapping[str, Any]:
    """A running status with this number of tenths done."""
    return {"state": "running", "done": done, "of": 10}


def job_of(request: Request) -> str:
    """The ID of the polled job."""
    return request.url.path.removeprefix("/")


def by_job(answers: Mapping[str, list[Answer]]) -> Callable[[Request], Answer]:
    """A script with its own replies for each job. The last one repeats."""
    left = {job: list(script) for job, script in answers.items()}

    def answer(request: Request) -> Answer:
        script = left[job_of(request)]
        return script.pop(0) if len(script) > 1 else script[0]

    return answer


class ToyAuth:
    """Credentials that are good until the server refuses them, renewed once for all concurrent callers.

    `failures` are raised by the renewals to come, in their order; None is one that works.
    """

    def __init__(self, *failures: Exception | None, fresh: bool = True) -> None:
        self.renewals = 0
        self.stale: list[Mapping[str, str] | None] = []
        self._failures = list(failures)
        self._fields: Mapping[str, str] | None = {"Authorization": "0"} if fresh else None
        self._renewal: asyncio.Task[None] | None = None

    def headers(self, _now: float, /) -> Mapping[str, str] | None:
        return self._fields

    async def renew(self, _via: Transport, _now: float, stale: Mapping[str, str] | None, /) -> None:
        self.stale.append(stale)
        if self._fields is not None and self._fields is not stale:
            return
        self._fields = None
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew(), name="toy-renewal")
        await asyncio.shield(self._renewal)

    async def _renew(self) -> None:
        self.renewals += 1
        try:
            await asyncio.sleep(0.5)
        finally:
            self._renewal = None
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        self._fields = {"Authorization": str(self.renewals)}


@asynccontextmanager
async def watching(
    script: list[Answer] | Callable[[Request], Answer] | Transport, **options: Any
) -> AsyncIterator[tuple[JobWatcher[ToyJob, ToyStatus], ScriptedTransport]]:
    """An open watcher of the toy, and its transport. By default it polls every second, for an hour."""
    transport: Any = ScriptedTransport(script) if isinstance(script, list) or callable(script) else script
    endpoint = options.pop("endpoint", None) or ToyEndpoint(options.pop("auth", None))
    options = {"timeout_s": 3600.0, "pacing": Pacing.fixed(1.0), "transport": transport, **options}
    dice, clock = options.pop("dice", lambda: 0.5), options.pop("clock", None)
    limits = {
        name: options.pop(name) for name in ("concurrency", "capacity", "request_timeout_s", "reply") if name in options
    }
    watcher: JobWatcher[ToyJob, ToyStatus] = JobWatcher(endpoint, limits=Limits(**limits), **options)
    async with controlled(watcher, dice=dice, clock=clock):
        yield watcher, transport


async def events_of(watch: Watch[ToyJob, ToyStatus]) -> list[Event[ToyJob, ToyStatus]]:
    """All events from here on, read as they come."""
    return [event async for event in watch]


async def settle() -> None:
    """Run the loop until nothing is ready, without advancing time."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What is freed in here is freed by counting references."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
