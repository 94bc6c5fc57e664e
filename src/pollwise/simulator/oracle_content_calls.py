"""Oracle Content Management's further jobs, as its vendor documents them.

Sources: the REST APIs for Documents (`folders/{id}/_download`), Sites Management (`sites/_status`, `templates/_status`) and Content
Management 1.1 (`bulkItemsOperations`, `taxonomies/{id}/publish`). Refusals have the documented shapes, with invented codes.
"""

from __future__ import annotations

import json
from typing import Any

from pollwise.simulator.job_plan import ApiCall, JobPlan, Words, path_with
from pollwise.simulator.jobs import Stage
from pollwise.simulator.oracle_content import OracleContent, documents_error, in_strings
from pollwise.simulator.replies import SimulatedReply
from pollwise.simulator.vendor import StartedJob

__all__ = ["ORACLE_CONTENT_CALLS"]

_UPPER = Words("PENDING", "PROCESSING", "SUCCEEDED", "FAILED", "ABORTED")
_LOWER = Words("pending", "processing", "succeeded", "failed", "aborted")
_BEGAN, _ENDED = "2019-05-31T09:14:29.000Z", "2019-05-31T09:15:29.000Z"
_TITLES = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
_API = ("content", "management", "api", "v1.1")


class _Call(ApiCall, OracleContent):
    """What these calls have in common."""

    nullable_field = ("progress",)
    required_field = ("progress",)

    def __init__(self, kind: str, path: tuple[str | None, ...], words: Words = _LOWER) -> None:
        self.call = f"oracle-content-{kind}"
        self.status_path = (*path, None)
        self.words = words


class _Download(_Call):
    """Many files as one ZIP file: real scalars and one link, or strings and a list of links."""

    def __init__(self) -> None:
        path = ("documents", "api", "1.2", "folders", None, "_download")
        super().__init__("download", path, _UPPER)
        self.start_path = path
        self.result_path = (*path, None, "package")

    def document(self, plan: JobPlan, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The status."""
        status: dict[str, Any] = {"completed": stage.over, "completedPercentage": plan.percentage(stage)}
        done = stage.final and plan.outcome == "succeeded"
        if done:
            status["details"] = {"filename": "OCE-20210303.zip", "filesize": len(plan.result)}
        status["errorCode"] = -21 if plan.failed(stage) else 0
        if plan.failed(stage):
            status["message"] = plan.error
        if done:
            href = f"OCEHost{path_with(self.result_path or (), keys[1:])}"
            status["links"] = {"href": href, "rel": "enclosure", "method": "GET", "mediaType": "application/zip"}
        status |= {"progress": plan.word(stage, self.words), "type": "folder"}
        if not plan.strings:
            return status
        if done:
            status["details"] = in_strings(status["details"])
            status["links"] = [status["links"]]
        return in_strings(status)

    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """A download of the IDs in `idList`. Only `Location` names the job."""
        try:
            wanted = json.loads(body)["idList"]
        except (ValueError, KeyError, TypeError):
            return None
        job_keys = (*keys, f"{digest}{nth:013}")
        reply = {
            "Location": origin + self.path_of(job_keys),
            "errorCode": 0,
            "id": f"fFolderGUID:{keys[1]}",
            "idList": wanted,
            "parentID": f"{keys[1]},",
            "type": "folder",
        }
        return StartedJob(job_keys, SimulatedReply.of_json(reply))

    def unknown_job(self) -> SimulatedReply:
        """400 with a key as that of an extraction; the vendor's own was not seen."""
        return documents_error(400, "-97", "!csCloudBulkDownloadRequestJobNotValid", "Download job ID not valid.")


class _Newer(_Call):
    """The APIs for sites and content: lower-case words, real scalars, and problem details."""

    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """202 without a body. `Location` names the job."""
        if not body.startswith(b"{"):
            return None
        job_keys = (*keys, f"OPC{digest}{nth}")
        return StartedJob(job_keys, SimulatedReply(202, headers={"Location": origin + self.path_of(job_keys)}))

    def refusal(self, status: int, *, like: int | None = None) -> SimulatedReply:
        """Problem details with the vendor's own fields."""
        title = _TITLES.get(like or status, "The request failed")
        code = f"OCE-{like or status}"
        more = {"WWW-Authenticate": 'Bearer realm="simulator"'} if status == 401 else {}
        problem = {"type": "about:blank", "title": title, "status": status, "detail": f"{title}.", "o:errorCode": code}
        return SimulatedReply.of_json(problem, status=status).with_headers(more)

    def unknown_job(self) -> SimulatedReply:
        """404."""
        return self.refusal(404)

    def error(self, plan: JobPlan) -> dict[str, Any]:
        """The error of a failed job."""
        return {"type": "about:blank", "title": plan.error, "status": 400, "o:errorCode": plan.error_code}


class _Site(_Newer):
    """A job of a site or a template. A failed one is not `completed`."""

    def document(self, plan: JobPlan, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The status. It does not name its job."""
        del keys
        status: dict[str, Any] = {
            "context": "F49F1047E72E2FBBA7AD1754F7253CA453FCE1E1171C1541416472868",
            "action": "copy",
            "startTime": _BEGAN,
            "progress": plan.word(stage, self.words),
            "completed": stage.over and plan.outcome != "failed",
            "completedPercentage": plan.percentage(stage),
        }
        if plan.failed(stage):
            status["error"] = self.error(plan)
        return status if stage.final else {**status, "intervalToPoll": plan.interval_ms}


class _Management(_Newer):
    """A bulk operation or a publication."""

    id_field = ("id",)

    def __init__(self, kind: str, path: tuple[str | None, ...]) -> None:
        super().__init__(kind, path)
        self.start_path = path

    def document(self, plan: JobPlan, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The status."""
        failed = plan.failed(stage)
        status: dict[str, Any] = {
            "id": keys[-1],
            "startTime": {"value": _BEGAN, "timezone": "UTC"},
            "progress": plan.word(stage, self.words),
            "completed": stage.over,
            "completedPercentage": plan.percentage(stage),
        }
        if not stage.final:
            return status
        code = 400 if failed else 200
        end = {"endTime": {"value": _ENDED, "timezone": "UTC"}, "requestStatus": code}
        made = (
            {"error": self.error(plan)} if failed else {"result": {"status": {"code": code}, "headers": [], "body": {}}}
        )
        return {**status, **end, "message": plan.error if failed else "Job Completed Successfully", **made}


ORACLE_CONTENT_CALLS: tuple[ApiCall, ...] = (
    _Download(),
    _Site("site", ("sites", "management", "api", "v1", "sites", "_status")),
    _Site("template", ("sites", "management", "api", "v1", "templates", "_status")),
    _Management("bulk-operation", (*_API, "bulkItemsOperations")),
    _Management("taxonomy-publish", (*_API, "taxonomies", None, "publish")),
)
