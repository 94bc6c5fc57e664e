"""What a command says if a signal ends it while a single request is sent again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.cancel import cancel_job
from pollwise.cli.options import CancelOptions, ResultOptions, SubmitOptions
from pollwise.cli.result import fetch_result
from pollwise.cli.submit import submit_job
from pollwise.endpoints.declared import DeclaredEndpoint

HOW_TO_WATCH = "Watch it with the same options: pollwise watch exports id=7"
Interrupt = Callable[[Coroutine[Any, Any, Any]], Any]


class SetsEvent(logging.Handler):
    """Sets an event at each record."""

    def __init__(self, event: asyncio.Event) -> None:
        super().__init__()
        self.event = event

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


@pytest.fixture
def interrupted(capsys: pytest.CaptureFixture[str]) -> Interrupt:
    """Cancels a command, as a signal does, once its request has failed. Returns the last line on stderr."""

    async def run(command: Coroutine[Any, Any, Any]) -> str:
        failed = asyncio.Event()
        logger, handler = logging.getLogger("pollwise.runtime.single_call"), SetsEvent(failed)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            task = asyncio.create_task(command)
            await failed.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
        return capsys.readouterr().err.splitlines()[-1]

    return run


def endpoint_of(folder: Path, **options: Any) -> DeclaredEndpoint[Any]:
    return DeclaredEndpoint.load(folder / "pollwise.toml", "exports", **options)


async def test_a_start_without_a_connection_started_no_job(
    exports: Any, tmp_path: Path, interrupted: Interrupt, unused_tcp_port: int
) -> None:
    """Nothing was sent, so no job may be running."""
    endpoint = endpoint_of(tmp_path, base_url=f"http://127.0.0.1:{unused_tcp_port}")
    told = await interrupted(submit_job(endpoint, {}, SubmitOptions()))
    assert told == "pollwise: stopped; no job was started"


async def test_a_start_whose_reply_was_lost_is_in_doubt(exports: Any, tmp_path: Path, interrupted: Interrupt) -> None:
    """With an idempotency key the request is sent again, and the job may be there already."""
    file = tmp_path / "pollwise.toml"
    file.write_text(file.read_text().replace('"{order}"', '"{order}", headers = { Idempotency-Key = "{key}" }'))
    exports.submit_status = 500
    told = await interrupted(submit_job(endpoint_of(tmp_path), {}, SubmitOptions()))
    assert told == "pollwise: stopped; the job may have been started. Look on the server whether it is there"
    told = await interrupted(submit_job(endpoint_of(tmp_path), {}, SubmitOptions(key="k")))
    assert told == "pollwise: stopped; the job may have been started. Run the same command to go on"


async def test_a_result_that_was_not_fetched_is_of_a_job_that_succeeded(
    exports: Any, tmp_path: Path, interrupted: Interrupt
) -> None:
    """The job is not said to be running."""
    exports.file_status = 500
    exports.polls["/exports/7"] = 1
    endpoint = endpoint_of(tmp_path)
    told = await interrupted(fetch_result(endpoint, endpoint.job(id=7), ResultOptions(out=tmp_path / "out.bin")))
    assert told == "pollwise: stopped; the job succeeded, and its result was not fetched"
    assert not (tmp_path / "out.bin").exists()


async def test_a_cancel_request_without_an_answer_is_said(exports: Any, tmp_path: Path, interrupted: Interrupt) -> None:
    """The job may still be running."""
    exports.cancel_status = 500
    endpoint = endpoint_of(tmp_path)
    told = await interrupted(cancel_job(endpoint, endpoint.job(id=7), CancelOptions()))
    assert told.startswith("pollwise: stopped; the server did not answer the cancel request, and the job may still")
    assert told.endswith(HOW_TO_WATCH)


@pytest.mark.parametrize("starts", [True, False])
async def test_a_job_that_was_started_or_cancelled_can_be_watched_on(
    exports: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, starts: bool
) -> None:
    """After Ctrl-C the command says how."""
    exports.ends["7"] = "never"
    exports.cancel_status = 409
    endpoint = endpoint_of(tmp_path)
    starting = submit_job(endpoint, {}, SubmitOptions(wait=True))
    waiting = cancel_job(endpoint, endpoint.job(id=7), CancelOptions(wait=True))
    task = asyncio.create_task(starting if starts else waiting)
    (waiting if starts else starting).close()
    shown = ""
    while ("id=7" if starts else "too late") not in shown:
        await asyncio.sleep(0.01)
        shown += capsys.readouterr().out
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (
        capsys.readouterr().err.splitlines()[-1] == f"pollwise: stopped; the job may still be running. {HOW_TO_WATCH}"
    )
