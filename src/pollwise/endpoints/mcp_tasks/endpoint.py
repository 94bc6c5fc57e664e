"""The calls about one task: call a tool, ask for the task, fetch its result, cancel it.

Rule 1: `status` alone decides (Tasks, "Task Status"): working, input_required, completed, failed or cancelled. Any other word
is running. A result with `isError` is a result: in revision 2026-07-28 the task is completed, in 2025-11-25 it is failed.
Rule 2: a reply about another `taskId` is malformed.
Rule 3: `pollInterval` and `pollIntervalMs` are milliseconds, and the shortest wait before the next poll.
Rule 4: the error -32602 says that the task is unknown, or has expired. An error that says that the request itself is wrong ends
the watch. After any other error the task is asked again.
Rule 5: each request has an ID of its own (Overview, "Requests"). It is random, so that several processes may share a session.
Rule 6: a 404 says that the session has ended, if there is one ("Session Management"). A session that pollwise opened is opened
again.
"""

from __future__ import annotations

import base64
import itertools
import re
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version as version_of
from typing import Any, Final, NoReturn

import orjson
from yarl import URL

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._at_once import check_asked, content_of, is_at_once, named_at_once
from pollwise.endpoints._reader import ReplyReader
from pollwise.endpoints._strict import shown, unknown
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.endpoints.mcp_tasks.messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NEVER_ANOTHER_ANSWER,
    error_of,
    response_in,
    rpc,
)
from pollwise.endpoints.mcp_tasks.session import ACCEPT, SESSION, VERSION, McpSession
from pollwise.endpoints.mcp_tasks.tasks import OLD_NAMES, STATUS, McpTask, McpTaskStatus, McpToolCall, reason_of
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    JobNotFound,
    MalformedReply,
    Problem,
    RequestRejected,
    ServerUnavailable,
)
from pollwise.http.credentials import header_fields
from pollwise.model.limits import is_number
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import TERMINAL, Phase, Reading
from pollwise.model.results import ResultCall, ResultPage
from pollwise.model.submitting import Submitted

__all__ = ["McpTasksEndpoint"]

_EXPERIMENTAL: Final = "2025-11-25"
_EXTENSION: Final = "2026-07-28"
_META: Final = "io.modelcontextprotocol/"
_WHOLE: Final = ResultCall.limits
_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII).fullmatch
_PHASES: Final[Mapping[str, Phase]] = {
    "working": Phase.RUNNING,
    "input_required": Phase.WAITING_FOR_INPUT,
    "completed": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}


