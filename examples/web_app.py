"""Watch jobs inside a web app. A client may wait or come back later, and a restart loses no watch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import web

from pollwise import BearerAuth, ConfigurationError, JobCancelled, JobFailed, JobWatcher, SqliteLedger, WatchError
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionStatus
from pollwise.errors import WatcherClosed

WAIT_S = 20.0  # shorter than the time-outs of clients and proxies

OPENED = web.AppKey("OPENED", AsyncExitStack)
WATCHER = web.AppKey("WATCHER", JobWatcher[ExtractionJob, ExtractionStatus])


def job_in(request: web.Request) -> ExtractionJob:
    try:
        return ExtractionJob(request.match_info["file_id"], request.match_info["job_id"])
    except ConfigurationError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


async def begin(request: web.Request) -> web.Response:
    """Record a job. It is on disk before the client gets 202."""
    await request.app[WATCHER].record(job_in(request))
    return web.json_response({"state": "running"}, status=202, headers={"Location": request.path})


async def show(request: web.Request) -> web.Response:
    """Reply with the outcome, or after `WAIT_S` that the job is still running."""
    try:
        watch = request.app[WATCHER].watch(job_in(request))
        async with asyncio.timeout(WAIT_S):  # ends this wait; the watch goes on
            status = await watch
    except (JobFailed, JobCancelled) as ended:
        return web.json_response({"state": "failed", "reason": ended.reason})
    except WatcherClosed:
        return web.json_response({"state": "running"}, status=503, headers={"Retry-After": "5"})
    except WatchError as abandoned:  # before TimeoutError, because DeadlineExceeded is one, too
        return web.json_response({"state": "unknown", "reason": str(abandoned)}, status=502)
    except TimeoutError:
        return web.json_response({"state": "running"}, status=202, headers={"Retry-After": "1"})
    return web.json_response({"state": "succeeded", "summary": status.summary()})


async def watching(app: web.Application) -> AsyncIterator[None]:
    endpoint = ExtractionEndpoint(
        os.environ["ORACLE_CONTENT_BASE_URL"],
        auth=BearerAuth(os.environ["ORACLE_CONTENT_TOKEN"]),
    )
    async with AsyncExitStack() as opened:
        ledger = await opened.enter_async_context(SqliteLedger(os.environ["LEDGER"]))
        watcher = await opened.enter_async_context(JobWatcher(endpoint, timeout_s=3600, ledger=ledger))
        await watcher.resume()
        app[OPENED], app[WATCHER] = opened, watcher
        yield


async def stop_watching(app: web.Application) -> None:
    """Close the watcher, so that waiting handlers reply. aiohttp calls this before it waits for them."""
    await app[OPENED].aclose()


def make_app() -> web.Application:
    app = web.Application()
    app.router.add_post("/extractions/{file_id}/{job_id}", begin)
    app.router.add_get("/extractions/{file_id}/{job_id}", show)
    app.cleanup_ctx.append(watching)
    app.on_shutdown.append(stop_watching)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1")
