"""What an endpoint can do beyond its three members, on a real socket."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import Abandoned, Failed, JobWatcher, Pacing, Progressed, Reading, Reply, Request, Succeeded
from pollwise.errors import JobNotFound
from raw_server import Line, raw_server, reply

pytestmark = pytest.mark.looptime


@attrs.frozen
class Table:
    name: str


class TableGone:
    """Waits until a table is gone: `GET /tables/NAME` answers 404 then."""

    name = "table-gone"
    heeded_headers = ()
    answer_statuses = frozenset({404, 422})

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def request(self, job: Table, /) -> Request:
        return Request(URL(f"{self._base_url}/tables/{job.name}"))

    def read(self, reply: Reply, /) -> Reading[str]:
        match reply.status:
            case 404:
                return Reading.succeeded("gone")
            case 422:
                return Reading.failed("invalid")
        data = reply.json()
        return Reading.running(str(data["state"]), poll_after_s=data.get("poll_after_s"))


class WithoutAnswers(TableGone):
    answer_statuses = frozenset[int]()


async def _events(endpoint: type[TableGone], *replies: bytes) -> tuple[list[Any], list[float]]:
    """The events, and the seconds at which the polls came in."""
    left, times = list(replies), []
    now = asyncio.get_running_loop().time

    def answer(line: Line) -> None:
        times.append(now())
        line.say(left.pop(0) if len(left) > 1 else left[0])

    async with (
        raw_server(answer) as server,
        JobWatcher(endpoint(server.url), timeout_s=600.0, pacing=Pacing.fixed(5.0)) as watcher,
    ):
        events = [event async for event in watcher.watch(Table("orders"))]
    return events, [at - times[0] for at in times]


DELETING = reply(b'{"state": "DELETING"}')
GONE = reply(b'{"error": "not found"}', status="404 Not Found")


async def test_a_job_may_be_over_when_it_is_gone() -> None:
    """404 is the success of a deletion, with no grace and no retry before it."""
    events, times = await _events(TableGone, DELETING, GONE)
    assert [type(event) for event in events] == [Progressed, Succeeded]
    assert events[-1].status == "gone"
    assert len(times) == 2


async def test_a_404_stays_a_refusal_for_an_endpoint_that_does_not_read_it() -> None:
    """The job is abandoned as not found, after its grace."""
    events, times = await _events(WithoutAnswers, GONE)
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, JobNotFound)
    assert len(times) >= 3


async def test_a_422_may_say_that_the_job_failed() -> None:
    """It is a Failed outcome with the endpoint's status, and no RequestRejected."""
    events, _ = await _events(TableGone, DELETING, reply(b"", status="422 Unprocessable Entity"))
    assert isinstance(events[-1], Failed)
    assert events[-1].status == "invalid"


async def test_a_wait_in_the_body_is_a_floor() -> None:
    """The server's 60 seconds count, with the jitter of the pacing on top, and not the 5 of the pacing."""
    waiting = reply(b'{"state": "DELETING", "poll_after_s": 60}')
    _, times = await _events(TableGone, waiting, waiting, GONE)
    assert [later - at >= 60.0 for at, later in itertools.pairwise(times)] == [True, True]
    assert times[-1] < 140.0


async def test_a_wait_of_zero_in_the_body_is_no_hot_loop() -> None:
    """The pacing is the minimum."""
    waiting = reply(b'{"state": "DELETING", "poll_after_s": 0}')
    _, times = await _events(TableGone, *[waiting] * 4, GONE)
    assert all(later - at >= 4.5 for at, later in itertools.pairwise(times))
