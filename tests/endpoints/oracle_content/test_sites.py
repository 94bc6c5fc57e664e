"""Oracle Content's jobs of sites and templates, and the traps of the vendor's page."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import JobWatcher, Phase, Reading, Reply
from pollwise.endpoints.oracle_content.sites import JobProgress, OracleTime, SiteJob, SiteJobEndpoint
from pollwise.errors import Problem
from pollwise.testing import ScriptedTransport
from vendor_cases import document

ENDPOINT = SiteJobEndpoint("https://api.example.com")


def reply(body: object, status: int = 200) -> Reply:
    return Reply(status, {}, orjson.dumps(body))


def read(**fields: object) -> Reading[Any]:
    return ENDPOINT.read(reply({**document("oracle_content/site_processing"), **fields}))


def test_the_documented_example_is_running() -> None:
    """With its fraction, and the wait that it asks for in milliseconds."""
    reading = read()
    assert (reading.phase, reading.fraction, reading.poll_after_s) == (Phase.RUNNING, 0.38, 5.0)
    status = reading.status
    assert (status.action, status.start_time) == ("copy", OracleTime(value="2019-05-31T09:14:29.000Z"))


def test_a_failed_job_is_not_completed_and_has_failed() -> None:
    """`completed` is false in the vendor's own example of a failure. `progress` decides."""
    body = document("oracle_content/site_failed_start")
    body["error"] |= {"title": "Bad Request", "detail": "no such template", "o:errorCode": "OCE-1"}
    reading = ENDPOINT.read(reply(body))
    assert (reading.phase, reading.final, reading.status.completed) == (Phase.FAILED, True, False)
    assert reading.reason == "no such template; Bad Request; code OCE-1"
    assert reading.poll_after_s is None


@pytest.mark.parametrize(
    ("word", "phase", "unconfirmed"),
    [
        ("pending", Phase.QUEUED, False),
        ("paused", Phase.RUNNING, False),
        ("blocked", Phase.WAITING_FOR_INPUT, False),
        ("aborted", Phase.CANCELLED, True),
    ],
)
def test_what_pauses_is_not_over(word: str, phase: Phase, unconfirmed: bool) -> None:
    """A blocked job waits for an approval. Aborted is confirmed by further polls."""
    reading = read(progress=word)
    assert (reading.phase, reading.final, reading.unconfirmed, reading.unknown) == (phase, False, unconfirmed, None)
    assert reading.status.progress is JobProgress(word)


@pytest.mark.parametrize("error", [{"title": "no"}, "no", ["no"], 7])
def test_a_success_with_an_error_has_failed(error: object) -> None:
    """Whatever form the error has."""
    reading = read(progress="succeeded", completed=True, error=error)
    assert (reading.phase, reading.final) == (Phase.FAILED, True)
    assert read(progress="processing", error=error).phase is Phase.RUNNING


@pytest.mark.parametrize("error", [None, {}, "", False, 0])
def test_no_error_is_none(error: object) -> None:
    """An empty one is no failure."""
    assert read(progress="succeeded", error=error).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("interval", "wait_s"), [("2500", 2.5), (0, 0.0), (1500.5, 1.5005), (None, None), ("soon", None), ([], None)]
)
def test_the_interval_may_be_a_string(interval: object, wait_s: float | None) -> None:
    """An unreadable one asks for nothing."""
    assert read(intervalToPoll=interval).poll_after_s == wait_s


@pytest.mark.looptime
async def test_the_interval_is_obeyed() -> None:
    """The next poll comes after as many milliseconds as the server asks for."""
    running = document("oracle_content/site_processing")
    done = {**running, "progress": "succeeded", "intervalToPoll": 60_000}
    transport = ScriptedTransport([reply({**running, "intervalToPoll": 45_000}), reply(done)])
    async with JobWatcher(ENDPOINT, timeout_s=600, transport=transport) as watcher:
        await watcher.watch(SiteJob("S"))
    first, second = transport.times
    assert 45.0 <= second - first < 50.0


def test_a_refusal_has_the_vendors_code_and_words() -> None:
    """This API calls its fields otherwise than that for documents."""
    problem = ENDPOINT.problem(reply({"title": "Not Found", "detail": "no job", "o:errorCode": "OCE-404"}, 404))
    assert problem == Problem(codes=("OCE-404",), descriptions=("no job", "Not Found"))
    assert ENDPOINT.problem(reply({"message": "x"}, 404)) is None
