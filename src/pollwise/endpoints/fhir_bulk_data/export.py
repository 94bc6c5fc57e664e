"""The export: the request that starts it, its status, and its manifest.

Rule 1: 202 is in progress, 200 with a manifest is complete ("Bulk Data Status Request"). With `X-Export-Status`, that field
says so in place of the status code.
Rule 2: a 4xx or 5xx is the failure of the export only if it has an OperationOutcome. It is a refusal of the request, and no
failure, if the export has a status of its own (`separate-export-status`), if the reply says when to come back, if it asks for
other credentials, if all issues are transient, or if one is about security. Such a poll is repeated, or ends the watch with its error.
Rule 3: a 404 with an OperationOutcome that rule 2 leaves is cancelled if the export was seen before ("Bulk Data Delete
Request"). If it was not, it may not be visible yet.
Rule 4: `X-Progress` has no form. A percentage in it is the fraction.
Rule 5: the manifest is fetched once more for the result, because the status may have been cut, and because its links may
have expired.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.core.header_values import field_value
from pollwise.endpoints._reader import json_object_in
from pollwise.endpoints._server_values import checked_url, field_of, located_at, without_query
from pollwise.endpoints._strict import shown
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.endpoints.fhir_bulk_data._server import ACCEPT_JSON, BulkEndpoint
from pollwise.endpoints.fhir_bulk_data.kick_off import FHIR_JSON, SEPARATE, BulkExportOrder
from pollwise.endpoints.fhir_bulk_data.manifest import (
    MANIFEST,
    BulkManifest,
    manifest_in,
    next_page,
)
from pollwise.endpoints.fhir_bulk_data.outcomes import OutcomeIssue, issues_in, problem_in, reason_of
from pollwise.errors import ConfigurationError, RateLimited, ServerUnavailable
from pollwise.model.abilities import NEVER_ANSWERS
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading
from pollwise.model.results import ResultPage

__all__ = ["BulkExport", "BulkExportEndpoint", "BulkExportStatus", "export_code"]

_SEEN: Final = "seen"
_PERCENT: Final = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,9})?)\s*%", re.ASCII).search
_CODE: Final = re.compile(r"\s*(\d{3})\b", re.ASCII).match
# FHIR R4, code system issue-type: `transient` and `security` with what stands below them. `exception` stands below `transient`,
# too, but servers use it for exports that have failed.
_TRANSIENT: Final = frozenset({"transient", "lock-error", "no-store", "timeout", "incomplete", "throttled"})
_SECURITY: Final = frozenset({"security", "login", "unknown", "expired", "forbidden", "suppressed"})


@attrs.frozen
class BulkExport:
    """An export that was started.

    Args:
        status_url: The `Content-Location` of the reply to the kick-off request.
        separate_status: Whether that reply has `Preference-Applied: separate-export-status`.

    Raises:
        ConfigurationError: `status_url` is no absolute http or https URL. It is a ValueError.
    """

    status_url: str = attrs.field(validator=checked_url, repr=without_query)
    separate_status: bool = False


@attrs.frozen(kw_only=True)
class BulkExportStatus:
    """The status of an export.

    Attributes:
        code: The status code of the export, which is that of the reply or of `X-Export-Status`.
        progress: `X-Progress`: the server's words, or None.
        manifest: The manifest, or its first page. In progress it is None, or has the files that are ready already.
        expires: `Expires`: how long the files are there, or None.
        issues: What an OperationOutcome in the reply says.
    """

    code: int
    progress: str | None = None
    manifest: BulkManifest | None = None
    expires: str | None = None
    issues: tuple[OutcomeIssue, ...] = ()


class _Codec(AttrsCodec[BulkExport, BulkExportStatus]):
    """Keeps a manifest in the server's own form."""

    def status_to_json(self, status: BulkExportStatus, /) -> Any:
        manifest = None if status.manifest is None else MANIFEST.unstructure(status.manifest)
        return {**super().status_to_json(attrs.evolve(status, manifest=None)), "manifest": manifest}

    def status_from_json(self, data: Any, /) -> BulkExportStatus:
        if not isinstance(data, dict):
            raise ConfigurationError("this is no BulkExportStatus: expected an object")
        status = super().status_from_json({**data, "manifest": None})
        kept = data.get("manifest")
        return status if kept is None else attrs.evolve(status, manifest=MANIFEST.structure(kept))


