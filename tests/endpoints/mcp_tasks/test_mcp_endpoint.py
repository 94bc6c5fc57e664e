"""MCP tasks: every status, both revisions, errors of JSON-RPC, and whole lives on a real socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from yarl import URL

from mcp_server import McpServer, serving
from pollwise import (
    BearerAuth,
    Cancelled,
    ConfigurationError,
    JobFailed,
    JobWatcher,
    Pacing,
    Phase,
    Progressed,
    Reply,
    Request,
)
from pollwise.endpoints.mcp_tasks import McpSession, McpTask, McpTasksEndpoint, McpTaskStatus, McpToolCall
from pollwise.errors import (
    AuthenticationError,
    JobNotFound,
    MalformedReply,
    RequestRejected,
    ServerUnavailable,
)
from pollwise.model.results import ResultPage
from pollwise.testing import Sample, check_endpoint
from raw_server import reply as raw_reply

BASE = "https://mcp.example.com/mcp"
ID = "786512e2-9e0d-44bd-8f29-789f320fe840"  # of the specification's examples
JOB = McpTask(ID)
OLD = McpTasksEndpoint(BASE)
NEW = McpTasksEndpoint(BASE, revision="2026-07-28")
# The examples of "Getting Tasks" (2025-11-25), and of "Example Message Flow" (ext-tasks)
TASK: dict[str, Any] = {
    "taskId": ID,
    "status": "working",
    "statusMessage": "The operation is now in progress.",
    "createdAt": "2025-11-25T10:30:00Z",
    "lastUpdatedAt": "2025-11-25T10:40:00Z",
    "ttl": 30000,
    "pollInterval": 5000,
}
NEW_TASK: dict[str, Any] = {
    "resultType": "complete",
    "taskId": ID,
    "status": "working",
    "createdAt": "2025-11-25T10:30:00Z",
    "lastUpdatedAt": "2025-11-25T10:50:00Z",
    "ttlMs": 3600000,
    "pollIntervalMs": 5000,
}
TOOL_RESULT: dict[str, Any] = {"content": [{"type": "text", "text": "Hello, Luca!"}], "isError": False}


def response(result: Any, status: int = 200, *, asked: Request | None = None, kind: str = "application/json") -> Reply:
    number = 1 if asked is None else orjson.loads(asked.body or b"")["id"]
    body = orjson.dumps({"jsonrpc": "2.0", "id": number, "result": result})
    return Reply(status, {"Content-Type": kind}, body, asked)


def error(code: int, message: str = "no", status: int = 200) -> Reply:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})
    return Reply(status, {"Content-Type": "application/json"}, body)


def test_the_endpoint_does_what_each_endpoint_must() -> None:
    """But for its requests, whose IDs differ on purpose."""
    endpoint = McpTasksEndpoint(BASE)
    endpoint._next_id = lambda: "1"
    statuses = {"working": Phase.RUNNING, "completed": Phase.SUCCEEDED, "failed": Phase.FAILED}
    check_endpoint(
        endpoint,
        [Sample(job=JOB, reply=response({**TASK, "status": word}), phase=phase) for word, phase in statuses.items()],
        states=["result.status"],
    )


def test_each_request_has_an_id_of_its_own() -> None:
    """Also those of another endpoint, which may share the session (Overview, "Requests")."""
    endpoints = [OLD, OLD, McpTasksEndpoint(BASE)]
    assert len({orjson.loads(endpoint.request(JOB).body or b"")["id"] for endpoint in endpoints}) == 3


def test_a_task_is_asked_for_over_streamable_http() -> None:
    """POST, both media types, and the revision in a header field."""
    request = OLD.request(JOB)
    assert (request.method, str(request.url), request.is_idempotent) == ("POST", BASE, True)
    assert request.headers["Accept"] == "application/json, text/event-stream"
    assert request.headers["MCP-Protocol-Version"] == "2025-11-25"
    body = orjson.loads(request.body or b"")
    assert (body["jsonrpc"], body["method"], body["params"]) == ("2.0", "tasks/get", {"taskId": ID})
    assert McpTasksEndpoint(f"{BASE}/").request(JOB).url == URL(f"{BASE}/")


def test_the_newer_revision_has_routing_headers_and_metadata() -> None:
    """`Mcp-Method`, `Mcp-Name` and `_meta` (Streamable HTTP, "Request Metadata")."""
    request = NEW.request(JOB)
    assert (request.headers["Mcp-Method"], request.headers["Mcp-Name"]) == ("tasks/get", ID)
    meta = orjson.loads(request.body or b"")["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == request.headers["MCP-Protocol-Version"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {"extensions": {"io.modelcontextprotocol/tasks": {}}}


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
)
def test_a_name_is_encoded_where_a_header_field_cannot_hold_it(name: str, sent: str) -> None:
    """The examples of "Value Encoding"."""
    assert NEW.request(McpTask(name)).headers["Mcp-Name"] == sent


@pytest.mark.parametrize(
    ("word", "phase", "final"),
    [
        ("working", Phase.RUNNING, False),
        ("input_required", Phase.WAITING_FOR_INPUT, False),
        ("completed", Phase.SUCCEEDED, True),
        ("failed", Phase.FAILED, True),
        ("cancelled", Phase.CANCELLED, True),
        ("paused", Phase.RUNNING, False),
    ],
)
@pytest.mark.parametrize(("endpoint", "task"), [(OLD, TASK), (NEW, NEW_TASK)])
def test_each_status_has_its_phase(
    endpoint: McpTasksEndpoint, task: dict[str, Any], word: str, phase: Phase, final: bool
) -> None:
    """An unknown one is running."""
    found = endpoint.read_for(JOB, response({**task, "status": word}))
    assert (found.phase, found.final, found.poll_after_s) == (phase, final, 5.0)
    assert found.unknown == ("status=paused" if word == "paused" else None)


def test_a_status_keeps_every_field() -> None:
    """Of both revisions, by the newer names."""
    old, new = OLD.read_for(JOB, response(TASK)).status, NEW.read_for(JOB, response(NEW_TASK)).status
    assert old == McpTaskStatus(
        task_id=ID,
        status="working",
        status_message="The operation is now in progress.",
        created_at="2025-11-25T10:30:00Z",
        last_updated_at="2025-11-25T10:40:00Z",
        ttl_ms=30000,
        poll_interval_ms=5000,
    )
    assert (new.ttl_ms, new.poll_interval_ms, new.status_message) == (3600000, 5000, None)
    asked = {**NEW_TASK, "status": "input_required", "inputRequests": {"name": {"method": "elicitation/create"}}}
    assert NEW.read_for(JOB, response(asked)).status.input_requests == asked["inputRequests"]


@pytest.mark.parametrize("interval", [None, "soon", [], "2500"])
def test_an_interval_in_another_form_hides_nothing(interval: object) -> None:
    """It is converted, or there is no hint."""
    found = OLD.read_for(JOB, response({**TASK, "pollInterval": interval}))
    assert found.poll_after_s == (2.5 if interval == "2500" else None)


@pytest.mark.parametrize(
    "result", [{**TASK, "taskId": "other"}, {"status": "completed"}, {"taskId": ID}, [], None, "x"]
)
def test_a_reply_without_this_task_is_malformed(result: Any) -> None:
    """Its ID and its status decide."""
    with pytest.raises(MalformedReply):
        OLD.read_for(JOB, response(result))


def test_a_task_can_be_read_without_its_job() -> None:
    """Of any ID."""
    assert OLD.read(response({**TASK, "taskId": "other"})).status.task_id == "other"
    assert repr(NEW) == "McpTasksEndpoint('https://mcp.example.com/mcp', revision='2026-07-28')"


def test_a_reply_to_another_request_is_malformed() -> None:
    """The IDs of JSON-RPC are compared."""
    other = response(TASK, asked=OLD.request(JOB))
    with pytest.raises(MalformedReply, match="another request"):
        OLD.read_for(JOB, Reply(200, other.headers, other.body, OLD.request(JOB)))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (error(-32602, "Failed to retrieve task: Task not found"), JobNotFound),
        (error(-32601), RequestRejected),
        (error(-32600), RequestRejected),
        (error(-32021), RequestRejected),
        (error(-32603), ServerUnavailable),
        (error(-32000), ServerUnavailable),
        (error(-32601, status=404), RequestRejected),
        (error(-32602, status=404), JobNotFound),
        (error(-32001, status=404), MalformedReply),  # there is no session
        (Reply(404, {}, b"<html>"), MalformedReply),
    ],
)
@pytest.mark.parametrize("endpoint", [OLD, NEW])
def test_an_error_of_json_rpc_says_what_follows(
    endpoint: McpTasksEndpoint, found: Reply, expected: type[Exception]
) -> None:
    """The task is unknown, the request is wrong, or the server is to be asked again."""
    with pytest.raises(expected):
        endpoint.read_for(JOB, found)


def test_a_refusal_is_told_in_the_servers_words() -> None:
    """With the code of JSON-RPC, also behind 400."""
    problem = OLD.problem(error(-32602, "Failed to retrieve task: Task has expired", 400))
    assert problem is not None
    assert (problem.codes, problem.job_unknown) == (("-32602",), True)
    assert OLD.problem(Reply(502, {}, b"<html>")) is None


def test_a_session_that_has_ended_is_opened_again_or_told() -> None:
    """404 with a session ("Session Management")."""
    with pytest.raises(AuthenticationError, match="session has ended"):
        McpTasksEndpoint(BASE, auth=McpSession(BASE)).read_for(JOB, error(-32001, status=404))
    foreign = McpTasksEndpoint(BASE, session_id="s-1")
    assert foreign.request(JOB).headers["Mcp-Session-Id"] == "s-1"
    with pytest.raises(RequestRejected, match="open another one"):
        foreign.read_for(JOB, Reply(404, {}, b""))


@pytest.mark.parametrize(
    "options",
    [
        {"revision": "2024-11-05"},
        {"revision": "2026-07-28", "session_id": "s-1"},
        {"revision": "2026-07-28", "auth": McpSession(BASE)},
        {"session_id": "s-1", "auth": McpSession(BASE)},
        {"session_id": "s 1\n"},
        {"url": "ftp://x"},
    ],
)
def test_an_argument_that_cannot_be_right_is_refused(options: dict[str, Any]) -> None:
    """When the endpoint is made."""
    with pytest.raises(ConfigurationError):
        McpTasksEndpoint(**{"url": BASE, **options})


# --- start, cancel and result -----------------------------------------------------------------


def test_a_tool_is_called_as_a_task() -> None:
    """With the wish for a lifetime in the older revision, and the client's capability in the newer one."""
    order = McpToolCall(name="get_weather", arguments={"city": "New York"}, ttl_ms=60000)
    request = OLD.submit_request(order, "key")
    params = {"name": "get_weather", "arguments": {"city": "New York"}, "task": {"ttl": 60000}}
    assert orjson.loads(request.body or b"")["params"] == params
    assert not request.is_idempotent
    newer = NEW.submit_request(order, "key")
    assert "task" not in orjson.loads(newer.body or b"")["params"]
    assert (newer.headers["Mcp-Method"], newer.headers["Mcp-Name"]) == ("tools/call", "get_weather")
    with pytest.raises(ConfigurationError, match="get_weather"):
        OLD.submit_request(McpToolCall(name="get_weather", arguments={"city": object()}), "key")
    with pytest.raises(ConfigurationError, match="JSON does not have"):
        NEW.submit_request(McpToolCall(name="\ud800"), "key")


