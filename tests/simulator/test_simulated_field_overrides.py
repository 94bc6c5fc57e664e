"""Fields that differ from the vendor's documentation."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from pollwise.simulator import ABSENT, Simulator


async def read(sim: Simulator, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession(sim.document360_url) as session, session.get(path) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("value", ["104", "100.0", "", None, 100, ABSENT])
async def test_a_field_may_be_anything(value: Any) -> None:
    """A field can have any value or be omitted; the other fields are unchanged."""
    async with Simulator() as sim:
        overrides = {"completedPercentage": value}
        _, document = await read(sim, sim.add_extraction("F", "J", duration_s=0.0, overrides=overrides).path)
    assert document.get("completedPercentage", ABSENT) == value
    assert document["progress"] == "SUCCEEDED"


async def test_a_nested_field_may_be_anything() -> None:
    """A path goes through objects and lists. A path that does not exist changes nothing."""
    deep: Any = "bottom"
    for _ in range(200):
        deep = {"extension": [deep]}
    overrides = {
        "errors.0.error_code": 17,
        "errors.0.custom_data": "odd",
        "extension_data": deep,
        "task_status.task_id": None,
        "errors.7.error_code": 1,
        "success.value": 1,
    }
    async with Simulator() as sim:
        plan: Any = {"duration_s": 0.0, "outcome": "failed", "overrides": overrides}
        _, document = await read(sim, sim.add_delete("task", **plan).path)
        skipped: Any = {"duration_s": 0.0, "skipped": 2, "overrides": {"skippedItems.1.id": ABSENT}}
        _, extraction = await read(sim, sim.add_extraction("F", "J", **skipped).path)
    (error,) = document["errors"]
    assert (error["error_code"], error["custom_data"]) == (17, "odd")
    assert document["extension_data"] == deep
    assert document["task_status"]["task_id"] is None
    assert document["success"] is True
    assert ["id" in item for item in extraction["skippedItems"]] == [True, False]
