"""OGC API - Processes, Part 1: Core 1.0 (OGC 18-062r2): execute a process, await its job, fetch its results, dismiss it.

Rule 1: `status` alone decides (7.12, statusInfo.yaml): accepted, running, successful, failed or dismissed. Any other word is
running, and is kept as sent. A success that also has an `exception` has failed.
Rule 2: a status with another job's `jobID` is malformed. Version 2.0 of the standard, which is a draft, calls that field `id`.
Rule 3: a job that was seen, and that the server then does not know any more, was dismissed (clause 14), because some servers
remove the jobs that they dismiss. Further polls confirm that, because one server of several may not know the job yet. A job
that was never seen is unknown.
Rule 4: the exception types of the standard are problem documents (RFC 7807). `no-such-job` says that the job is unknown.
Rule 5: whether a process runs asynchronously is up to the server (RFC 7240, 4.1). A reply with the outputs themselves has a
job only if it links to one with `rel=monitor` (/req/core/job-results-success-sync). A reply with a job has the status code
201 (/req/core/process-execute-success-async), or 200 (the table of execute responses in 7.11).

Source: github.com/opengeospatial/ogcapi-processes, branch 1.0.0-maintenance (requirements, schemas and examples of
`core/`). No server was asked. Callbacks, job lists and the multipart responses of raw results were not looked at.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs

from pollwise.core.header_values import field_value
from pollwise.endpoints._address import one_segment, segment
from pollwise.endpoints._at_once import check_asked, content_of, is_at_once, named_at_once, with_end
from pollwise.endpoints._lenient import lenient_id, lenient_number_or_null, lenient_text
from pollwise.endpoints._reader import Reader, clipped, json_object_in
from pollwise.endpoints._server_values import is_web_page
from pollwise.endpoints._starting import post_request
from pollwise.endpoints._strict import Hook, json_value, shown, text, text_or_null, unknown
from pollwise.endpoints._vendor import VendorEndpoint
from pollwise.errors import ConfigurationError, Problem
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth
from pollwise.model.reading import TERMINAL, Phase, Reading
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = [
    "ProcessJob",
    "ProcessLink",
    "ProcessOrder",
    "ProcessResults",
    "ProcessStatus",
    "ProcessesEndpoint",
]

_SEEN: Final = "seen"
_NO_SUCH_JOB: Final = "/no-such-job"
_ACCEPT_JSON: Final = {"Accept": "application/json"}
_ACCEPT_ANY: Final = {"Accept": "application/json, */*;q=0.8"}
# RFC 8288, 3: `<target>; name=value; name="value"`. A `<` in a quoted value ends the parameters too early.
_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_RELATION: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.ASCII | re.IGNORECASE)
_LONGEST_LINKS: Final = 65_536
_PHASES: Final[Mapping[str, Phase]] = {
    "accepted": Phase.QUEUED,
    "running": Phase.RUNNING,
    "successful": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    "dismissed": Phase.CANCELLED,
}


@attrs.frozen
class ProcessJob:
    """A job of a server of OGC API - Processes.

    Args:
        job_id: The `jobID` in the server's replies, and the last segment of the job's URL.

    Raises:
        ConfigurationError: The ID cannot be one segment of a path. It is a ValueError.
    """

    job_id: str = attrs.field(validator=one_segment)


@attrs.frozen(kw_only=True)
class ProcessOrder:
    """What to execute (7.11, execute.yaml).

    Args:
        process_id: The process.
        inputs: The inputs by name, as JSON: values, or references such as `{"href": "https://..."}`.
        outputs: The outputs to make, as in execute.yaml. None for all of them.
        response: `document` or `raw`, or None for the server's default. Version 2.0 has no such field.
        subscriber: URLs that the server calls, as in execute.yaml. None for none.

    Raises:
        ConfigurationError: `process_id` cannot be one segment of a path.
    """

    process_id: str = attrs.field(validator=one_segment)
    inputs: Mapping[str, Any] = attrs.Factory(dict)
    outputs: Mapping[str, Any] | None = None
    response: str | None = None
    subscriber: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ProcessLink:
    """A link (link.yaml). Untrusted: nothing of pollwise follows it."""

    href: str | None = None
    rel: str | None = None
    type: str | None = None
    hreflang: str | None = None
    title: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ProcessStatus:
    """The status of a job (statusInfo.yaml). A field that is absent is None.

    Attributes:
        status: accepted, running, successful, failed or dismissed, or another word as sent.
        job_id: The job's ID.
        id: The job's ID in version 2.0.
        type: `process`.
        process_id: The process that the job executes.
        message: The server's words. Untrusted text.
        exception: What went wrong, in version 2.0: a problem document.
        progress: Percent, 0 to 100, or another number as sent.
        created: When the job was accepted, as in RFC 3339. Likewise the other three.
        started: When the execution began.
        finished: When it ended.
        updated: When the status changed last.
        links: In the server's order.
        at_once: The results of a process that ran at once, in a form of pollwise. None for any other job.
    """

    status: str
    job_id: str | int | None = None
    id: str | int | None = None
    type: str | None = None
    process_id: str | None = None
    message: str | None = None
    exception: Any = None
    progress: float | None = None
    created: str | None = None
    started: str | None = None
    finished: str | None = None
    updated: str | None = None
    links: tuple[ProcessLink, ...] = ()
    at_once: Any = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ProcessResults:
    """The results of a job (7.13, results.yaml), by value or by reference.

    Attributes:
        outputs: The outputs by name, if the reply is a JSON object. An output by reference is `{"href": ..., "type": ...}`.
            For a raw result that is itself a JSON object, this is that object.
        body: The reply's body, as it was sent.
        media_type: Its media type, or None.
        links: The targets of the `Link` header fields, by their relation; as for raw results by reference. Untrusted.
    """

    outputs: Mapping[str, Any]
    body: bytes = attrs.field(repr=False)
    media_type: str | None = None
    links: Mapping[str, str] = attrs.Factory(dict)

    @property
    def references(self) -> Mapping[str, str]:
        """The URLs of the outputs that are given by reference, by name. Untrusted, and not fetched."""
        return {
            name: output["href"]
            for name, output in self.outputs.items()
            if isinstance(output, dict) and isinstance(output.get("href"), str)
        }


_STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    str: text,
    str | None: text_or_null,
    str | int | None: text_or_null,
    float | None: lenient_number_or_null,
    Any: json_value,
}
_LENIENT_HOOKS: Final[Mapping[Any, Hook]] = {str | None: lenient_text, str | int | None: lenient_id}
_WIRE_NAMES: Final[Mapping[str, str]] = {"job_id": "jobID", "process_id": "processID"}
_STATUS: Final = Reader(
    ProcessStatus,
    _STRICT_HOOKS,
    lenient_hooks=_LENIENT_HOOKS,
    main_text={ProcessLink: "href"},
    wire_name=lambda name: _WIRE_NAMES.get(name, name),
)


def _problem_in(reply: Reply) -> Problem | None:
    """The problem document in a body: `type`, `title` and `detail`."""
    body = json_object_in(reply)
    if body is None or {"type", "title", "detail"}.isdisjoint(body):
        return None
    kind = body.get("type")
    return Problem(
        codes=clipped([kind]),
        descriptions=clipped([body.get("title"), body.get("detail")]),
        job_unknown=isinstance(kind, str) and kind.endswith(_NO_SUCH_JOB),
    )


class ProcessesEndpoint(VendorEndpoint[ProcessJob, ProcessStatus]):
    """The jobs of a server of OGC API - Processes: `GET {base_url}/jobs/{job_id}`.

    `await watch.result()` fetches `{base_url}/jobs/{job_id}/results` as `ProcessResults`. `await watch.cancel()` dismisses the
    job. A `ProcessOrder` starts one.

    Args:
        base_url: The URL of the landing page, such as `https://example.com/ogcapi`. May have a path.
        auth: The credentials, or None.
        account: A name for these credentials, if one ledger has the jobs of several accounts.
        name: Its name in logs, ledgers and tokens. Two servers in one ledger need two names.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    answer_statuses = frozenset({404, 410})

    def __init__(
        self, base_url: str, *, auth: Auth | None = None, account: str = "", name: str = "ogc-processes"
    ) -> None:
        self.name = name
        super().__init__(
            base_url,
            auth=auth,
            account=account,
            job=ProcessJob,
            path=lambda job: f"/jobs/{segment(job.job_id)}",
            reader=_STATUS,
            problem=_problem_in,
        )
        self.fixed_origin = str(self._root.origin)

    def request(self, job: ProcessJob, /) -> Request:
        """The GET request for the job's status, without credentials.

        Raises:
            ConfigurationError: The process ran at once, so the server has no job.
        """
        check_asked(job.job_id)
        return Request(self._root.url(f"/jobs/{segment(job.job_id)}"), _ACCEPT_JSON)

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[ProcessStatus]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: The body is not JSON, or has no `status`.
        """
        if not 200 <= reply.status < 300:
            return self._gone(reply, cursor)
        status = self._replies.read(reply)
        percent = status.progress
        fraction = None if percent is None or not 0 <= percent <= 100 else percent / 100
        phase = _PHASES.get(status.status)
        if phase is Phase.SUCCEEDED and status.exception:
            phase = Phase.FAILED
        over = phase in TERMINAL
        return Reading(
            status=status,
            phase=phase or Phase.RUNNING,
            final=over,
            fraction=fraction,
            reason=_reason(status) if phase is Phase.FAILED or phase is Phase.CANCELLED else None,
            unknown=unknown("status", status.status) if phase is None else None,
            cursor=None if over else _SEEN,
        )

    def read_for(self, job: ProcessJob, reply: Reply, /, cursor: Cursor = None) -> Reading[ProcessStatus]:
        """Like `read`, and checks the job ID in the reply.

        Raises:
            MalformedReply: The reply is about another job, or as for `read`.
        """
        reading = self.read(reply, cursor)
        found = reading.status.job_id if reading.status.job_id is not None else reading.status.id
        if found is not None and str(found) != job.job_id:
            raise reply.malformed(f"field jobID: the reply is about another job, {shown(found)}")
        return reading

    @staticmethod
    def _gone(reply: Reply, cursor: Cursor) -> Reading[ProcessStatus]:
        """The reading of a 404 or a 410: rule 3."""
        problem = _problem_in(reply)
        if cursor != _SEEN or problem is None or not (problem.job_unknown or reply.status == 410):
            raise reply.malformed("it does not say that the job was dismissed")
        status = ProcessStatus(status="dismissed")
        return Reading.unconfirmed_end(Phase.CANCELLED, status, reason=str(problem), cursor=cursor)

    # --- the rest of a job's life -------------------------------------------------------------

    def result_request(self, job: ProcessJob, status: ProcessStatus, /) -> Request | ResultPage[ProcessResults]:
        """The GET request for the results (/req/core/job-results-op), or the results of a process that ran at once.

        Raises:
            ConfigurationError: The results were in the reply to the start, and a ledger has cut them.
        """
        if is_at_once(job.job_id):
            return ResultPage(_results_kept(content_of(job.job_id, status.at_once)))
        return Request(self._root.url(f"/jobs/{segment(job.job_id)}/results"), _ACCEPT_ANY)

    def read_result(self, reply: Reply, /) -> ProcessResults:
        """The results in the reply, in whatever form the server sent them."""
        return _results(reply)

    def cancel_request(self, job: ProcessJob, _status: ProcessStatus | None, /) -> Request:
        """The DELETE request that dismisses the job (/req/dismiss/job-dismiss-op).

        A job that is over is removed by it. `watch.cancel()` does not send it then.
        """
        return Request(self._root.url(f"/jobs/{segment(job.job_id)}"), _ACCEPT_JSON, "DELETE")

    def submit_request(self, order: ProcessOrder, _key: str, /) -> Request:
        """The POST request that executes the process asynchronously (7.11). The standard has no idempotency key.

        Raises:
            ConfigurationError: The order holds a value that JSON does not have.
        """
        body = {
            "inputs": order.inputs,
            "outputs": order.outputs,
            "response": order.response,
            "subscriber": order.subscriber,
        }
        url = self._root.url(f"/processes/{segment(order.process_id)}/execution")
        wanted = {name: value for name, value in body.items() if value is not None}
        return post_request(url, wanted, {"Prefer": "respond-async"}, f"the order of process {order.process_id}")

    def read_submitted(self, order: ProcessOrder, reply: Reply, /) -> ProcessJob | Submitted[ProcessJob]:
        """The job in the reply to an execution: its `jobID`, or else the last segment of the job's URL.

        If the server has executed the process at once, and has made no job, the job has a name of pollwise's, and its end
        is there, too.

        Raises:
            MalformedReply: The server has made a job that the reply does not name. Or its outputs are no JSON, and say so.
        """
        body = json_object_in(reply) or {}
        found = body.get("jobID", body.get("id")) if "status" in body else None
        if found is None:
            url = reply.headers.get("Location") or _links(reply).get("monitor")
            found = None if url is None else unquote(url.partition("?")[0].rstrip("/").rpartition("/")[2])
        try:
            job = ProcessJob(found)  # type: ignore[arg-type]  # the class checks it
        except ConfigurationError:
            pass
        else:
            return with_end(job, lambda: self.read_for(job, reply)) if "status" in body else job
        if reply.status == 201:
            raise reply.malformed("the job that was created has neither a jobID nor a Location")
        if not body and order.response != "raw" and is_web_page(reply):
            raise reply.malformed(
                "it is a web page, as of a proxy or a sign-in; if that is an output, ask for response='raw'"
            )
        results = _results(reply)
        name, kept = named_at_once(
            {
                "base64": base64.b64encode(results.body).decode(),
                "media_type": results.media_type,
                "links": dict(results.links),
            }
        )
        status = ProcessStatus(status="successful", process_id=order.process_id, at_once=kept)
        return Submitted(ProcessJob(name), reading=Reading.succeeded(status))


def _reason(status: ProcessStatus) -> str | None:
    """The server's words for an end that is no success: those of the exception, or else the message."""
    exception = status.exception
    words = (exception.get("title"), exception.get("detail")) if isinstance(exception, dict) else (exception,)
    return ": ".join(clipped(words)) or status.message


def _results(reply: Reply) -> ProcessResults:
    document = reply.json() if reply.is_json and reply.body else None
    return ProcessResults(
        outputs=document if isinstance(document, dict) else {},
        body=reply.body,
        media_type=reply.content_type,
        links=_links(reply),
    )


def _results_kept(kept: Mapping[str, Any]) -> ProcessResults:
    """The results of a process that ran at once, as its status has kept them."""
    headers = {} if kept["media_type"] is None else {"Content-Type": kept["media_type"]}
    results = _results(Reply(200, headers, base64.b64decode(kept["base64"])))
    return attrs.evolve(results, links=kept["links"])


def _links(reply: Reply) -> dict[str, str]:
    """The targets of the `Link` header fields by relation. The first one of a relation is taken."""
    found: dict[str, str] = {}
    if "Link" not in reply.headers:
        return found
    for link in _LINK.finditer(field_value(reply.headers, "Link")[:_LONGEST_LINKS]):
        relation = _RELATION.search(link[2])
        for name in (relation[1] or relation[2] or "").split() if relation else ():
            found.setdefault(name, link[1])
    return found
