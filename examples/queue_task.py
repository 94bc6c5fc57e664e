"""Wait for a job in a task queue. A redelivered task resumes its watch."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing

from taskiq import Context, InMemoryBroker, SimpleRetryMiddleware, TaskiqDepends, TaskiqEvents, TaskiqState

from pollwise import BearerAuth, JobCancelled, JobFailed, JobWatcher, WatchError
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionStatus

# In production use a broker that redelivers the messages of a dead worker, such as taskiq-redis's RedisStreamBroker.
broker = InMemoryBroker().with_middlewares(SimpleRetryMiddleware(types_of_exceptions=(WatchError, TimeoutError)))


class Tokens:
    """The resume token of each task, in a store that every worker can read. Use your Redis or database."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._run("CREATE TABLE IF NOT EXISTS tokens (task_id TEXT PRIMARY KEY, token TEXT NOT NULL)")

    def load(self, task_id: str) -> str | None:
        found = self._run("SELECT token FROM tokens WHERE task_id = ?", task_id)
        return found[0][0] if found else None

    def save(self, task_id: str, token: str) -> None:
        self._run("INSERT OR REPLACE INTO tokens VALUES (?, ?)", task_id, token)

    def drop(self, task_id: str) -> None:
        self._run("DELETE FROM tokens WHERE task_id = ?", task_id)

    def _run(self, sql: str, *values: str) -> list[tuple[str]]:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            return connection.execute(sql, values).fetchall()


@broker.on_event(TaskiqEvents.WORKER_STARTUP)  # in the worker's own process, so after any fork
async def open_watcher(state: TaskiqState) -> None:
    endpoint = ExtractionEndpoint(
        os.environ["ORACLE_CONTENT_BASE_URL"],
        auth=BearerAuth(os.environ["ORACLE_CONTENT_TOKEN"]),
    )
    state.tokens = Tokens(os.environ["TOKENS"])
    state.watcher = await JobWatcher(endpoint, timeout_s=3600).__aenter__()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_watcher(state: TaskiqState) -> None:
    await state.watcher.__aexit__(None, None, None)


@broker.task(retry_on_error=True, max_retries=5, timeout=3660)  # the queue's limit is longer than the watch's
async def extraction(file_id: str, job_id: str, context: Context = TaskiqDepends()) -> str:  # noqa: B008 - taskiq's way
    watcher: JobWatcher[ExtractionJob, ExtractionStatus] = context.state.watcher
    tokens: Tokens = context.state.tokens
    task_id = context.message.task_id  # the same for each delivery
    token = tokens.load(task_id)
    if token is None:
        watch = watcher.watch(ExtractionJob(file_id, job_id))
        tokens.save(task_id, watch.resume_token)  # of the first delivery, because its deadline counts
    else:
        watch = watcher.watch_from_token(token)
    try:
        result = (await watch).summary()
    except (JobFailed, JobCancelled) as ended:  # a result: a retry would not change it
        result = f"did not succeed: {ended.reason}"
    except asyncio.CancelledError:  # the queue ends the task, so this process stops polling
        watch.stop()
        raise
    tokens.drop(task_id)
    return result


async def main() -> None:
    await broker.startup()
    try:
        task = await extraction.kiq("DC765D5CD846E67B395AE676435D1DBF", "ZX-E83150A29A911D33")
        print((await task.wait_result()).return_value)
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