class McpTasksEndpoint(Endpoint[McpTask, McpTaskStatus]):
    """The tasks of one MCP server, over Streamable HTTP.

    `await watch.result()` returns what the tool returned, as a dict. `await watch.cancel()` sends `tasks/cancel`. An
    `McpToolCall` starts a task.

    Args:
        url: The URL of the MCP endpoint, such as `https://example.com/mcp`.
        auth: `McpSession(url, auth=...)` for a server with sessions; else the credentials of the server, or None.
        account: A name for these credentials, if one ledger has the tasks of several accounts.
        name: Its name in logs, ledgers and tokens. Two servers in one ledger need two names.
        session_id: The ID of a session that another client has opened, in place of an `McpSession`.
        revision: The revision of the protocol: `2025-11-25` or `2026-07-28`.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    heeded_headers = ()
    answer_statuses = frozenset({404})
    result_answer_statuses = answer_statuses
    deciding_keys = STATUS.keys | frozenset({"jsonrpc", "id", "code", "message", *OLD_NAMES})
    codec = AttrsCodec(McpTask, McpTaskStatus)

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None = None,
        account: str = "",
        name: str = "mcp-tasks",
        session_id: str | None = None,
        revision: str = _EXPERIMENTAL,
    ) -> None:
        if revision not in {_EXPERIMENTAL, _EXTENSION}:
            raise ConfigurationError(f"revision must be {_EXPERIMENTAL!r} or {_EXTENSION!r}, got {revision!r}")
        opens = isinstance(auth, McpSession)
        if (opens or session_id is not None) and (revision == _EXTENSION or (opens and session_id is not None)):
            raise ConfigurationError(
                f"pass one of McpSession and session_id, and neither with revision {_EXTENSION}, which has no sessions"
            )
        self.name = name
        self.fixed_origin = str(ApiRoot.parse(url).origin)
        self._url = URL(url)
        self._opens_sessions = opens
        self._session = {} if session_id is None else header_fields({SESSION: session_id})
        self._revision = revision
        self.auth = auth
        self.account = checked_account(account, auth)
        numbers, own = itertools.count(1), secrets.token_hex(8)
        self._next_id: Callable[[], str] = lambda: f"{own}-{next(numbers)}"
        self._statuses = ReplyReader(STATUS, self.name, self._no_problem)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._url)!r}, revision={self._revision!r})"

    @staticmethod
    def _no_problem(_reply: Reply) -> None:
        """A task that cannot be read has no words of an error."""

    # --- requests -----------------------------------------------------------------------------

    def request(self, job: McpTask, /) -> Request:
        """The POST request with `tasks/get`, without credentials. Each has another ID of JSON-RPC.

        Raises:
            ConfigurationError: The tool ran at once, so there is no task.
        """
        check_asked(job.task_id)
        return self._about(job, "tasks/get")

    def _about(self, job: McpTask, method: str) -> Request:
        return self._request(method, job.task_id, {"taskId": job.task_id}, idempotent=True)

    def _request(self, method: str, subject: str, params: Mapping[str, Any], *, idempotent: bool | None) -> Request:
        extended = self._revision == _EXTENSION
        params = {**params, "_meta": _meta()} if extended else params
        body = rpc(method, params, self._next_id(), what=f"the request {method} for {shown(subject)}")
        headers: dict[str, str] = {**ACCEPT, VERSION: self._revision, **self._session}
        if extended:
            headers |= {"Mcp-Method": method, "Mcp-Name": _header_value(subject)}
        return Request(self._url, headers, "POST", body, idempotent=idempotent)

    # --- replies ------------------------------------------------------------------------------

    def read(self, reply: Reply, /) -> Reading[McpTaskStatus]:
        """As `read_for`, for the task that the request of the reply names, or for any."""
        return self._read(None, reply)

    def read_for(self, job: McpTask, reply: Reply, /) -> Reading[McpTaskStatus]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: The reply has no task, or another one.
            JobNotFound: The server does not know the task.
            RequestRejected: The server refuses such requests. Or the session has ended, and another client opened it.
            AuthenticationError: The session has ended. A new one is opened.
            ServerUnavailable: Another error of JSON-RPC.
        """
        return self._read(job, reply)

    def _read(self, job: McpTask | None, reply: Reply) -> Reading[McpTaskStatus]:
        result = self._result_in(job or _asked_for(reply), reply)
        data = {
            **result,
            **{new: result[old] for old, new in OLD_NAMES.items() if old in result and new not in result},
        }
        status = self._statuses.read_part(reply, data)
        if job is not None and status.task_id != job.task_id:
            raise reply.malformed(f"field taskId: the reply is about another task, {shown(status.task_id)}")
        phase = _PHASES.get(status.status)
        return Reading(
            status=status,
            phase=phase or Phase.RUNNING,
            final=phase in TERMINAL,
            reason=reason_of(status) if phase is Phase.FAILED or phase is Phase.CANCELLED else None,
            unknown=unknown("status", status.status) if phase is None else None,
            poll_after_s=None if status.poll_interval_ms is None else status.poll_interval_ms / 1_000,
        )

    def _result_in(self, job: Any, reply: Reply, *, is_whole: bool = False) -> dict[str, Any]:
        """The result in the response. Raises the error that the response has."""
        if reply.status == 404:
            self._on_404(job, reply)
        response = response_in(reply, _WHOLE) if is_whole and _WHOLE is not None else response_in(reply)
        error = error_of(response)
        if error is not None:
            _raise(job, reply, *error)
        if not isinstance(response["result"], dict):
            raise reply.malformed(f"field result: expected an object, got {shown(response['result'])}")
        return response["result"]

    def _on_404(self, job: Any, reply: Reply) -> None:
        """Raise what a 404 means, if it is no error about the task."""
        try:
            error = error_of(response_in(reply))
        except MalformedReply:
            error = None
        if error is not None and error[0] in {METHOD_NOT_FOUND, INVALID_PARAMS}:
            return
        problem = None if error is None else error[1]
        if self._opens_sessions:
            raise AuthenticationError("The MCP session has ended.", problem)
        if self._session:
            ended = Problem(descriptions=("the MCP session has ended; open another one, and watch the task with it",))
            raise RequestRejected(job, 404, ended)
        raise reply.malformed("it is no response of JSON-RPC about the task")

    def problem(self, reply: Reply, /) -> Problem | None:
        """The code and the message of an error of JSON-RPC, or None."""
        try:
            error = error_of(response_in(reply))
        except MalformedReply:
            return None
        return None if error is None else masked_value(reply.mask, error[1])

    # --- the rest of a task's life ------------------------------------------------------------

    def result_request(self, job: McpTask, status: McpTaskStatus, /) -> Request | ResultPage[dict[str, Any]]:
        """The POST request with `tasks/result`. In revision 2026-07-28 it is `tasks/get`, whose task has the result.

        Of a tool that ran at once, it is the result itself.

        Raises:
            ConfigurationError: The result was in the reply to the start, and a ledger has cut it.
        """
        if is_at_once(job.task_id):
            return ResultPage(content_of(job.task_id, status.result))
        return self._about(job, "tasks/result" if self._revision == _EXPERIMENTAL else "tasks/get")

    def read_result(self, reply: Reply, /) -> dict[str, Any]:
        """What the request would have returned without a task, such as a `CallToolResult` of MCP.

        Raises:
            MalformedReply: The reply has no result.
            RequestRejected: It has an error of JSON-RPC. Likewise the errors of `read_for`.
        """
        result = self._result_in(_asked_for(reply), reply, is_whole=True)
        if self._revision == _EXPERIMENTAL:
            return result
        if not isinstance(result.get("result"), dict):
            raise reply.malformed("field result.result: the task has no result")
        return result["result"]  # type: ignore[no-any-return]  # looked at above

    def cancel_request(self, job: McpTask, _status: McpTaskStatus | None, /) -> Request:
        """The POST request with `tasks/cancel`."""
        return self._about(job, "tasks/cancel")

    def read_cancelled(self, reply: Reply, /) -> bool:
        """Whether the request was accepted. The error -32602 says that the task is over or unknown already."""
        try:
            self._result_in(_asked_for(reply), reply)
        except JobNotFound:
            return False
        return True

    def submit_request(self, order: McpToolCall, _key: str, /) -> Request:
        """The POST request with `tools/call`, as a task. MCP has no idempotency key.

        Raises:
            ConfigurationError: An argument is no JSON.
        """
        params: dict[str, Any] = {"name": order.name, "arguments": order.arguments}
        if self._revision == _EXPERIMENTAL:
            params["task"] = {} if order.ttl_ms is None else {"ttl": order.ttl_ms}
        return self._request("tools/call", order.name, params, idempotent=None)

    def read_submitted(self, order: McpToolCall, reply: Reply, /) -> Submitted[McpTask]:
        """The task in the reply to `tools/call`, with its `pollInterval`.

        If the tool has run at once, the task has a name of pollwise's, and its end is there, too, with the result.

        Raises:
            RequestRejected: The server refuses the call.
            MalformedReply: The reply has no task that could be watched.
        """
        result = self._result_in(order, reply, is_whole=True)
        task = result.get("task") if self._revision == _EXPERIMENTAL else result
        is_task = isinstance(task, dict) and (self._revision == _EXPERIMENTAL or result.get("resultType") == "task")
        if not is_task or not isinstance(task, dict):
            return self._ran_at_once(result)
        try:
            job = McpTask(task["taskId"])
        except (KeyError, ConfigurationError):
            raise reply.malformed("field taskId: the task has no ID that could be asked for") from None
        interval_ms = task.get("pollIntervalMs", task.get("pollInterval"))
        return Submitted(job, interval_ms / 1_000 if is_number(interval_ms) else None)

    def _ran_at_once(self, result: dict[str, Any]) -> Submitted[McpTask]:
        """The end of a tool that ran at once. What `isError` means is rule 1."""
        name, kept = named_at_once(result)
        has_failed = self._revision == _EXPERIMENTAL and result.get("isError") is True
        state = "failed" if has_failed else "completed"
        status = McpTaskStatus(task_id=name, status=state, status_message=_text_in(result), result=kept)
        reading = Reading.failed(status, reason=reason_of(status)) if has_failed else Reading.succeeded(status)
        return Submitted(McpTask(name), reading=reading)


