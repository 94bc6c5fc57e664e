"""Oracle Content Management: bulk operations on items, and the publishing of taxonomies.

Rule 1: `progress` ends a watch, as for every job of the vendor; `_progress.py` has the rules.
Rule 2: a success with an `error`, or with a `requestStatus` of 400 or more, has failed. `requestStatus` is the status code of the
request that started the job, and is there once the job is over.
Rule 3: `id` is the job's own. A reply about another one is malformed.
Rule 4: 304 is documented for the status of a publication. After a good reply it means that nothing has changed. 404 means that
there is no such job. It is tolerated for a while, because the job may not be visible yet.
Rule 5: a start is asynchronous only with `Prefer: respond-async`. Its reply has no body that names the job: `Location` does.

Sources: "Read Items Bulk Operations Status", "Read publish job status" and "Publish a taxonomy" (version 1.1) below
https://docs.oracle.com/en/cloud/paas/content-cloud/rest-api-manage-content/. Of the start of a bulk operation the page for one
special operation (archive) was seen, and what the vendor's own command-line tool sends. That tool also sends `X-CSRF-TOKEN`, which
no page asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import attrs

from pollwise.endpoints._address import id_tuple, one_segment, segment, some_ids
from pollwise.endpoints._starting import id_after, post_request, started_id
from pollwise.endpoints._strict import shown
from pollwise.endpoints._vendor import Parts
from pollwise.endpoints.oracle_content._progress import (
    JobProgress,
    OracleContentEndpoint,
    OracleTime,
    problem_in,
    status_reader,
)
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Reply, Request

__all__ = [
    "BulkOperationEndpoint",
    "BulkOperationJob",
    "BulkOperationOrder",
    "JobProgress",
    "ManagementJobStatus",
    "OracleTime",
    "TaxonomyPublishEndpoint",
    "TaxonomyPublishJob",
    "TaxonomyPublishOrder",
]

_API: Final = "/content/management/api/v1.1/"
_BULK: Final = "bulkItemsOperations"
_START_HEADERS: Final[Mapping[str, str]] = {
    "Prefer": "respond-async",
    "X-Requested-With": "XMLHttpRequest",  # the vendor's protection against forged requests wants it
}


@attrs.frozen
class BulkOperationJob:
    """A bulk operation on items.

    Args:
        status_id: The last segment of the `Location` that the start replied.

    Raises:
        ConfigurationError: The ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`.
    """

    status_id: str = attrs.field(validator=one_segment)


@attrs.frozen
class TaxonomyPublishJob:
    """The publication of a taxonomy.

    Args:
        taxonomy_id: The taxonomy.
        job_token_id: The last segment of the `Location` that the start replied.

    Raises:
        ConfigurationError: As `BulkOperationJob`.
    """

    taxonomy_id: str = attrs.field(validator=one_segment)
    job_token_id: str = attrs.field(validator=one_segment)


def _item_ids(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    some_ids(instance, field, value)
    for one in cast("tuple[str, ...]", value):
        if '"' in one or "\\" in one:
            raise ConfigurationError(f"{field.name} must not hold quotes or backslashes: {shown(one)}")


@attrs.frozen(kw_only=True)
class BulkOperationOrder:
    """One operation on many items.

    Args:
        operation: The vendor's name of it, such as `publish`, `unpublish`, `addTags` or `deleteItems`.
        item_ids: The items.
        options: What the vendor documents for this operation, such as `{"channels": [{"id": "..."}]}`.

    Raises:
        ConfigurationError: There is no ID, or one has quotes, backslashes or control characters.
    """

    operation: str = attrs.field(validator=one_segment)
    item_ids: tuple[str, ...] = attrs.field(validator=_item_ids)
    options: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class TaxonomyPublishOrder:
    """The publication of a promoted taxonomy.

    Args:
        taxonomy_id: The taxonomy.
        channel_ids: The channels. Needed for the first publication; later none means those of the last one.

    Raises:
        ConfigurationError: As `BulkOperationJob`.
    """

    taxonomy_id: str = attrs.field(validator=one_segment)
    channel_ids: tuple[str, ...] = attrs.field(default=(), validator=id_tuple)


@attrs.frozen(kw_only=True, weakref_slot=False)
class ManagementJobStatus:
    """The vendor's status of a bulk operation or a publication. An unreadable field is None. `links` are not kept.

    Attributes:
        progress: A `JobProgress`, or an undocumented value as sent.
        completed: Whether the job is over. Informs only: `progress` decides.
        completed_percentage: 0..100.
        id: The job's ID.
        message: Text for people. Untrusted.
        start_time: When it began.
        end_time: When it ended.
        request_status: The status code of the request that started the job, once it is over.
        error: The vendor's error, as sent: `title`, `detail`, `o:errorCode` and more. Untrusted text.
        result: What the job made, as sent: `status`, `headers` and `body`. For a bulk operation with the items that failed.
    """

    progress: JobProgress | str
    completed: bool | None = None
    completed_percentage: int | None = None
    id: str | int | None = None
    message: str | None = None
    start_time: OracleTime | None = None
    end_time: OracleTime | None = None
    request_status: int | None = None
    error: Mapping[str, Any] | None = None
    result: Any = None


_STATUS: Final = status_reader(
    ManagementJobStatus, often_absent={"end_time", "error", "message", "request_status", "result"}
)
J = TypeVar("J", BulkOperationJob, TaxonomyPublishJob)


def _taxonomy_path(taxonomy_id: str) -> str:
    return f"{_API}taxonomies/{segment(taxonomy_id)}/publish"


def _bulk_status_path(job: BulkOperationJob) -> str:
    return f"{_API}{_BULK}/{segment(job.status_id)}"


def _publish_status_path(job: TaxonomyPublishJob) -> str:
    return f"{_taxonomy_path(job.taxonomy_id)}/{segment(job.job_token_id)}"


class _ManagementEndpoint(OracleContentEndpoint[J, ManagementJobStatus]):
    """What both endpoints have in common."""

    def _start(self, path: str, body: Mapping[str, Any]) -> Request:
        return post_request(self._root.url(path), body, _START_HEADERS)


class BulkOperationEndpoint(_ManagementEndpoint[BulkOperationJob]):
    """Bulk operations on items, `GET …/content/management/api/v1.1/bulkItemsOperations/{status_id}`.

    Args:
        base_url: `https://host[:port]`. May have a path.
        auth: Adds the `Authorization` header field: Basic, Bearer, or OAuth 2 client credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "oracle-content-bulk-operation"
    submit_advice = (
        "The operation may be running, and no call finds its ID. Look at the items before you start it again."
    )
    _parts = Parts(
        job=BulkOperationJob,
        path=_bulk_status_path,
        reader=_STATUS,
        problem=problem_in,
        id_field="id",
        what="bulk operation",
    )

    def submit_request(self, order: BulkOperationOrder, _key: str, /) -> Request:
        """The POST request that starts a bulk operation. The API has no idempotency key."""
        wanted = " or ".join(f'id eq "{item}"' for item in order.item_ids)
        return self._start(f"{_API}{_BULK}", {"q": wanted, "operations": {order.operation: dict(order.options)}})

    def read_submitted(self, _order: BulkOperationOrder, reply: Reply, /) -> BulkOperationJob:
        """The job in the reply's `Location`. Raises MalformedReply if there is none: the operation may have been done at once."""
        return BulkOperationJob(started_id(reply, "Location", id_after(_BULK, reply.headers.get("Location"))))


