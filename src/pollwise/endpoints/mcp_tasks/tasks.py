"""The values of MCP tasks: a task, its status, and the call of a tool.

Rule: both revisions have one class of statuses, with the names of the newer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints._address import one_segment
from pollwise.endpoints._lenient import lenient_number_or_null, lenient_text
from pollwise.endpoints._reader import Reader
from pollwise.endpoints._strict import Hook, json_value, text, text_or_null
from pollwise.endpoints._words import camel_case

__all__ = ["OLD_NAMES", "STATUS", "McpTask", "McpTaskStatus", "McpToolCall", "reason_of"]


@attrs.frozen
class McpTask:
    """A task of an MCP server.

    Args:
        task_id: The `taskId` that the server gave it. A server may take it as a credential, so keep it to yourself.

    Raises:
        ConfigurationError: The ID is empty, too long, or has control characters. It is a ValueError.
    """

    task_id: str = attrs.field(validator=one_segment)


@attrs.frozen(kw_only=True)
class McpToolCall:
    """A tool to call as a task.

    Args:
        name: The tool's name.
        arguments: Its arguments, as JSON.
        ttl_ms: For how many milliseconds the server shall keep the task. None leaves it to the server. Revision 2026-07-28
            has no such wish.
    """

    name: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    ttl_ms: int | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class McpTaskStatus:
    """A task as the server describes it. A field that is absent is None. Texts are untrusted.

    Attributes:
        task_id: Its ID.
        status: working, input_required, completed, failed or cancelled, or another word as sent.
        status_message: The server's words.
        created_at: When it was created, as in RFC 3339.
        last_updated_at: When its status changed last.
        ttl_ms: For how many milliseconds after its creation it is kept. None for ever, or if it is not stated.
        poll_interval_ms: How many milliseconds to wait before the next poll.
        input_requests: What the server wants to know, by key (revision 2026-07-28). Answer with `tasks/update`.
        result: The result (revision 2026-07-28), maybe cut. `await watch.result()` has it whole.
        error: The error of JSON-RPC that the task failed with (revision 2026-07-28).
    """

    task_id: str
    status: str
    status_message: str | None = None
    created_at: str | None = None
    last_updated_at: str | None = None
    ttl_ms: float | None = None
    poll_interval_ms: float | None = None
    input_requests: Any = None
    result: Any = None
    error: Any = None


_STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    str: text,
    str | None: text_or_null,
    float | None: lenient_number_or_null,
    Any: json_value,
}
STATUS: Final = Reader(McpTaskStatus, _STRICT_HOOKS, lenient_hooks={str | None: lenient_text}, wire_name=camel_case)
OLD_NAMES: Final[Mapping[str, str]] = {"ttl": "ttlMs", "pollInterval": "pollIntervalMs"}  # of revision 2025-11-25


def reason_of(status: McpTaskStatus) -> str | None:
    """The server's words for a failure or a cancellation, or None."""
    if status.status_message:
        return status.status_message
    message = status.error.get("message") if isinstance(status.error, dict) else None
    return message if isinstance(message, str) else None
