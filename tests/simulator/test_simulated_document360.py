"""Document360's delete-file tasks in the simulator."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import attrs
import pytest
from hand_clock import HandClock
from yarl import URL

from pollwise.simulator import DeletePlan, Fault, SimulatedReply, Simulator
from pollwise.simulator.document360 import DeleteOptions

Ask: TypeAlias = Callable[[str], Awaitable[tuple[int, Any]]]


@pytest.fixture
async def sim(clock: HandClock) -> AsyncIterator[Simulator]:
    async with Simulator(clock=clock) as simulator:
        yield simulator


@pytest.fixture
async def ask(sim: Simulator) -> AsyncIterator[Ask]:
    """The status code and the JSON of a task's status."""
    async with aiohttp.ClientSession(sim.document360_url) as session:

        async def get(task_id: str) -> tuple[int, Any]:
            async with session.get(f"/v2/Drive/Folders/DeleteFile/Status/{task_id}") as response:
                assert response.content_type == "application/json"
                return response.status, await response.json()

        yield get


async def test_a_finished_deletion_is_the_vendors_own_example(sim: Simulator, ask: Ask, samples: Path) -> None:
    """A success has `is_complete` true and `status` 2, as the vendor's example has, field for field."""
    sim.add_delete("65868a00c536f34594713fec", duration_s=0)
    status, body = await ask("65868a00c536f34594713fec")
    assert (status, body) == (200, json.loads((samples / "document360/complete.json").read_bytes()))


