"""The values of MCP tasks."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise import ConfigurationError
from pollwise.endpoints.mcp_tasks import McpTask, McpTaskStatus, McpToolCall
from pollwise.endpoints.mcp_tasks.tasks import STATUS, reason_of


@pytest.mark.parametrize("task_id", ["", "a\n", "x" * 2_000, 7, None])
def test_an_id_that_cannot_be_sent_is_refused(task_id: Any) -> None:
    """When the job is made."""
    with pytest.raises(ConfigurationError):
        McpTask(task_id)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status_message": "no disk", "error": {"message": "x"}}, "no disk"),
        ({"error": {"code": -32603, "message": "API rate limit exceeded"}}, "API rate limit exceeded"),
        ({"status_message": "", "error": {"message": 7}}, None),
        ({"error": "no"}, None),
        ({}, None),
    ],
)
def test_a_failure_has_the_servers_words(fields: dict[str, Any], reason: str | None) -> None:
    """`statusMessage`, or else the message of the error that the task failed with."""
    assert reason_of(McpTaskStatus(task_id="7", status="failed", **fields)) == reason


def test_a_status_has_the_newer_names() -> None:
    """On the wire and in a ledger."""
    kept = STATUS.unstructure(McpTaskStatus(task_id="7", status="working", ttl_ms=5, poll_interval_ms=7))
    assert (kept["taskId"], kept["ttlMs"], kept["pollIntervalMs"]) == ("7", 5, 7)


def test_the_arguments_of_a_call_are_not_shown() -> None:
    """They may hold secrets."""
    assert "s3cr3t" not in repr(McpToolCall(name="a", arguments={"b": "s3cr3t"}))
