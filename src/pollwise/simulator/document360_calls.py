"""Document360's exports, imports and tasks of the drive, as its vendor documents them.

Sources: the vendor's API reference and its OpenAPI documents, v2 and v3. The completed import of v2 is the vendor's example, with
`success` false. The links to files are at the simulator itself, signed by the time until which they are valid.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any

from pollwise.simulator.document360 import Document360, envelope, error_item
from pollwise.simulator.job_plan import LINK, ApiCall, JobPlan, Words, path_with
from pollwise.simulator.jobs import Stage
from pollwise.simulator.replies import SimulatedReply
from pollwise.simulator.vendor import StartedJob

__all__ = ["DOCUMENT360_CALLS"]

_TITLES = {
    400: ("bad-request", "Bad Request.", "VALIDATION_ERROR"),
    401: ("unauthorized", "Unauthorized.", "UNAUTHORIZED"),
    403: ("forbidden", "Forbidden.", "FORBIDDEN"),
    404: ("not-found", "Not Found.", "RESOURCE_NOT_FOUND"),
    429: ("rate-limit-exceeded", "Too Many Requests.", "RATE_LIMIT_EXCEEDED"),
}
_LOG_MISSING = "Element 'ImportLog' not found."
_ENDED_AT = "2025-06-15T12:00:00Z"


def _guid(digest: str) -> str:
    return str(uuid.UUID(digest))


class _Call(ApiCall, Document360):
    """What both versions have in common."""

    def __init__(self, kind: str, words: Words) -> None:
        self.call = f"document360-{kind}"
        self.start_method = "POST"
        self.words = words

    def completed(self, document: dict[str, Any], *, origin: str, now: float, nth: int) -> dict[str, Any]:
        """The document with its link and its request ID."""
        del nth
        holder = document.get("data") or document
        link = holder.get("download_url") if isinstance(holder, dict) else None
        if isinstance(link, str) and link.startswith(LINK):
            valid_s = float(link[len(LINK) :].partition("/")[0])
            until = f"?expires={now + valid_s}" if valid_s < math.inf else ""
            holder["download_url"] = f"{origin}/{link.partition('/')[2]}{until}"
        return document

    def link(self, plan: JobPlan, keys: tuple[str, ...], stage: Stage) -> str | None:
        """The place of the link, with its validity and its path; None before the end."""
        if self.result_path is None or not (stage.final and plan.outcome == "succeeded"):
            return None
        return f"{LINK}{plan.link_valid_s}{path_with(self.result_path, keys[1:])}"


class _V2(_Call):
    """A call of v2: the state beside the envelope, and 400 for an unknown ID."""

    nullable_field = ("status",)
    required_field = ("status",)

    def __init__(self, kind: str, words: Words) -> None:
        super().__init__(kind, words)
        self.start_path = ("v2", "Project", kind.capitalize())
        self.status_path = (*self.start_path, None)
        if kind == "export":
            self.result_path, self.signed_results = ("exports", "v2", None, "export.zip"), True

    def document(self, plan: JobPlan, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The status."""
        word = plan.word(stage, self.words)
        around = envelope(errors=[error_item(plan.error_code, plan.error)] if plan.failed(stage) else ())
        if self.result_path is not None:
            return {"status": word, "download_url": self.link(plan, keys, stage), **around}
        if stage.final and plan.outcome == "succeeded":
            around = envelope(success=False, errors=[error_item("", _LOG_MISSING)])
        return {"import_documentation_log": None, "status": word, **around}

    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """An export or an import."""
        del keys, nth, origin
        if not body.startswith(b"{"):
            return None
        job_id = _guid(digest)
        reply = {"id": job_id, "status": self.words.queued, **envelope()}
        return StartedJob((self.call, job_id), SimulatedReply.of_json(reply))

    def unknown_job(self) -> SimulatedReply:
        """The documented 400, with `success` true."""
        error = error_item("400", f"Invalid {self.call.rpartition('-')[2]} id")
        return SimulatedReply.of_json(envelope(errors=[error]), status=400)