def _text_in(result: Mapping[str, Any]) -> str | None:
    """The first text in the content of a failed tool's result ("Tools", "Error Handling"), or None."""
    content = result.get("content") if result.get("isError") is True else None
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            return part["text"]  # type: ignore[no-any-return]  # looked at above
    return None


def _raise(job: Any, reply: Reply, code: int | None, problem: Problem) -> NoReturn:
    """Raise what an error of JSON-RPC means: rule 4."""
    if code == INVALID_PARAMS and isinstance(job, McpTask):
        raise JobNotFound(job, reply.status, problem)
    if code == INVALID_PARAMS or code in NEVER_ANOTHER_ANSWER:
        raise RequestRejected(job, reply.status, problem)
    if isinstance(job, McpTask):
        raise ServerUnavailable(reply.status, None, problem)
    raise reply.malformed(f"the server said: {problem}")  # whether it has started a task is not known


def _asked_for(reply: Reply) -> McpTask | None:
    """The task that the request of this reply names, if that is known."""
    body = None if reply.request is None else reply.request.body
    try:
        return McpTask(orjson.loads(body or b"")["params"]["taskId"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ConfigurationError):
        return None


@cache
def _meta() -> dict[str, Any]:
    """What each request of revision 2026-07-28 says about the client."""
    return {
        f"{_META}protocolVersion": _EXTENSION,
        f"{_META}clientInfo": {"name": "pollwise", "version": version_of("pollwise")},
        f"{_META}clientCapabilities": {"extensions": {f"{_META}tasks": {}}},
    }


def _header_value(value: str) -> str:
    """A value as a header field has it (Streamable HTTP, "Value Encoding")."""
    if _PLAIN(value) and not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="
