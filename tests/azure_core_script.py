"""azure-core's own poller, and ours, fed with the same scripted replies and without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineResponse
from azure.core.polling.base_polling import (
    LocationPolling,
    LROBasePolling,
    OperationResourcePolling,
    StatusCheckPolling,
)
from azure.core.rest import HttpRequest
from multidict import CIMultiDict
from yarl import URL

from pollwise.endpoints.azure import AzureOperation, AzureOperationsEndpoint, AzureOrder, FinalStateVia, Monitor
from pollwise.errors import MalformedReply
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Phase
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = ["BASE", "RESOURCE", "Answer", "Run", "Start", "by_azure_core", "by_us"]

BASE = "https://management.example.com"
RESOURCE = f"{BASE}/things/1?api-version=1"
ENDPOINT = AzureOperationsEndpoint(BASE)
_MOST_POLLS = 50


@attrs.frozen
class Answer:
    """One scripted reply. A body of None is empty, and bytes are sent as they are."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@attrs.frozen
class Start:
    """The request that started the operation, and its reply."""

    method: str
    answer: Answer
    via: str | None = None


@attrs.frozen
class Run:
    """What a poller did.

    Attributes:
        urls: What was asked, in order, the final GET included.
        end: `succeeded`, `failed` or `error`; azure-core has one error for a failed operation and for a cancelled one.
        result: The JSON at the end, or None.
    """

    urls: list[str]
    end: str
    result: Any = None


class Script:
    """Answers by URL. The last answer of a URL repeats."""

    def __init__(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        self._answers = {url: list(given) for url, given in answers.items()}
        self.urls: list[str] = []

    def answer(self, url: str) -> Answer:
        self.urls.append(url)
        assert len(self.urls) <= _MOST_POLLS
        left = self._answers[url]
        return left.pop(0) if len(left) > 1 else left[0]


class _CoreReply:
    """What azure-core looks at of a reply."""

    def __init__(self, request: HttpRequest, answer: Answer) -> None:
        self.request = request
        self.status_code = answer.status
        self.reason = "scripted"
        self.headers = CIMultiDict(answer.headers)
        self.content = answer.content
        self.content_type = "application/json"
        self.is_stream_consumed = True

    def text(self, encoding: str | None = None) -> str:
        return self.content.decode()


class _CoreClient:
    """What azure-core's poller calls of a client."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._pipeline = self
        self._transport = self

    def sleep(self, _seconds: float) -> None:
        """The scripted time passes by itself."""

    def send_request(self, request: HttpRequest, **_options: Any) -> PipelineResponse[Any, Any]:
        return PipelineResponse(request, _CoreReply(request, self._script.answer(request.url)), None)  # type: ignore[arg-type]


def by_azure_core(start: Start, answers: Mapping[str, Sequence[Answer]]) -> Run:
    """What azure-core does. Its lists of headers for ARM and for other services are joined, as ours are."""
    script = Script(answers)
    options = {} if start.via is None else {"final-state-via": start.via}
    poller: Any = LROBasePolling(
        0,
        lro_algorithms=[
            OperationResourcePolling("operation-location", lro_options=options),
            OperationResourcePolling("azure-asyncoperation", lro_options=options),
            LocationPolling(),
            StatusCheckPolling(),
        ],
        request_id="scripted",
    )
    request = HttpRequest(start.method, RESOURCE)
    initial = PipelineResponse(request, _CoreReply(request, start.answer), None)  # type: ignore[arg-type]

    def read(response: Any) -> Any:
        return json.loads(response.http_response.text())

    try:
        poller.initialize(_CoreClient(script), initial, read)
        poller.run()
        return Run(script.urls, "succeeded", poller.resource())
    except (AzureError, ValueError):
        ended = poller._status.lower() if hasattr(poller, "_status") else ""
        return Run(script.urls, "failed" if ended in {"failed", "canceled"} else "error")


def by_us(start: Start, answers: Mapping[str, Sequence[Answer]]) -> Run:
    """What our endpoint does, without the watcher: the first poll that is malformed or refused is an error."""
    script = Script(answers)
    request = Request(URL(RESOURCE, encoded=True), method=start.method)
    via = FinalStateVia.DEFAULT if start.via is None else start.via
    try:
        job = AzureOperation.from_reply(request, _reply(start.answer), final_state_via=via)
    except MalformedReply:
        return Run(script.urls, "error")
    if job.monitor is Monitor.NOTHING:
        order = AzureOrder(start.method, URL(RESOURCE, encoded=True).raw_path_qs)
        made = ENDPOINT.read_submitted(order, _reply(start.answer))
        assert isinstance(made, Submitted)
        assert made.reading is not None
        page = ENDPOINT.result_request(made.job, made.reading.status)
        assert isinstance(page, ResultPage)
        return Run(script.urls, "succeeded", page.value)
    try:
        return _watched(job, script)
    except MalformedReply:
        return Run(script.urls, "error")


def _watched(job: AzureOperation, script: Script) -> Run:
    cursor = None
    while True:
        reply = _asked(script, ENDPOINT.request(job, cursor))
        if not (200 <= reply.status < 300 or reply.status in ENDPOINT.answer_statuses):
            return Run(script.urls, "error")
        reading = ENDPOINT.read_for(job, reply, cursor)
        if reading.final:
            break
        cursor = reading.cursor
    if reading.phase is not Phase.SUCCEEDED:
        return Run(script.urls, "failed")
    made = ENDPOINT.result_request(job, reading.status)
    if isinstance(made, ResultPage):
        return Run(script.urls, "succeeded", made.value)
    reply = _asked(script, made)
    if not 200 <= reply.status < 300:
        return Run(script.urls, "error")
    return Run(script.urls, "succeeded", ENDPOINT.read_result(reply))


def _reply(answer: Answer, request: Request | None = None) -> Reply:
    return Reply(answer.status, CIMultiDict(answer.headers), answer.content, request)


def _asked(script: Script, request: Request) -> Reply:
    return _reply(script.answer(str(request.url)), request)
