"""A field that informs never hides one that decides: all fields of both vendors, on a real socket."""

from __future__ import annotations

from typing import Any, Final

import pytest

from pollwise import Abandoned, Cancelled, Failed, JobWatcher, RateBudget, Succeeded
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import UnknownOutcome
from pollwise.simulator import ABSENT, JobOutcome, Simulator


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


ODD_VALUES: Final[dict[str, Any]] = {
    "absent": ABSENT,
    "null": None,
    "no text": "",
    "a number as text": "104",
    "a negative number": -1,
    "a fraction": 0.5,
    "a number beyond floats": float("inf"),
    "no number": float("nan"),
    "a number beyond 64 bits": 10**40,
    "a word": "TRUE",
    "a line end and a NUL": "a\r\nb\0c",
    "a lone surrogate": "\ud800",
    "a list": ["x", None, 3],
    "an empty list": [],
    "an object": {"a": {"b": 1}},
    "an empty object": {},
    "true": True,
    "false": False,
    "nested 200 deep": nested(200),
    "a long text": "x" * 5_000,
}
_COUNTS: Final = ("Created", "Ignored", "NameAdjusted", "Overwritten", "Processed", "Skipped", "Versioned")
EXTRACTION_FIELDS: Final = (
    *("completed", "completedPercentage", "errorCode", "message", "type", "skippedItems", "ignoredItems"),
    *(f"files{name}" for name in _COUNTS),
    *(f"skippedItems.0.{name}" for name in ("id", "type", "error")),
    "notDocumented",
)
NOTICES: Final = (
    "extension_data",
    *(f"{kind}.0.{name}" for kind in ("warnings", "information") for name in ("extension_data", "description")),
    *("warnings.0.warning_code", "warnings", "information", "not_documented", "task_status.not_documented"),
)
ERRORS: Final = tuple(
    f"errors.0.{name}" for name in ("extension_data", "stack_trace", "description", "error_code", "custom_data")
)
KINDS: Final[dict[str, type]] = {"succeeded": Succeeded, "failed": Failed, "cancelled": Cancelled}


def odd_ones(fields: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """A name and the overrides for each field and each value."""
    return [(f"{field}-{n}", {field: value}) for field in fields for n, value in enumerate(ODD_VALUES.values())]


@pytest.mark.looptime
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_no_field_of_an_extraction_hides_its_end(outcome: JobOutcome) -> None:
    """Only `progress` decides. The first poll sees the end, for any value in the other fields."""
    async with Simulator() as sim:
        for name, overrides in odd_ones(EXTRACTION_FIELDS):
            sim.add_extraction("F", name, duration_s=0.0, outcome=outcome, skipped=1, overrides=overrides)
        jobs = [ExtractionJob("F", name) for name, _ in odd_ones(EXTRACTION_FIELDS)]
        async with JobWatcher(ExtractionEndpoint(sim.oracle_content_url), timeout_s=5) as watcher:
            outcomes = await watcher.gather(jobs)
    assert [found for found in outcomes if type(found) is not KINDS[outcome] or found.polls != 1] == []


@pytest.mark.looptime
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_no_field_of_a_deletion_hides_its_end(outcome: JobOutcome) -> None:
    """`is_complete` and the fields for a failure decide. Descriptions do not."""
    fields = NOTICES + (ERRORS if outcome == "failed" else ())
    async with Simulator() as sim:
        for name, overrides in odd_ones(fields):
            sim.add_delete(
                name, duration_s=0.0, outcome=outcome, warnings=["w"], information=["i"], overrides=overrides
            )
        jobs = [DeleteFileJob(name) for name, _ in odd_ones(fields)]
        endpoint = DeleteFileEndpoint(sim.document360_url)
        async with JobWatcher(endpoint, timeout_s=5, budget=RateBudget()) as watcher:
            outcomes = await watcher.gather(jobs)
    assert [found for found in outcomes if type(found) is not KINDS[outcome] or found.polls != 1] == []


@pytest.mark.looptime
async def test_no_form_of_a_deletion_s_status_makes_a_success() -> None:
    """A completed task with an unreadable status is an end of unknown kind, at the first poll."""
    # null in one form or another: with `success` true nothing contradicts it
    understood = {"absent", "null", "no text", "no number", "a number beyond floats"}
    values = {name: value for name, value in ODD_VALUES.items() if name not in understood}
    async with Simulator() as sim:
        for n, value in enumerate(values.values()):
            sim.add_delete(f"T{n}", duration_s=0.0, overrides={"task_status.status": value})
        endpoint = DeleteFileEndpoint(sim.document360_url)
        async with JobWatcher(endpoint, timeout_s=5, budget=RateBudget()) as watcher:
            outcomes = await watcher.gather([DeleteFileJob(f"T{n}") for n in range(len(values))])
    for name, found in zip(values, outcomes, strict=True):
        assert isinstance(found, Abandoned), name
        assert isinstance(found.error, UnknownOutcome), name


@pytest.mark.looptime
@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled"])
async def test_no_form_of_success_turns_a_failure_into_a_success(outcome: JobOutcome) -> None:
    """`success` is about the call. Only false makes a completed task a failure."""
    async with Simulator() as sim:
        for n, value in enumerate(ODD_VALUES.values()):
            sim.add_delete(f"T{n}", duration_s=0.0, outcome=outcome, overrides={"success": value})
        endpoint = DeleteFileEndpoint(sim.document360_url)
        async with JobWatcher(endpoint, timeout_s=5, budget=RateBudget()) as watcher:
            outcomes = await watcher.gather([DeleteFileJob(f"T{n}") for n in range(len(ODD_VALUES))])
    expected = [Failed if name == "false" and outcome == "succeeded" else KINDS[outcome] for name in ODD_VALUES]
    assert [type(found) for found in outcomes] == expected


@pytest.mark.looptime
async def test_an_odd_id_in_a_reply_is_another_job_or_says_nothing() -> None:
    """A text is compared. A value that is not an ID cannot be compared."""
    other = {"a number as text", "a word", "a line end and a NUL", "a lone surrogate", "a long text"}
    async with Simulator() as sim:
        for n, value in enumerate(ODD_VALUES.values()):
            sim.add_delete(f"T{n}", duration_s=0.0, overrides={"task_status.task_id": value})
        endpoint = DeleteFileEndpoint(sim.document360_url)
        async with JobWatcher(endpoint, timeout_s=5, budget=RateBudget()) as watcher:
            outcomes = await watcher.gather([DeleteFileJob(f"T{n}") for n in range(len(ODD_VALUES))])
    for name, found in zip(ODD_VALUES, outcomes, strict=True):
        assert isinstance(found, Abandoned if name in other else Succeeded), name
