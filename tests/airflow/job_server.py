"""A server of jobs, in a thread of its own: what Airflow runs in other processes asks it, too.

POST /exports       starts a job; one for each Idempotency-Key
GET /exports/ID     its status
GET /exports/ID/rows  its result
DELETE /exports/ID  cancels it
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any, Self

from aiohttp import web

SECRET = "t0ken-of-a-test"


class JobServer:
    """Jobs of the table `slow` run until `finish`, `bad` fails and `quick` is done at the first poll, all others at the second."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: Counter[str] = Counter()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.refuse = 0  # how many of the next polls are refused
        self.lose_starts = False  # whether the connection of a start is closed, after the job has started
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job server")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def finish(self) -> None:
        for job in self.jobs.values():
            job["table"] = "quick"

    @property
    def started(self) -> int:
        return len(self.jobs)

    def _run(self) -> None:
        runner = web.AppRunner(self._app(), access_log=None)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._check])
        app.router.add_post("/exports", self._start)
        app.router.add_get("/exports/{id}", self._status)
        app.router.add_get("/exports/{id}/rows", self._rows)
        app.router.add_delete("/exports/{id}", self._cancel)
        return app

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests[request.method] += 1
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            raise web.HTTPUnauthorized
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _start(self, request: web.Request) -> web.Response:
        order = await request.json()
        key = request.headers.get("Idempotency-Key", str(len(self.jobs)))
        if key not in self.keys:
            self.keys[key] = str(len(self.jobs) + 1)
            self.jobs[self.keys[key]] = {"table": order["table"], "polls": 0, "state": "running"}
        if self.lose_starts:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"id": self.keys[key]}, status=202)

    async def _status(self, request: web.Request) -> web.Response:
        if self.refuse:
            self.refuse -= 1
            raise web.HTTPForbidden
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            raise web.HTTPNotFound
        job["polls"] += 1
        if (
            job["state"] == "running"
            and job["table"] != "slow"
            and (job["polls"] > 1 or job["table"] in {"bad", "quick"})
        ):
            job["state"] = "error" if job["table"] == "bad" else "done"
        return web.json_response({"state": job["state"], "table": job["table"], "percent": min(job["polls"] * 50, 100)})

    async def _rows(self, request: web.Request) -> web.Response:
        return web.json_response({"rows": [1, 2, 3]})

    async def _cancel(self, request: web.Request) -> web.Response:
        self.jobs[request.match_info["id"]]["state"] = "stopped"
        return web.Response(status=202)