@pytest.mark.parametrize(("endpoint", "result"), [(OLD, {"task": TASK}), (NEW, {**NEW_TASK, "resultType": "task"})])
def test_a_task_that_was_created_is_named(endpoint: McpTasksEndpoint, result: dict[str, Any]) -> None:
    """`CreateTaskResult` of each revision."""
    order = McpToolCall(name="get_weather")
    started = endpoint.read_submitted(order, response(result))
    assert (started.job, started.poll_after_s, started.reading) == (JOB, 5.0, None)
    at_once = endpoint.read_submitted(order, response(TOOL_RESULT))
    assert at_once.reading is not None
    assert endpoint.result_request(at_once.job, at_once.reading.status) == ResultPage(TOOL_RESULT)
    with pytest.raises(RequestRejected):
        endpoint.read_submitted(order, error(-32602))
    with pytest.raises(MalformedReply, match="code -32603"):  # it is not known whether there is a task
        endpoint.read_submitted(order, error(-32603))
    nameless = {"task": {"taskId": ""}, "resultType": "task"}
    with pytest.raises(MalformedReply, match="no ID"):
        endpoint.read_submitted(order, response(nameless))


def test_a_result_is_what_the_call_would_have_returned() -> None:
    """`tasks/result`, or in the newer revision the result in the task."""
    asked = OLD.result_request(JOB, McpTaskStatus(task_id=ID, status="completed"))
    assert orjson.loads(asked.body or b"")["method"] == "tasks/result"
    assert OLD.read_result(response(TOOL_RESULT, asked=asked)) == TOOL_RESULT
    asked = NEW.result_request(JOB, McpTaskStatus(task_id=ID, status="completed"))
    assert orjson.loads(asked.body or b"")["method"] == "tasks/get"
    assert NEW.read_result(response({**NEW_TASK, "status": "completed", "result": TOOL_RESULT})) == TOOL_RESULT
    with pytest.raises(MalformedReply, match="no result"):
        NEW.read_result(response(NEW_TASK))


