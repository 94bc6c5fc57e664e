"""What a row's columns may cost, and how too much is cut."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kept_toy import KeptToyEndpoint
from pollwise.durable.row_limits import (
    bounded_error,
    bounded_message,
    bounded_status,
    json_text,
    known_error,
    read_status,
    was_left_out,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileStatus, ErrorItem, TaskStatus
from pollwise.model.limits import ReplyLimits
from pollwise.model.protocols import Endpoint
from toy import ToyStatus

LIMITS = ReplyLimits()
DELETION = DeleteFileEndpoint("https://api.example.com")


def many_errors(number: int) -> DeleteFileStatus:
    return DeleteFileStatus(
        task_status=TaskStatus(is_complete=True), errors=(ErrorItem(description="é" * 200),) * number
    )


def written(status: Any, endpoint: Endpoint[Any, Any]) -> bytes:
    return json_text(endpoint.codec.status_to_json(status), LIMITS.depth)


def test_a_status_over_the_limit_is_cut_and_says_so() -> None:
    """It is read back with the number of all items."""
    text = bounded_status(written(many_errors(1_000), DELETION), DELETION, LIMITS)
    status = read_status(text, DELETION, LIMITS)
    assert len(text) <= LIMITS.row
    assert status is not None
    assert status.task_status.is_complete
    assert len(status.errors) + status.left_out["errors"] == 1_000


def test_a_status_that_cannot_be_cut_leaves_a_note() -> None:
    """The toy's codec needs a state that is one text; a text of a megabyte is cut, a list of texts is not read."""
    status: Any = ToyStatus(["x" * 10_000] * 100)  # type: ignore[arg-type]
    endpoint = KeptToyEndpoint()
    endpoint.codec.status_from_json = _refuse  # type: ignore[method-assign]
    text = bounded_status(written(status, endpoint), endpoint, LIMITS)
    assert was_left_out(text)
    assert read_status(text, endpoint, LIMITS) is None


def _refuse(_data: Any, /) -> ToyStatus:
    raise ValueError


def test_a_huge_row_of_another_program_is_read_as_left_out() -> None:
    """To decode it would hold the event loop for seconds."""
    text = orjson.dumps({"task_status": {"is_complete": True}, "errors": [{}] * 1_500_000})
    assert read_status(text, DELETION, LIMITS) is None


@pytest.mark.parametrize("depth", [200, 300, 900])
def test_deep_data_is_written(depth: int) -> None:
    """What orjson refuses becomes null."""
    data: Any = None
    for _ in range(depth):
        data = [data]
    assert orjson.loads(json_text({"deep": data, "state": "done"}, 100))["state"] == "done"


def test_an_error_is_short() -> None:
    """Its message and its data."""
    document = orjson.dumps({"version": 1, "type": "JobFailed", "fields": {"job": True, "reason": "x" * 1_000_000}})
    cut = bounded_error(document, LIMITS)
    assert len(cut) <= LIMITS.row // 2
    assert orjson.loads(cut)["type"] == "JobFailed"
    assert len(bounded_message("x" * 1_000_000)) < 10_000
    assert len(known_error(document)) < 50_000
