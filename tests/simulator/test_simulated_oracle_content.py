"""Oracle Content Management's extractions in the simulator."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import attrs
import pytest
from hand_clock import HandClock

from pollwise.simulator import CurveName, ExtractionPlan, Fault, Simulator
from pollwise.simulator.oracle_content import ExtractionOptions

Ask: TypeAlias = Callable[[str, str], Awaitable[tuple[int, Any]]]
Documented: TypeAlias = Callable[[str], dict[str, Any]]


@pytest.fixture
def documented(samples: Path) -> Documented:
    """The vendor's example of that name."""
    return lambda name: json.loads((samples / "oracle_content" / f"{name}.json").read_bytes())


@pytest.fixture
async def sim(clock: HandClock) -> AsyncIterator[Simulator]:
    async with Simulator(clock=clock, seed=3) as simulator:
        yield simulator


@pytest.fixture
async def session(sim: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sim.oracle_content_url) as opened:
        yield opened


@pytest.fixture
async def ask(session: aiohttp.ClientSession) -> Ask:
    """The status code and the JSON of a job's status."""

    async def get(file_id: str, job_id: str) -> tuple[int, Any]:
        async with session.get(f"/documents/api/1.2/files/{file_id}/_extract/{job_id}") as response:
            assert response.content_type == "application/json"
            return response.status, await response.json()

    return get


async def test_a_success_is_the_vendors_own_example(sim: Simulator, ask: Ask, documented: Documented) -> None:
    """The status of three extracted files has the documented fields in their order, and every scalar is a string."""
    sim.add_extraction("FILE", "ZX-1", duration_s=0)
    status, body = await ask("FILE", "ZX-1")
    assert (status, list(body.items())) == (200, list(documented("succeeded").items()))


async def test_a_success_may_have_skipped_every_file(sim: Simulator, ask: Ask, documented: Documented) -> None:
    """The vendor's second example is SUCCEEDED with no created file and three skipped items with reasons."""
    sim.add_extraction("FILE", "ZX-1", duration_s=0, skipped=3)
    _, body = await ask("FILE", "ZX-1")
    assert list(body.items()) == list(documented("succeeded_all_skipped").items())


async def test_a_running_job_is_the_vendors_own_example(
    sim: Simulator, ask: Ask, clock: HandClock, documented: Documented
) -> None:
    """A quarter of the time is 25 per cent."""
    message = "Processing entry 6image/./exif-xmp.jpg"
    sim.add_extraction("FILE", "ZX-1", duration_s=8, ignored=1, message=message)
    clock.now += 2
    _, body = await ask("FILE", "ZX-1")
    assert list(body.items()) == list(documented("processing").items())


async def test_counts_and_lists_agree(sim: Simulator, ask: Ask) -> None:
    """Each entry of the ZIP file is counted once, and skipped and ignored ones are listed."""
    sim.add_extraction(
        "FILE", "ZX-1", duration_s=0, files=20, skipped=2, ignored=1, overwritten=3, versioned=4, name_adjusted=5
    )
    _, body = await ask("FILE", "ZX-1")
    counts = {field: body[field] for field in body if field.startswith("files")}
    assert counts == {
        "filesCreated": "11",
        "filesIgnored": "1",
        "filesNameAdjusted": "5",
        "filesOverwritten": "3",
        "filesProcessed": "18",
        "filesSkipped": "2",
        "filesVersioned": "4",
    }
    assert (len(body["skippedItems"]), len(body["ignoredItems"])) == (2, 1)
    assert set(body["ignoredItems"][0]) == {"id", "type", "error"}


async def test_a_failure_says_failed(sim: Simulator, ask: Ask) -> None:
    """A failure is FAILED with its error code, and its percentage is below 100."""
    sim.add_extraction("FILE", "ZX-1", duration_s=0, outcome="failed", error_code=-21, curve=lambda share: 0.6 * share)
    _, body = await ask("FILE", "ZX-1")
    assert (body["progress"], body["completed"], body["errorCode"], body["completedPercentage"]) == (
        "FAILED",
        "true",
        "-21",
        "60",
    )


