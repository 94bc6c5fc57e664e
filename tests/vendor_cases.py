"""Each further job of the two vendors: its endpoint, a job, and documents of its states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pollwise.endpoints.document360 import projects, v3
from pollwise.endpoints.oracle_content.downloads import DownloadEndpoint, DownloadJob
from pollwise.endpoints.oracle_content.management import (
    BulkOperationEndpoint,
    BulkOperationJob,
    TaxonomyPublishEndpoint,
    TaxonomyPublishJob,
)
from pollwise.endpoints.oracle_content.sites import SiteJob, SiteJobEndpoint, TemplateJob, TemplateJobEndpoint

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


_V2 = ("Queued", "InProgress", "Completed", "Error")
_V3 = ("Pending", "InProgress", "Completed", "Failed")
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
        endpoint=projects.ExportV2Endpoint(BASE_URL),
        job=projects.ExportV2Job("E/1"),
        path="/v2/Project/Export/E%2F1",
        done=document("document360/export_v2_completed"),
        state="status",
        words=_V2,
    ),
    Case(
        endpoint=projects.ImportV2Endpoint(BASE_URL),
        job=projects.ImportV2Job("I 1"),
        path="/v2/Project/Import/I%201",
        done=document("document360/import_v2_completed"),
        state="status",
        words=_V2,
    ),
    Case(
        endpoint=v3.DriveTaskEndpoint(BASE_URL),
        job=v3.DriveTaskJob("p", "a3b4c5d6-1234-5678-9abc-def012345678"),
        path="/v3/projects/p/drive/tasks/a3b4c5d6-1234-5678-9abc-def012345678",
        done=document("document360/task_v3_completed"),
        state="data.status",
        words=_V3,
        id="data.task_id",
    ),
    Case(
        endpoint=v3.ExportV3Endpoint(BASE_URL),
        job=v3.ExportV3Job("p", "F1A2B3C4D5E67F890A1B2C3D4E5F6A7B"),  # another spelling of the GUID in the document
        path="/v3/projects/p/exports/F1A2B3C4D5E67F890A1B2C3D4E5F6A7B",
        done=document("document360/export_v3_completed"),
        state="data.status",
        words=_V3,
        id="data.id",
    ),
    Case(
        endpoint=v3.ImportV3Endpoint(BASE_URL),
        job=v3.ImportV3Job("p/q", "a9b8c7d6-e5f4-3a2b-1c0d-9e8f7a6b5c4d"),
        path="/v3/projects/p%2Fq/imports/a9b8c7d6-e5f4-3a2b-1c0d-9e8f7a6b5c4d",
        done=document("document360/import_v3_completed"),
        state="data.status",
        words=_V3,
        id="data.id",
    ),
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