async def test_a_task_is_queued_initiated_and_in_progress(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """`status` goes 0, 1, 2 while `is_complete` is false."""
    sim.add_delete("task", duration_s=10)
    seen = []
    for clock.now in (1000, 1002, 1005, 1009.9, 1010):
        _, body = await ask("task")
        seen.append((body["task_status"]["status"], body["task_status"]["is_complete"]))
    assert seen == [(0, False), (1, False), (2, False), (2, False), (2, True)]


@pytest.mark.parametrize(
    ("options", "status", "error_codes"),
    [
        ({}, 2, []),
        ({"complete_status": 3}, 3, []),
        ({"outcome": "failed", "error_code": "E1"}, 4, ["E1"]),
        ({"outcome": "failed", "complete_status": 2}, 2, ["FILE_IN_USE"]),
        ({"outcome": "cancelled"}, 5, []),
    ],
)
async def test_an_end_has_its_documented_status(
    sim: Simulator, ask: Ask, options: dict[str, Any], status: int, error_codes: list[str]
) -> None:
    """Each outcome ends with `is_complete` true, its status number, and errors exactly if it failed."""
    sim.add_delete("task", duration_s=0, **options)
    _, body = await ask("task")
    assert body["task_status"] == {"task_id": "task", "is_complete": True, "status": status}
    assert [error["error_code"] for error in body["errors"]] == error_codes


async def test_errors_warnings_and_information_have_all_documented_fields(sim: Simulator, ask: Ask) -> None:
    """List items carry every field of the vendor's schema."""
    sim.add_delete("task", duration_s=0, outcome="failed", error="Why.", warnings=["Mind."], information=["Note."])
    _, body = await ask("task")
    assert body["errors"] == [
        {
            "extension_data": None,
            "stack_trace": None,
            "description": "Why.",
            "error_code": "FILE_IN_USE",
            "custom_data": None,
        }
    ]
    assert body["warnings"] == [{"extension_data": None, "description": "Mind.", "warning_code": None}]
    assert body["information"] == [{"extension_data": None, "description": "Note."}]


async def test_empty_lists_may_be_null(sim: Simulator, ask: Ask) -> None:
    """The schema allows null for the three lists, and `null_lists` sends it."""
    sim.add_delete("task", null_lists=True)
    _, body = await ask("task")
    assert (body["errors"], body["warnings"], body["information"]) == (None, None, None)


async def test_an_error_may_show_before_the_task_is_complete(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """While unconfirmed, `status` shows the end and `is_complete` is false."""
    sim.add_delete("task", duration_s=1, unconfirmed_s=5, outcome="failed")
    seen = []
    for clock.now in (1001, 1005.9, 1006):
        _, body = await ask("task")
        seen.append((body["task_status"]["status"], body["task_status"]["is_complete"]))
    assert seen == [(4, False), (4, False), (4, True)]


async def test_an_unknown_status_in_the_middle(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """`unknown_status` is sent in the middle of the task's time."""
    sim.add_delete("task", duration_s=10, unknown_status=17)
    seen = []
    for clock.now in (1003.5, 1005, 1008):
        _, body = await ask("task")
        seen.append(body["task_status"]["status"])
    assert seen == [2, 17, 2]


async def test_an_unknown_task_is_404_in_the_envelope(sim: Simulator, ask: Ask) -> None:
    """The refusal has the vendor's envelope with `success` false."""
    status, body = await ask("unknown")
    assert (status, body["success"], list(body)) == (
        404,
        False,
        ["extension_data", "success", "errors", "warnings", "information"],
    )


async def test_a_bad_request_is_the_vendors_own_example(sim: Simulator, ask: Ask, samples: Path) -> None:
    """The 400 is the documented envelope with empty lists."""
    sim.add_delete("task", script=[Fault.BAD_REQUEST])
    assert await ask("task") == (400, json.loads((samples / "document360/bad_request.json").read_bytes()))


async def test_a_task_may_be_hidden_at_first(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """For `hidden_s` seconds a task answers 404. Its time continues meanwhile."""
    sim.add_delete("task", duration_s=4, hidden_s=3)
    seen = []
    for clock.now in (1000, 1002.9, 1003, 1004):
        status, body = await ask("task")
        seen.append((status, body.get("task_status", {}).get("is_complete")))
    assert seen == [(404, None), (404, None), (200, False), (200, True)]


async def test_a_task_may_be_forbidden(sim: Simulator, ask: Ask) -> None:
    """A forbidden task answers 403 in the vendor's envelope."""
    sim.add_delete("task", forbidden=True)
    status, body = await ask("task")
    assert (status, body["success"]) == (403, False)


async def test_time_may_begin_with_the_first_poll(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """With `starts_when_polled` a job's time starts with its first request."""
    job = sim.add_delete("task", duration_s=10, starts_when_polled=True)
    clock.now = 5000
    before = (job.started_at, job.ends_at)
    await ask("task")
    assert before == (None, None)
    assert (job.started_at, job.ends_at) == (5000, 5010)


async def test_time_of_jobs_added_before_the_start_begins_with_it(clock: HandClock) -> None:
    """A job that was added before `start` starts with the simulator."""
    sim = Simulator(clock=clock)
    job = sim.add_delete("task", duration_s=10)
    assert job.started_at is None
    clock.now = 7000
    async with sim:
        assert job.started_at == 7000


async def test_a_script_may_have_a_whole_reply(sim: Simulator, ask: Ask) -> None:
    """A scripted reply is sent unchanged. After the script the job's own reply is sent."""
    sim.add_delete("task", script=[SimulatedReply.of_json({"task_status": "?"}, status=418), None, "server-error"])
    assert await ask("task") == (418, {"task_status": "?"})
    assert (await ask("task"))[0] == 200
    assert (await ask("task"))[0] == 500
    assert (await ask("task"))[0] == 200


async def test_a_job_can_be_finished(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """`finish` ends a job now, with the given outcome."""
    job = sim.add_delete("task", duration_s=math.inf)
    clock.now += 1e9
    assert (await ask("task"))[1]["task_status"]["is_complete"] is False
    sim.finish("task", outcome="cancelled")
    assert (await ask("task"))[1]["task_status"] == {"task_id": "task", "is_complete": True, "status": 5}
    assert (job.outcome, job.finals, job.first_final_at) == ("cancelled", 1, clock.now)


async def test_a_job_can_be_removed(sim: Simulator, ask: Ask) -> None:
    """`remove` makes a job unknown. It can be added again."""
    sim.add_delete("task")
    sim.remove("task")
    assert (await ask("task"))[0] == 404
    sim.add_delete("task")
    assert (await ask("task"))[0] == 200


async def test_any_id_is_one_segment(sim: Simulator) -> None:
    """An ID with slashes, blanks and umlauts is found at its percent-encoded path."""
    job = sim.add_delete("a/b c%2Fü?#")
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(sim.document360_url + job.path, encoded=True)) as response,
    ):
        body = await response.json()
    assert body["task_status"]["task_id"] == "a/b c%2Fü?#"
    assert job.path == "/v2/Drive/Folders/DeleteFile/Status/a%2Fb%20c%252F%C3%BC%3F%23"


@pytest.mark.parametrize(
    "options",
    [
        {"duration_s": -1},
        {"duration_s": math.nan},
        {"outcome": "exploded"},
        {"curve": "wobbly"},
        {"script": ["no-such-fault"]},
        {"hidden_s": -1},
    ],
)
async def test_invalid_options_are_refused(sim: Simulator, options: dict[str, Any]) -> None:
    """Options are checked when the job is added."""
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is the promise
        sim.add_delete("task", **options)
    assert not sim.jobs


async def test_one_task_has_one_id(sim: Simulator) -> None:
    """Adding a task again raises ValueError, and so does an empty ID."""
    sim.add_delete("task")
    with pytest.raises(ValueError, match="already"):
        sim.add_delete("task")
    with pytest.raises(ValueError, match="empty"):
        sim.add_delete("")


def test_the_options_are_the_plans() -> None:
    """`add_delete` takes every argument of a `DeletePlan`, and no other."""
    assert list(DeleteOptions.__annotations__) == [field.name for field in attrs.fields(DeletePlan)]