def test_a_cancelled_task_is_accepted_or_too_late() -> None:
    """The error -32602 says that it is over already ("Task Cancellation")."""
    asked = OLD.cancel_request(JOB, None)
    assert orjson.loads(asked.body or b"")["method"] == "tasks/cancel"
    assert OLD.read_cancelled(response({**TASK, "status": "cancelled"}))
    assert NEW.read_cancelled(response({"resultType": "complete"}))
    over = error(-32602, "Cannot cancel task: already in terminal status 'completed'")
    assert not OLD.read_cancelled(Reply(200, over.headers, over.body, asked_with(asked)))
    with pytest.raises(RequestRejected):
        OLD.read_cancelled(error(-32601))


def asked_with(request: Request) -> Request:
    """The request with the ID of the replies above."""
    body = {**orjson.loads(request.body or b""), "id": 1}
    return Request(request.url, request.headers, "POST", orjson.dumps(body))


# --- on a real socket -------------------------------------------------------------------------


class Server(McpServer):
    """Answers each method from a script. A list repeats its last answer."""

    def __init__(self, answers: dict[str, Any], *, as_stream: bool = False) -> None:
        super().__init__()
        self.answers = answers
        self.as_stream = as_stream

    def answer(self, data: dict[str, Any], headers: dict[str, str]) -> bytes:
        answer = self.answers[data["method"]]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if not self.as_stream:
            return self.response(data, answer)
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        events = [b"id: 1\ndata:", *(b"data: " + orjson.dumps(each) for each in (note, {"id": data["id"], **answer}))]
        whole = raw_reply(b"".join(event + b"\n\n" for event in events))
        return whole.replace(b"Content-Type: application/json", b"Content-Type: text/event-stream")


