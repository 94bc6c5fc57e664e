"""The peers of the `overhead` benchmark: libraries that poll until a job is over.

Rule 1: each peer is used as its documentation shows.
Rule 2: some peers need a coroutine for each job. They follow as many jobs as pollwise, with its pauses between polls. A
semaphore admits one request for each connection.
Rule 3: a peer with a client of its own polls without pauses, in as many coroutines as connections. That favours it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from benchmarks.contenders import Contender, PollwiseJobs, Workers

__all__ = ["PEERS", "Peer"]


class PlainForeign(Workers):
    """The plain loop for bodies that are not those of an extraction."""

    async def follow(self, url: str) -> None:
        assert await self.fetch(url)


class _PendingError(Exception):
    """The job is not over."""


class Waiters(Workers):
    """A coroutine for each job, which waits between its polls. A semaphore admits one request for each connection."""

    async def open(self, stack: AsyncExitStack) -> None:
        await super().open(stack)
        self.semaphore = asyncio.Semaphore(self.connections)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.done = 0
        waiters = [asyncio.create_task(self.work()) for _ in self.jobs]
        yield
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)

    async def settle(self) -> None:
        while self.done < len(self.jobs):
            await asyncio.sleep(0.02)
        await super().settle()

    async def fetch(self, url: str) -> Any:
        async with self.semaphore:
            return await super().fetch(url)


class ByBackoff(Waiters):
    async def open(self, stack: AsyncExitStack) -> None:
        import backoff  # noqa: PLC0415

        await super().open(stack)
        pending = backoff.on_predicate(
            backoff.constant, _is_pending, interval=self.interval_s, jitter=None, logger=None
        )
        self.until_over: Callable[[str], Awaitable[Any]] = pending(self.fetch)

    async def follow(self, url: str) -> None:
        await self.until_over(url)


class ByTenacity(Waiters):
    async def open(self, stack: AsyncExitStack) -> None:
        import tenacity  # noqa: PLC0415

        await super().open(stack)
        pending = tenacity.retry(retry=tenacity.retry_if_result(_is_pending), wait=tenacity.wait_fixed(self.interval_s))
        self.until_over: Callable[[str], Awaitable[Any]] = pending(self.fetch)

    async def follow(self, url: str) -> None:
        await self.until_over(url)


class ByStamina(Waiters):
    async def open(self, stack: AsyncExitStack) -> None:
        import stamina  # noqa: PLC0415

        await super().open(stack)
        stamina.instrumentation.set_on_retry_hooks([])
        self.attempts: Callable[[], Any] = lambda: stamina.retry_context(
            on=_PendingError,
            attempts=None,
            timeout=None,
            wait_initial=self.interval_s,
            wait_max=self.interval_s,
            wait_jitter=0,
        )

    async def follow(self, url: str) -> None:
        async for attempt in self.attempts():
            with attempt:
                await self.fetch_final(url)

    async def fetch_final(self, url: str) -> Any:
        status = await self.fetch(url)
        if _is_pending(status):
            raise _PendingError
        return status


class ByGoogle(ByStamina):
    async def open(self, stack: AsyncExitStack) -> None:
        from google.api_core import retry  # noqa: PLC0415

        await Waiters.open(self, stack)
        predicate = retry.if_exception_type(_PendingError)
        again = retry.AsyncRetry(
            predicate=predicate, initial=self.interval_s, maximum=self.interval_s, multiplier=1, timeout=None
        )
        self.until_over: Callable[[str], Awaitable[Any]] = again(self.fetch_final)

    async def follow(self, url: str) -> None:
        await self.until_over(url)


class ByAzure(Workers):
    async def open(self, stack: AsyncExitStack) -> None:
        from azure.core import AsyncPipelineClient  # noqa: PLC0415
        from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415
        from azure.core.polling import AsyncLROPoller  # noqa: PLC0415
        from azure.core.polling.async_base_polling import AsyncLROBasePolling  # noqa: PLC0415
        from azure.core.rest import HttpRequest  # noqa: PLC0415

        await super().open(stack)
        transport = AioHttpTransport(session=self.session, session_owner=False)
        self.client = await stack.enter_async_context(AsyncPipelineClient(self.url, transport=transport))
        self.request = lambda url: HttpRequest("GET", url)
        contender = self

        class Counted(AsyncLROBasePolling[Any, Any, Any]):
            async def update_status(self) -> None:
                await super().update_status()
                contender.done += 1

        def poller(first: Any, url: str) -> Any:
            # the operation's URL is the URL of this job, as with a real service
            first.http_response.headers["Operation-Location"] = url
            return AsyncLROPoller(self.client, first, lambda _: None, Counted(timeout=0))

        self.poller = poller

    async def follow(self, url: str) -> None:
        first = await self.client.send_request(self.request(url), _return_pipeline_response=True)
        self.done += 1
        await self.poller(first, url).result()


class ByAiobotocore(Workers):
    async def open(self, stack: AsyncExitStack) -> None:
        from aiobotocore.config import AioConfig  # noqa: PLC0415
        from aiobotocore.session import get_session  # noqa: PLC0415

        await super().open(stack)
        made = get_session().create_client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=AioConfig(max_pool_connections=self.connections),
        )
        client = await stack.enter_async_context(made)
        client.meta.events.register("after-call.dynamodb.DescribeTable", self._count)
        self.waiter = client.get_waiter("table_exists")

    async def follow(self, url: str) -> None:
        await self.waiter.wait(TableName=url[-40:].replace("/", "-"), WaiterConfig={"Delay": 0, "MaxAttempts": 10_000})

    def _count(self, **_kwargs: Any) -> None:
        self.done += 1


def _is_pending(status: Any) -> bool:
    return bool(status["progress"] == "PROCESSING")


@attrs.frozen
class Peer:
    """A contender, the package that it uses, and the server and the plain loop of its measurement."""

    package: str
    contender: type[Contender]
    kind: str = "ending"
    plain: type[Contender] = Workers


PEERS: dict[str, Peer] = {
    "pollwise, whole jobs": Peer("aiohttp", PollwiseJobs),
    "backoff.on_predicate": Peer("backoff", ByBackoff),
    "tenacity": Peer("tenacity", ByTenacity),
    "stamina": Peer("stamina", ByStamina),
    "google-api-core AsyncRetry": Peer("google-api-core", ByGoogle),
    "azure-core AsyncLROPoller": Peer("azure-core", ByAzure, "azure", PlainForeign),
    "aiobotocore waiter": Peer("aiobotocore", ByAiobotocore, "dynamodb", PlainForeign),
}
