"""Oracle Content Management: jobs of sites and of templates, such as creating, copying and publishing a site.

Rule 1: `progress` ends a watch, as for every job of the vendor; `_progress.py` has the rules. The vendor's example of a
failed job has `completed: false`.
Rule 2: `intervalToPoll` is the wait in milliseconds that the server asks for.
Rule 3: a success with an `error` has failed.
Rule 4: the documented status names no job. If it has an `id`, that is checked.

One job is asked at a time. The API can report up to 50 in one request (`?id=a,b`), each with a status code of its own; that is not
used yet. What starts a job is one of many calls of the API; each replies 202 with a `Location` that ends in the job's ID.

Sources: "Get the Progress of a Site Related Job" and "Batch Read the Progress of Template Related Jobs" (version 1) below
https://docs.oracle.com/en/cloud/paas/content-cloud/rest-api-sites-management/. The page for a single job of a template was not seen,
nor an example of a success; the vendor's own command-line tool polls both in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import attrs

from pollwise.endpoints._address import one_segment, segment
from pollwise.endpoints._vendor import Parts
from pollwise.endpoints.oracle_content._progress import (
    JobProgress,
    OracleContentEndpoint,
    OracleTime,
    problem_in,
    status_reader,
)

__all__ = [
    "JobProgress",
    "OracleTime",
    "SiteJob",
    "SiteJobEndpoint",
    "SiteJobStatus",
    "TemplateJob",
    "TemplateJobEndpoint",
]

_API: Final = "/sites/management/api/v1/"


@attrs.frozen
class SiteJob:
    """A job of a site.

    Args:
        job_id: The last segment of the `Location` that the request for it replied.

    Raises:
        ConfigurationError: The ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`.
    """

    job_id: str = attrs.field(validator=one_segment)


@attrs.frozen
class TemplateJob:
    """A job of a template.

    Args:
        job_id: As for `SiteJob`.

    Raises:
        ConfigurationError: As `SiteJob`.
    """

    job_id: str = attrs.field(validator=one_segment)


@attrs.frozen(kw_only=True, weakref_slot=False)
class SiteJobStatus:
    """The vendor's status of a job of a site or a template. An unreadable field is None. `links` are not kept.

    Attributes:
        progress: A `JobProgress`, or an undocumented value as sent.
        completed: Whether the job is over. Informs only: a failed job may have False.
        completed_percentage: 0..100.
        id: The job's ID. Not documented.
        context: What the job is about, as the vendor's ID.
        action: Such as `copy`, for creating a site as well as for copying one.
        start_time: When it began.
        end_time: When it ended.
        interval_to_poll: Milliseconds to wait before the next poll.
        error: The vendor's error, as sent: `title`, `detail`, `o:errorCode` and more. Untrusted text.
        message: Text for people. Untrusted.
    """

    progress: JobProgress | str
    completed: bool | None = None
    completed_percentage: int | None = None
    id: str | int | None = None
    context: str | None = None
    action: str | None = None
    start_time: OracleTime | None = None
    end_time: OracleTime | None = None
    interval_to_poll: float | None = None
    error: Mapping[str, Any] | None = None
    message: str | None = None


_STATUS: Final = status_reader(
    SiteJobStatus, often_absent={"id", "end_time", "error", "message", "completed_percentage"}
)
J = TypeVar("J", SiteJob, TemplateJob)


def _site_path(job: SiteJob) -> str:
    return f"{_API}sites/_status/{segment(job.job_id)}"


def _template_path(job: TemplateJob) -> str:
    return f"{_API}templates/_status/{segment(job.job_id)}"


class _SitesEndpoint(OracleContentEndpoint[J, SiteJobStatus]):
    """What both endpoints have in common."""

    def _poll_after_s(self, status: SiteJobStatus, /) -> float | None:
        return None if status.interval_to_poll is None else status.interval_to_poll / 1_000


class SiteJobEndpoint(_SitesEndpoint[SiteJob]):
    """Jobs of sites, `GET …/sites/management/api/v1/sites/_status/{job_id}`.

    Args:
        base_url: `https://host[:port]`. May have a path.
        auth: Adds the `Authorization` header field: Basic, Bearer, or OAuth 2 client credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    name = "oracle-content-site"
    _parts = Parts(job=SiteJob, path=_site_path, reader=_STATUS, problem=problem_in, id_field="id")


class TemplateJobEndpoint(_SitesEndpoint[TemplateJob]):
    """Jobs of templates, `GET …/sites/management/api/v1/templates/_status/{job_id}`.

    The arguments are those of `SiteJobEndpoint`.
    """

    name = "oracle-content-template"
    _parts = Parts(job=TemplateJob, path=_template_path, reader=_STATUS, problem=problem_in, id_field="id")
