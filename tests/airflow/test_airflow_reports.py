"""Outcomes as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

import attrs
import pytest

from pollwise import (
    Abandoned,
    ApiKeyAuth,
    ConfigurationError,
    DeadlineExceeded,
    Failed,
    JobFailed,
    JobWatcher,
    Succeeded,
)
from pollwise.airflow.reports import MOST_STATUS_BYTES, followed, json_result, report_of, setup_report
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.simulator import Simulator

ENDPOINT: Any = DeclaredEndpoint(
    Declaration(name="acme", base="https://api.example.com", poll="GET /x/{id}", state="s", succeeded=["done"])
)
JOB = ENDPOINT.job(id="7")


def test_a_success_is_its_status() -> None:
    """The report has the job's keys and the vendor's status, and all of it is JSON."""
    report = report_of(ENDPOINT, Succeeded(job=JOB, status={"s": "done"}, elapsed_s=1.23456, polls=3))
    assert json.loads(json.dumps(report)) == report
    assert (report["state"], report["job"], report["status"]) == ("succeeded", {"id": "7"}, {"s": "done"})
    assert (report["elapsed_s"], report["polls"], report["left_out"]) == (1.235, 3, None)


def test_a_failure_has_the_words_of_its_error() -> None:
    """What the vendor says of a failure is the message, and an abandoned watch is never called a failure."""
    error = JobFailed(job=JOB, status={"s": "bad"}, reason="disk full")
    assert "disk full" in report_of(ENDPOINT, Failed(job=JOB, status={}, error=error, elapsed_s=1, polls=1))["message"]
    late = DeadlineExceeded(JOB, 60.0)
    report = report_of(ENDPOINT, Abandoned(job=JOB, status=None, phase=None, error=late, elapsed_s=60.0, polls=2))
    assert (report["state"], report["error"], report["status"]) == ("abandoned", "DeadlineExceeded", None)


@pytest.mark.parametrize("status", [{"s": "x" * MOST_STATUS_BYTES}, {"s": object()}])
def test_a_status_that_airflow_cannot_keep_is_left_out(status: Any) -> None:
    """A status that is too large or no JSON is left out, with the reason, and the success stays a success."""
    report = report_of(ENDPOINT, Succeeded(job=JOB, status=status, elapsed_s=1.0, polls=1))
    assert (report["state"], report["status"]) == ("succeeded", None)
    assert report["left_out"]


def test_a_watch_that_could_not_begin_has_a_report() -> None:
    """The report names the error in place of an outcome."""
    assert setup_report(ConfigurationError("no such endpoint")) == {
        "state": "unwatched",
        "message": "no such endpoint",
        "error": "ConfigurationError",
    }


@attrs.frozen
class Row:
    id: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"a": [1, None]}, {"a": [1, None]}), (b"a,b\n", "a,b\n"), (Row(7), {"id": 7}), ((Row(7),), [{"id": 7}])],
)
def test_a_result_becomes_json(value: object, expected: object) -> None:
    """JSON stays as it is, bytes become text, and attrs values become objects."""
    assert json_result(value) == expected


@pytest.mark.parametrize("value", [b"\xff", object()])
def test_a_result_that_is_no_json_is_refused(value: object) -> None:
    """An XCom is JSON, so other results are refused with a reason."""
    with pytest.raises(ConfigurationError, match=r"no text|no JSON"):
        json_result(value)


@pytest.mark.looptime
async def test_the_log_has_a_line_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    """The log of the task shows the phases and shares as they change, and failed polls."""
    caplog.set_level(logging.INFO)
    async with Simulator(api_token="t0ken-of-a-test") as simulator:
        simulator.add_delete("one", duration_s=30.0)
        endpoint = DeleteFileEndpoint(simulator.document360_url, auth=ApiKeyAuth("t0ken-of-a-test"))
        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            report = await followed(watcher.watch(DeleteFileJob("one")), endpoint, logging.getLogger("task"))
    assert report["state"] == "succeeded"
    assert "document360: running" in caplog.text
    assert f"succeeded after {report['polls']} polls" in caplog.text