class TaxonomyPublishEndpoint(_ManagementEndpoint[TaxonomyPublishJob]):
    """Publications of taxonomies, `GET …/content/management/api/v1.1/taxonomies/{taxonomy_id}/publish/{job_token_id}`.

    The arguments are those of `BulkOperationEndpoint`.
    """

    name = "oracle-content-taxonomy-publish"
    submit_advice = "The publication may be running. While it is, the server refuses another one."
    _parts = Parts(
        job=TaxonomyPublishJob,
        path=_publish_status_path,
        reader=_STATUS,
        problem=problem_in,
        id_field="id",
        what="publication",
    )

    def submit_request(self, order: TaxonomyPublishOrder, _key: str, /) -> Request:
        """The POST request that starts a publication. The server allows one at a time, and refuses a second one."""
        channels = [{"id": channel} for channel in order.channel_ids]
        return self._start(_taxonomy_path(order.taxonomy_id), {"channels": channels})

    def read_submitted(self, order: TaxonomyPublishOrder, reply: Reply, /) -> TaxonomyPublishJob:
        """The job in the reply's `Location`. Raises MalformedReply if there is none."""
        found = id_after("publish", reply.headers.get("Location"))
        return TaxonomyPublishJob(order.taxonomy_id, started_id(reply, "Location", found))