class _V3(_Call):
    """A call of v3: the state in `data`, problem details, and a rate limit for each token and project."""

    nullable_field = ("data",)
    required_field = ("data", "status")

    def __init__(self, kind: str, words: Words, path: tuple[str, ...]) -> None:
        super().__init__(f"v3-{kind}", words)
        self.start_path = None if kind == "drive-task" else ("v3", "projects", None, *path)
        self.status_path = ("v3", "projects", None, *path, None)
        self._id = "task_id" if kind == "drive-task" else "id"
        self.id_field = ("data", self._id)
        if kind == "export":
            self.result_path, self.signed_results = ("exports", "v3", None, None, "export.zip"), True

    def document(self, plan: JobPlan, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The status."""
        data: dict[str, Any] = {self._id: keys[-1], "status": plan.word(stage, self.words)}
        if self.result_path is not None:
            data["download_url"] = self.link(plan, keys, stage)
        if self._id == "id":
            data["completed_at"] = _ENDED_AT if stage.over else None
        error = {"code": plan.error_code, "message": plan.error, "field": None, "details": None}
        return {
            "data": data,
            "success": True,
            "request_id": None,
            "errors": [error] if plan.failed(stage) else [],
            "warnings": [],
        }

    def completed(self, document: dict[str, Any], *, origin: str, now: float, nth: int) -> dict[str, Any]:
        """Each reply has an ID of its own."""
        document = super().completed(document, origin=origin, now=now, nth=nth)
        if "request_id" in document:
            document["request_id"] = str(uuid.UUID(int=nth))
        return document

    def start(self, body: bytes, keys: tuple[str, ...], nth: int, digest: str, origin: str) -> StartedJob | None:
        """An export or an import: 202, with the URL of its status in `Operation-Location`."""
        del nth
        if not body.startswith(b"{"):
            return None
        job_keys = (*keys, _guid(digest))
        data = {"id": job_keys[-1], "status": self.words.queued, "completed_at": None}
        document = {"data": data, "success": True, "request_id": None, "errors": [], "warnings": []}
        location = {"Operation-Location": origin + self.path_of(job_keys)}
        return StartedJob(job_keys, SimulatedReply.of_json(document, status=202, headers=location))

    def token_in(self, headers: Mapping[str, str]) -> str:
        """The bearer token."""
        return headers.get("Authorization", "").removeprefix("Bearer ")

    def limit_key(self, token: str, keys: tuple[str, ...]) -> str:
        """The vendor counts the requests of a token and project."""
        return f"{token} in {keys[1]}"

    def refusal(self, status: int, *, like: int | None = None) -> SimulatedReply:
        """Problem details (RFC 9457)."""
        kind, title, code = _TITLES.get(like or status, ("server-error", "Server error.", "INTERNAL_ERROR"))
        problem = {
            "type": f"https://developer.document360.com/errors/{kind}",
            "title": title,
            "status": status,
            "detail": title,
            "instance": None,
            "trace_id": "req_simulated",
            "errors": [{"code": code, "message": title, "field": None, "details": None}],
            "warnings": None,
        }
        return SimulatedReply.of_json(problem, status=status, headers={"Content-Type": "application/problem+json"})

    def unknown_job(self) -> SimulatedReply:
        """404."""
        return self.refusal(404)


DOCUMENT360_CALLS: tuple[ApiCall, ...] = (
    _V2("export", Words("Initiated", "InProgress", "Completed", "Error", "Cancelled")),
    _V2("import", Words("Queued", "InProgress", "Completed", "Error", "Cancelled")),
    _V3("drive-task", Words("Pending", "Processing", "Completed", "Failed", "Cancelled"), ("drive", "tasks")),
    _V3("export", Words("Pending", "InProgress", "Completed", "Failed", "Cancelled"), ("exports",)),
    _V3("import", Words("Pending", "InProgress", "Completed", "Failed", "Cancelled"), ("imports",)),
)
