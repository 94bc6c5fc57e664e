"""The toy vendor with what a ledger needs of it, and watchers that have one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from memory_ledger import MemoryLedger
from pollwise.durable.delivery import Delivery
from pollwise.ledger import Ledger
from pollwise.model.limits import RateLimit
from pollwise.model.messages import Request
from pollwise.model.protocols import Auth, Transport
from pollwise.testing import Answer, ScriptedTransport
from pollwise.watcher import JobWatcher
from toy import ToyEndpoint, ToyJob, ToyStatus, watching

NOON_S = 1_750_000_000.0
DAY_S = 86_400.0


class ToyCodec:
    """Keeps jobs and statuses of the toy. A status of the state `unreadable` can be neither kept nor read back."""

    def job_to_keys(self, job: ToyJob, /) -> dict[str, str]:
        return {"id": job.id}

    def job_from_keys(self, keys: Mapping[str, str], /) -> ToyJob:
        if set(keys) != {"id"}:
            raise ValueError("not a toy")
        return ToyJob(keys["id"])

    def status_to_json(self, status: ToyStatus, /) -> Any:
        if status.state == "unreadable":
            raise KeyError(status.state)
        return {"state": status.state, "done": status.done}

    def status_from_json(self, data: Any, /) -> ToyStatus:
        return ToyStatus(data["state"], data["done"])


class KeptToyEndpoint(ToyEndpoint):
    """A toy whose jobs and statuses can be kept."""

    def __init__(
        self,
        auth: Auth | None = None,
        documented_limit: RateLimit | None = None,
        *,
        codec: ToyCodec | None = None,
    ) -> None:
        super().__init__(auth, documented_limit)
        self.codec = codec or ToyCodec()


def wall(shift_s: float = 0.0) -> float:
    """The wall clock, which goes with the loop's, set wrong by `shift_s`."""
    return NOON_S + asyncio.get_running_loop().time() + shift_s


@asynccontextmanager
async def keeping(
    ledger: Ledger | None,
    script: list[Answer] | Callable[[Request], Answer] | Transport,
    *,
    shift_s: float = 0.0,
    **options: Any,
) -> AsyncIterator[tuple[JobWatcher[ToyJob, ToyStatus], ScriptedTransport]]:
    """An open watcher of the toy with a ledger, whose wall clock is wrong by `shift_s`."""
    options = {"endpoint": KeptToyEndpoint(), "ledger": ledger, "clock": lambda: wall(shift_s), **options}
    async with watching(script, **options) as opened:
        yield opened


async def acknowledged(watcher: JobWatcher[ToyJob, ToyStatus]) -> list[Delivery[ToyJob, ToyStatus]]:
    """All deliveries until the end, each acknowledged."""
    found = []
    async for delivery in watcher.outcomes():
        assert await delivery.ack()
        found.append(delivery)
    return found


def toys(count: int) -> list[ToyJob]:
    return [ToyJob(f"job-{n}") for n in range(count)]


__all__ = ["DAY_S", "NOON_S", "KeptToyEndpoint", "MemoryLedger", "ToyCodec", "acknowledged", "keeping", "toys", "wall"]