async def test_completed_may_come_with_an_unknown_progress(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """While unconfirmed, `completed` is true and `progress` has an undocumented value."""
    sim.add_extraction("FILE", "ZX-1", duration_s=1, unconfirmed_s=2)
    sim.add_extraction("FILE", "ZX-2", duration_s=1, unconfirmed_s=2, unknown_progress="ARCHIVING")
    clock.now += 2
    seen = [(await ask("FILE", job))[1] for job in ("ZX-1", "ZX-2")]
    assert [(body["completed"], body["progress"]) for body in seen] == [("true", "COMPLETED"), ("true", "ARCHIVING")]
    clock.now += 1
    assert (await ask("FILE", "ZX-1"))[1]["progress"] == "SUCCEEDED"


async def test_an_unknown_progress_in_the_middle(sim: Simulator, ask: Ask, clock: HandClock) -> None:
    """`unknown_progress` is sent in the middle of the job's time."""
    sim.add_extraction("FILE", "ZX-1", duration_s=10, unknown_progress="VERIFYING")
    seen = []
    for clock.now in (1003, 1005, 1008):
        seen.append((await ask("FILE", "ZX-1"))[1]["progress"])
    assert seen == ["PROCESSING", "VERIFYING", "PROCESSING"]


async def test_native_types(sim: Simulator, ask: Ask) -> None:
    """With `native_types` booleans and numbers are JSON's own."""
    sim.add_extraction("FILE", "ZX-1", duration_s=0, native_types=True)
    _, body = await ask("FILE", "ZX-1")
    assert (body["completed"], body["completedPercentage"], body["progress"]) == (True, 100, "SUCCEEDED")


async def test_a_message_may_be_hostile(sim: Simulator, ask: Ask) -> None:
    """A message is sent unchanged, markup and escape codes included."""
    hostile = "[red]\x1b[2J<script>\u202e\u0000"
    sim.add_extraction("FILE", "ZX-1", message=hostile)
    assert (await ask("FILE", "ZX-1"))[1]["message"] == hostile


async def test_an_unknown_job_is_the_vendors_own_400(sim: Simulator, ask: Ask, documented: Documented) -> None:
    """An unknown job ID, or a known one with another file ID, gets the documented error."""
    sim.add_extraction("FILE", "ZX-1")
    assert await ask("FILE", "ZX-2") == (400, documented("job_not_valid_400"))
    assert await ask("OTHER", "ZX-1") == (400, documented("job_not_valid_400"))


@pytest.mark.parametrize(("options", "status"), [({"hidden_s": 5}, 404), ({"forbidden": True}, 403)])
async def test_refusals_have_the_documented_shape(
    sim: Simulator, ask: Ask, documented: Documented, options: dict[str, Any], status: int
) -> None:
    """404 while hidden and 403 have the fields of the documented error."""
    sim.add_extraction("FILE", "ZX-1", **options)
    answered, body = await ask("FILE", "ZX-1")
    assert (answered, list(body)) == (status, list(documented("job_not_valid_400")))
    assert all(isinstance(value, str) for value in body.values())


@pytest.mark.parametrize(
    ("curve", "rises"), [("linear", True), ("ease", True), ("stalls", True), ("backwards", False), ("jumpy", False)]
)
async def test_curves(sim: Simulator, ask: Ask, clock: HandClock, curve: CurveName, rises: bool) -> None:
    """Every curve stays within 0..99 before the end. Only `backwards` and `jumpy` fall."""
    sim.add_extraction("FILE", "ZX-1", duration_s=200, curve=curve)
    seen = []
    for clock.now in range(1000, 1200, 8):
        seen.append(int((await ask("FILE", "ZX-1"))[1]["completedPercentage"]))
    assert 0 <= min(seen) <= max(seen) <= 99
    assert (seen == sorted(seen)) is rises
    assert len(set(seen)) > 5


async def test_starting_makes_a_job(sim: Simulator, session: aiohttp.ClientSession, ask: Ask) -> None:
    """POST gets the documented reply, and the job that it names is running."""
    async with session.post(
        "/documents/api/1.2/files/FILE/_extract",
        json={"destinationID": "FOLDER", "duplicateResolution": "SkipDuplicates"},
    ) as response:
        assert response.status == 200
        body = await response.json()
    job_id = body["jobId"]
    assert body == {
        "Location": f"{sim.oracle_content_url}/documents/api/1.2/files/FILE/_extract/{job_id}",
        "destinationID": "FOLDER",
        "errorCode": "0",
        "id": "FILE",
        "jobId": job_id,
        "type": "file",
    }
    assert job_id.startswith("ZX-")
    assert (await ask("FILE", job_id))[1]["progress"] == "PROCESSING"
    assert sim.requests.starts == 1
    assert sim.polls("FILE", job_id) == 1


async def test_the_default_destination_is_the_files_own_folder(session: aiohttp.ClientSession) -> None:
    """An empty body means the defaults. Two such requests have the same folder and different jobs."""
    bodies = []
    for _ in range(2):
        async with session.post("/documents/api/1.2/files/FILE/_extract") as response:
            bodies.append(await response.json())
    first, second = bodies
    assert first["destinationID"] == second["destinationID"] != ""
    assert first["jobId"] != second["jobId"]


@pytest.mark.parametrize("body", ["[]", "{", '{"duplicateResolution":"Perhaps"}', '{"destinationID":7}'])
async def test_a_start_that_is_not_valid_makes_no_job(
    sim: Simulator, session: aiohttp.ClientSession, body: str
) -> None:
    """A body that the vendor does not document gets 400 and starts no job."""
    async with session.post("/documents/api/1.2/files/FILE/_extract", data=body) as response:
        assert response.status == 400
    assert not sim.jobs
    assert sim.requests.starts == 0


async def test_a_started_job_has_the_plan_started(clock: HandClock) -> None:
    """`started` is the plan of jobs that clients start."""
    async with (
        Simulator(clock=clock, started=ExtractionPlan(duration_s=5, outcome="failed")) as sim,
        aiohttp.ClientSession(sim.oracle_content_url) as session,
    ):
        async with session.post("/documents/api/1.2/files/FILE/_extract") as response:
            location = (await response.json())["Location"]
        clock.now += 5
        async with session.get(location) as response:
            assert (await response.json())["progress"] == "FAILED"


async def test_a_lost_reply_leaves_the_job_started() -> None:
    """A job is started even if the reply is lost, so a second POST starts another job."""
    async with (
        Simulator(start_script=[Fault.CLOSED]) as sim,
        aiohttp.ClientSession(sim.oracle_content_url) as session,
    ):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.post("/documents/api/1.2/files/FILE/_extract")
        assert (sim.requests.starts, len(sim.jobs)) == (1, 1)
        async with session.post("/documents/api/1.2/files/FILE/_extract") as response:
            assert response.status == 200
        assert (sim.requests.starts, len(sim.jobs)) == (2, 2)


async def test_another_method_is_405(sim: Simulator, session: aiohttp.ClientSession) -> None:
    """Another method on a known path is 405, and `Allow` names the correct one."""
    job = sim.add_extraction("FILE", "ZX-1")
    for method, path, allowed in [("POST", job.path, "GET"), ("GET", "/documents/api/1.2/files/F/_extract", "POST")]:
        async with session.request(method, path) as response:
            assert (response.status, response.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/", "/documents/api/1.2/files/", "/documents/api/1.2/files/F/_extract/a/b", "/v2"])
async def test_unknown_paths_are_404(sim: Simulator, session: aiohttp.ClientSession, path: str) -> None:
    """A path of neither vendor is 404, and is counted as unrouted."""
    async with session.get(path) as response:
        assert response.status == 404
    assert sim.requests.unrouted == 1


async def test_an_invalid_extraction_is_refused(sim: Simulator) -> None:
    """More skipped files than files, a negative count, and an outcome that the vendor does not have are refused."""
    with pytest.raises(ValueError, match="cannot hold"):
        sim.add_extraction("FILE", "ZX-1", files=2, skipped=3)
    with pytest.raises(ValueError, match="cancelled"):
        sim.add_extraction("FILE", "ZX-1", outcome="cancelled")
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is the promise
        sim.add_extraction("FILE", "ZX-1", skipped=-1)


def test_the_options_are_the_extraction_plans() -> None:
    """`add_extraction` takes every argument of an `ExtractionPlan`, and no other."""
    assert list(ExtractionOptions.__annotations__) == [field.name for field in attrs.fields(ExtractionPlan)]
