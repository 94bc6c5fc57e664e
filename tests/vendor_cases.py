"""Each further job of the two vendors: its endpoint, a job, and documents of its states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pollwise.endpoints.oracle_content_downloads import DownloadEndpoint, DownloadJob
from pollwise.endpoints.oracle_content_management import (
    BulkOperationEndpoint,
    BulkOperationJob,
    TaxonomyPublishEndpoint,
    TaxonomyPublishJob,
)
from pollwise.endpoints.oracle_content_sites import SiteJob, SiteJobEndpoint, TemplateJob, TemplateJobEndpoint

__all__ = ["BASE_URL", "CASES", "Case", "document"]

BASE_URL = "https://api.example.com"
_SAMPLES = Path(__file__).parent / "samples"


def document(name: str) -> dict[str, Any]:
    """A documented payload, such as `document360/complete`."""
    found: dict[str, Any] = json.loads((_SAMPLES / f"{name}.json").read_bytes())
    return found


@attrs.frozen(kw_only=True)
class Case:
    """One endpoint.

    Attributes:
        endpoint: The endpoint.
        job: A job.
        path: The path of its status.
        done: The document of its success.
        state: The path of the field that decides.
        words: The words for: queued, running, succeeded, failed.
        id: The path of the field that names the job, or None.
    """

    endpoint: Any
    job: Any
    path: str
    done: Mapping[str, Any]
    state: str
    words: tuple[str, str, str, str]
    id: str | None = "id"

    @property
    def name(self) -> str:
        """The endpoint's name."""
        name: str = self.endpoint.name
        return name


_UPPER = ("PENDING", "PROCESSING", "SUCCEEDED", "FAILED")
_LOWER = ("pending", "processing", "succeeded", "failed")
_PUBLISHED = document("oracle_content/publish_succeeded")
_SITE = {
    **document("oracle_content/site_processing"),
    "progress": "succeeded",
    "completed": True,
    "completedPercentage": 100,
}

CASES = [
    Case(
        endpoint=DownloadEndpoint(BASE_URL),
        job=DownloadJob("self", "43C4798AB49E496B53A27D99F3CE768F1614800841210"),
        path="/documents/api/1.2/folders/self/_download/43C4798AB49E496B53A27D99F3CE768F1614800841210",
        done=document("oracle_content/download_succeeded"),
        state="progress",
        words=_UPPER,
        id=None,
    ),
    Case(
        endpoint=SiteJobEndpoint(BASE_URL),
        job=SiteJob("S"),
        path="/sites/management/api/v1/sites/_status/S",
        done=_SITE,
        state="progress",
        words=_LOWER,
    ),
    Case(
        endpoint=TemplateJobEndpoint(BASE_URL),
        job=TemplateJob("T"),
        path="/sites/management/api/v1/templates/_status/T",
        done=_SITE,
        state="progress",
        words=_LOWER,
    ),
    Case(
        endpoint=BulkOperationEndpoint(BASE_URL),
        job=BulkOperationJob("OPC7FC2C6D7A8944689E775CCB24313DE3"),
        path="/content/management/api/v1.1/bulkItemsOperations/OPC7FC2C6D7A8944689E775CCB24313DE3",
        done=_PUBLISHED,
        state="progress",
        words=_LOWER,
    ),
    Case(
        endpoint=TaxonomyPublishEndpoint(BASE_URL),
        job=TaxonomyPublishJob("D7", "OPC7FC2C6D7A8944689E775CCB24313DE3"),
        path="/content/management/api/v1.1/taxonomies/D7/publish/OPC7FC2C6D7A8944689E775CCB24313DE3",
        done=_PUBLISHED,
        state="progress",
        words=_LOWER,
    ),
]
