"""Jobs that behave oddly: they flap, look failed for a while, go missing, or end in an undocumented way."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from hand_clock import HandClock

from pollwise.simulator import Simulator


async def read(sim: Simulator, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession(sim.document360_url) as session, session.get(path) as response:
        return response.status, await response.json()


async def test_an_end_that_is_not_documented(clock: HandClock) -> None:
    """An unknown end of Document360 is complete with status 6. That of Oracle is `TIMED_OUT` at 100 %."""
    async with Simulator(clock=clock) as sim:
        task = sim.add_delete("task", duration_s=1.0, outcome="unknown")
        other = sim.add_delete("other", duration_s=1.0, outcome="unknown", complete_status=-1)
        extraction = sim.add_extraction("F", "J", duration_s=1.0, outcome="unknown")
        aborted = sim.add_extraction("F", "K", duration_s=1.0, outcome="unknown", unknown_progress="ABORTED")
        clock.now += 1.0
        for job, status in ((task, 6), (other, -1)):
            _, document = await read(sim, job.path)
            assert document["task_status"] == {"task_id": job.keys[0], "is_complete": True, "status": status}
            assert (document["success"], document["errors"]) == (True, [])
        for job, progress in ((extraction, "TIMED_OUT"), (aborted, "ABORTED")):
            _, document = await read(sim, job.path)
            shown = [document[field] for field in ("progress", "completed", "completedPercentage", "errorCode")]
            assert shown == [progress, "true", "100", "0"]


async def looks_failed(sim: Simulator, path: str) -> bool:
    _, document = await read(sim, path)
    if "task_status" in document:
        assert document["task_status"]["is_complete"] is False
        return bool(document["task_status"]["status"] == 4)
    assert document["progress"] in {"PROCESSING", "COMPLETED"}
    return bool(document["completed"] == "true")


@pytest.mark.parametrize("kind", ["delete", "extract"])
async def test_a_job_looks_failed_between_two_attempts(clock: HandClock, kind: str) -> None:
    """For a while the job looks failed, but not by the vendor's own rule. Then it runs again, and succeeds."""
    plan: dict[str, Any] = {"duration_s": 60.0, "looks_failed_at_s": 10.0, "looks_failed_for_s": 6.0}
    async with Simulator(clock=clock) as sim:
        job = sim.add_delete("task", **plan) if kind == "delete" else sim.add_extraction("F", "J", **plan)
        seen = []
        for _ in range(20):
            seen.append(await looks_failed(sim, job.path))
            clock.now += 1.0
        assert seen == [10 <= at < 16 for at in range(20)]
        clock.now += 60.0
        _, document = await read(sim, job.path)
        assert document.get("progress", "SUCCEEDED") == "SUCCEEDED"
        assert job.finals == 1


@pytest.mark.parametrize("kind", ["delete", "extract"])
async def test_a_job_flaps(clock: HandClock, kind: str) -> None:
    """The job alternates between running and looking failed, by requests or by seconds."""
    for flap_s, expected in ((0.0, [False, True] * 4), (2.0, [False, False, True, True] * 2)):
        async with Simulator(clock=clock) as sim:
            plan: dict[str, Any] = {"duration_s": 600.0, "curve": lambda x: 0.5, "flap_s": flap_s}
            job = sim.add_delete("task", **plan) if kind == "delete" else sim.add_extraction("F", "J", **plan)
            seen = []
            for _ in range(8):
                seen.append(await looks_failed(sim, job.path))
                clock.now += 1.0
            assert seen == expected


async def test_a_job_goes_missing(clock: HandClock) -> None:
    """The job answers 404 for a while after it was visible."""
    async with Simulator(clock=clock) as sim:
        path = sim.add_delete("task", duration_s=60.0, missing_at_s=3.0, missing_for_s=2.0).path
        seen = []
        for _ in range(7):
            seen.append((await read(sim, path))[0])
            clock.now += 1.0
    assert seen == [200, 200, 200, 404, 404, 200, 200]