class BulkExportEndpoint(BulkEndpoint[BulkExport, BulkExportStatus]):
    """Exports of a FHIR server, asked at the URL that the server named for each.

    `await watch.result()` returns the whole `BulkManifest`. `await watch.cancel()` deletes the export. A `BulkExportOrder`
    starts one.

    The arguments and errors are those of `BulkEndpoint`. `origins` is for status URLs at another origin.
    """

    name = "fhir-bulk-export"
    answer_statuses = frozenset(range(400, 600)) - NEVER_ANSWERS
    heeded_headers = ("X-Export-Status", "X-Progress", "Expires", "Retry-After", "WWW-Authenticate")
    deciding_keys = MANIFEST.keys | {"resourceType", "issue", "code"}
    codec = _Codec(BulkExport, BulkExportStatus)

    def request(self, job: BulkExport, /) -> Request:
        """The GET request for the status, without credentials.

        Raises:
            ConfigurationError: The status URL is at an origin that does not get the credentials.
        """
        return Request(self._url(job), ACCEPT_JSON)

    def _url(self, job: BulkExport) -> URL:
        return self._with_credentials(job.status_url, "the status URL")

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[BulkExportStatus]:
        """The reading, by the rules of this module.

        Raises:
            MalformedReply: It is no manifest, or a refusal that says nothing about the export.
            ServerUnavailable: All issues are transient.
            RateLimited: And one is `throttled`.
        """
        return self._read(reply, cursor, is_separate=False)

    def read_for(self, job: BulkExport, reply: Reply, /, cursor: Cursor = None) -> Reading[BulkExportStatus]:
        """Like `read`. If the export has a status of its own, other status codes than 2xx say nothing about it."""
        return self._read(reply, cursor, is_separate=job.separate_status)

    def _read(self, reply: Reply, cursor: Cursor, *, is_separate: bool) -> Reading[BulkExportStatus]:
        code = export_code(reply)
        if code == 200:
            return Reading.succeeded(self._status(reply, code, manifest_in(reply, self._manifests)))
        if code == 202:
            body = json_object_in(reply)
            partial = body is not None and "requiresAccessToken" in body
            status = self._status(reply, code, manifest_in(reply, self._manifests) if partial else None)
            return Reading.running(status, fraction=_fraction(status.progress), cursor=_SEEN)
        if code < 400:
            raise reply.malformed(f"the status code of an export is 200, 202, 4xx or 5xx, not {code}")
        is_refusal = not 200 <= reply.status < 300
        issues = issues_in(reply)
        if is_refusal and (is_separate or not issues or _asks_for_more(reply)):
            raise reply.malformed("it says nothing about the export")
        _check_lasting(reply, code, {issue.code for issue in issues}, is_refusal=is_refusal)
        status, reason = self._status(reply, code, None), reason_of(issues)
        if is_refusal and code in {404, 410}:
            if cursor != _SEEN:
                raise reply.malformed("the export was not seen before")
            return Reading.cancelled(status, reason=reason)
        return Reading.failed(status, reason=reason or f"status code {code}")

    def _status(self, reply: Reply, code: int, manifest: BulkManifest | None) -> BulkExportStatus:
        return BulkExportStatus(
            code=code,
            progress=field_of(reply.headers, "X-Progress"),
            manifest=manifest,
            expires=field_of(reply.headers, "Expires"),
            issues=issues_in(reply),
        )

    # --- the rest of an export's life ---------------------------------------------------------

    def result_request(self, job: BulkExport, _status: BulkExportStatus, /, cursor: Cursor = None) -> Request:
        """The GET request for the manifest, or for the page of it that the page before names."""
        return Request(URL(cursor, encoded=True) if isinstance(cursor, str) else self._url(job), ACCEPT_JSON)

    def read_result(self, reply: Reply, /) -> ResultPage[BulkManifest]:
        """A page of the manifest. Raises MalformedReply."""
        if export_code(reply) != 200:
            raise reply.malformed("this page of the manifest is not complete")
        manifest = manifest_in(reply, self._manifests)
        return ResultPage(manifest, next=next_page(manifest, reply))

    def cancel_request(self, job: BulkExport, _status: BulkExportStatus | None, /) -> Request:
        """The DELETE request at the status URL. The server answers it with 202."""
        return Request(self._url(job), {"Accept": FHIR_JSON}, "DELETE")

    def submit_request(self, order: BulkExportOrder, _key: str, /) -> Request:
        """The kick-off request. It is not idempotent, whatever its method, and FHIR has no idempotency key.

        Raises:
            ConfigurationError: A parameter has a value that cannot be sent.
        """
        return order.request(self._root)

    def read_submitted(self, _order: BulkExportOrder, reply: Reply, /) -> BulkExport:
        """The export that the reply names: 202 with `Content-Location`.

        Raises:
            MalformedReply: It is no 202, or names none.
        """
        url = located_at(reply, "Content-Location")
        if reply.status != 202 or url is None:
            raise reply.malformed(f"expected 202 with Content-Location, got {reply.status}")
        applied = field_value(reply.headers, "Preference-Applied") if "Preference-Applied" in reply.headers else ""
        try:
            return BulkExport(url, separate_status=SEPARATE in applied)
        except ConfigurationError as exc:
            why = f"Content-Location: {exc}"
        raise reply.malformed(why)


def export_code(reply: Reply) -> int:
    """The status code of the export. Raises MalformedReply if `X-Export-Status` has none."""
    own = field_of(reply.headers, "X-Export-Status")
    if own is None or reply.status != 200:
        return reply.status
    found = _CODE(own)
    if found is None:
        raise reply.malformed(f"X-Export-Status is no status code: {shown(own)}")
    return int(found[1])


def _check_lasting(reply: Reply, code: int, codes: set[str | None], *, is_refusal: bool) -> None:
    """Raise what issues mean that say nothing about the export: rule 2."""
    if codes and codes <= _TRANSIENT:
        if "throttled" in codes:
            raise RateLimited(None, problem_in(reply), code)
        raise ServerUnavailable(code, None, problem_in(reply))
    if is_refusal and codes & _SECURITY:
        raise reply.malformed("it is about the credentials")


def _asks_for_more(reply: Reply) -> bool:
    """Whether the refusal says when to come back, or which credentials to bring."""
    return any(field_of(reply.headers, name) is not None for name in ("Retry-After", "WWW-Authenticate"))


def _fraction(progress: str | None) -> float | None:
    found = None if progress is None else _PERCENT(progress)
    percent = None if found is None else float(found[1])
    return None if percent is None or percent > 100 else percent / 100
