"""The files of an export, each as a job: its status is its entry in the manifest, and its result is the file.

Rule 1: with `requiresAccessToken`, a file is fetched with the credentials of the export, if its origin gets them. Without it,
the file is fetched without credentials, also from the server of the export ("Bulk Data Output File Request").
Rule 2: the page of the manifest is asked for each file. So a link that has expired is replaced by a fresh one.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import orjson
from yarl import URL

from pollwise.endpoints._left_out import total
from pollwise.endpoints._reader import json_object_in
from pollwise.endpoints._server_values import absolute_url
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.endpoints.fhir_bulk_data._server import ACCEPT_JSON, BulkEndpoint
from pollwise.endpoints.fhir_bulk_data.export import export_code
from pollwise.endpoints.fhir_bulk_data.manifest import (
    MANIFEST,
    BulkFile,
    BulkFileJob,
    manifest_in,
)
from pollwise.endpoints.fhir_bulk_data.outcomes import problem_in
from pollwise.errors import ConfigurationError
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading

__all__ = ["BulkFileEndpoint", "BulkFileStatus"]

_ACCEPT_NDJSON: Final = {"Accept": "application/fhir+ndjson"}


@attrs.frozen(kw_only=True)
class BulkFileStatus:
    """What the manifest says about a file.

    Attributes:
        file: Its entry, with an absolute URL. None if the export has failed, or while the manifest does not list the file.
        requires_access_token: Whether it is fetched with the credentials of the export.
    """

    file: BulkFile | None
    requires_access_token: bool = True


_NOTHING: Final = BulkFileStatus(file=None)


class BulkFileEndpoint(BulkEndpoint[BulkFileJob, BulkFileStatus]):
    """Fetches the files of exports: `await watcher.watch(file.job).save_result(path, max_bytes=...)`.

    `await watch.result()` returns the resources of a small file as dicts. The whole file must then be within the limits of
    the transport (`max_body`) and of the watcher (`Limits(result_bytes=...)`).

    The arguments and errors are those of `BulkEndpoint`. `origins` is for file servers whose files require the credentials.
    """

    name = "fhir-bulk-file"
    heeded_headers = ("X-Export-Status",)
    deciding_keys = MANIFEST.keys
    codec = AttrsCodec(BulkFileJob, BulkFileStatus)

    def request(self, job: BulkFileJob, /) -> Request:
        """The GET request for the page of the manifest that lists the file, without credentials.

        Raises:
            ConfigurationError: The page is at an origin that does not get the credentials.
        """
        return Request(self._with_credentials(job.manifest_url, "the manifest"), ACCEPT_JSON)

    def read(self, reply: Reply, /) -> Reading[BulkFileStatus]:
        """As `read_for`, for the first file of `output`."""
        return self._read(BulkFileJob(manifest_url="https://none.invalid"), reply)

    def read_for(
        self,
        job: BulkFileJob,
        reply: Reply,
        /,
        cursor: Cursor = None,  # noqa: ARG002  # `server_named_urls` needs it
    ) -> Reading[BulkFileStatus]:
        """The reading: the file is ready once the manifest lists it, also while the export goes on.

        Raises:
            MalformedReply: The reply is no manifest.
            ConfigurationError: The manifest has more files than the watcher keeps of a list.
        """
        return self._read(job, reply)

    def _read(self, job: BulkFileJob, reply: Reply) -> Reading[BulkFileStatus]:
        code = export_code(reply)
        if code >= 400:
            problem = problem_in(reply)
            return Reading.failed(_NOTHING, reason=None if problem is None else str(problem))
        body = json_object_in(reply) if code == 202 else None
        if code == 202 and (body is None or "requiresAccessToken" not in body):
            return Reading.running(_NOTHING)
        manifest = manifest_in(reply, self._manifests)
        files: tuple[BulkFile, ...] = getattr(manifest, job.part)
        if job.index < len(files):
            url = absolute_url(files[job.index].url, reply)
            if url is None:
                raise reply.malformed(f"field {job.part}[{job.index}].url is no URL")
            file = attrs.evolve(files[job.index], url=url)
            return Reading.succeeded(BulkFileStatus(file=file, requires_access_token=manifest.requires_access_token))
        if job.index < total(files):
            raise ConfigurationError(
                f"the manifest lists {total(files)} files, and {len(files)} were kept; allow more, such as"
                " limits=Limits(reply=ReplyLimits(items=10_000, values=100_000, size=4_000_000))"
            )
        if code == 202:
            return Reading.running(_NOTHING)
        return Reading.failed(_NOTHING, reason="the manifest does not list the file")

    # --- the file -----------------------------------------------------------------------------

    def result_request(self, job: BulkFileJob, status: BulkFileStatus, /) -> Request:
        """The GET request for the file.

        Raises:
            ConfigurationError: The file requires credentials, and its origin does not get them.
        """
        assert status.file is not None  # noqa: S101  # a file that is not there has no success
        if status.requires_access_token:
            url = self._with_credentials(status.file.url, "the file, which requires the credentials,")
            return Request(url, _ACCEPT_NDJSON)
        first_host = URL(job.manifest_url, encoded=True).raw_host  # so that it goes bare, also to the same server
        return Request(URL(status.file.url, encoded=True), _ACCEPT_NDJSON, first_host=first_host)

    def read_result(self, reply: Reply, /) -> list[dict[str, Any]]:
        """The resources in the file, one a line (github.com/ndjson/ndjson-spec). Raises MalformedReply."""
        resources: list[dict[str, Any]] = []
        for number, line in enumerate(reply.body.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                resource = orjson.loads(line)
            except orjson.JSONDecodeError:
                resource = None
            if not isinstance(resource, dict):
                raise reply.malformed(f"line {number} of the file is no JSON object")
            resources.append(resource)
        return resources