def task(status: str, **more: Any) -> dict[str, Any]:
    return {"result": {**TASK, "status": status, **more}}


@pytest.mark.looptime
@pytest.mark.parametrize("as_stream", [False, True])
async def test_a_task_is_awaited_through_its_question_to_its_result(as_stream: bool) -> None:
    """Working, waiting for input, working, completed; as JSON and as event streams."""
    words = ["working", "working", "input_required", "working", "completed"]
    script = {"tasks/get": [task(word) for word in words], "tasks/result": {"result": TOOL_RESULT}}
    async with serving(Server(script, as_stream=as_stream)) as server:
        endpoint = McpTasksEndpoint(f"{server.url}/mcp", auth=BearerAuth("t0ken-of-a-test"))
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(1)) as watcher:
            watch = watcher.watch(JOB)
            phases = [event.phase async for event in watch if isinstance(event, Progressed)]
            assert await watch.result() == TOOL_RESULT
    assert phases == [Phase.RUNNING, Phase.WAITING_FOR_INPUT, Phase.RUNNING]
    assert server.methods == ["tasks/get"] * 5 + ["tasks/result"]
    assert server.asked[0][1]["authorization"] == "Bearer t0ken-of-a-test"


@pytest.mark.looptime
async def test_a_task_of_the_newer_revision_brings_its_result() -> None:
    """It is in the task."""
    script = {
        "tasks/get": [{"result": NEW_TASK}, {"result": {**NEW_TASK, "status": "completed", "result": TOOL_RESULT}}]
    }
    async with serving(Server(script)) as server:
        endpoint = McpTasksEndpoint(server.url, revision="2026-07-28")
        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            assert await watcher.watch(JOB).result() == TOOL_RESULT
    assert {headers["mcp-name"] for _, headers in server.asked} == {ID}


@pytest.mark.looptime
async def test_a_task_is_cancelled_and_the_server_has_the_last_word() -> None:
    """A cancellation that comes too late is no error."""
    over = {"error": {"code": -32602, "message": "already in terminal status"}}
    async with (
        serving(
            Server({"tasks/get": [task("working"), task("cancelled")], "tasks/cancel": [task("cancelled"), over]})
        ) as server,
        JobWatcher(McpTasksEndpoint(server.url), timeout_s=600) as watcher,
    ):
        watch = watcher.watch(JOB)
        async for _ in watch:
            break
        assert await watch.cancel()
        assert not await watch.cancel()
        last = [event async for event in watch][-1]
    assert isinstance(last, Cancelled)


@pytest.mark.looptime
async def test_an_expired_task_is_not_found() -> None:
    """The server's words are in the error."""
    scripted = Server(
        {"tasks/get": {"error": {"code": -32602, "message": "Failed to retrieve task: Task has expired"}}}
    )
    async with serving(scripted) as server, JobWatcher(McpTasksEndpoint(server.url), timeout_s=600) as watcher:
        with pytest.raises(JobNotFound, match="Task has expired"):
            await watcher.watch(JOB)
    assert len(server.asked) == 1


@pytest.mark.looptime
async def test_a_failed_task_raises() -> None:
    """With the message of its status."""
    async with (
        serving(
            Server({"tasks/get": task("failed", statusMessage="Tool execution failed: API rate limit exceeded")})
        ) as server,
        JobWatcher(McpTasksEndpoint(server.url), timeout_s=600) as watcher,
    ):
        with pytest.raises(JobFailed, match="API rate limit exceeded"):
            await watcher.watch(JOB)
