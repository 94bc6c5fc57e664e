"""FHIR Bulk Data Access: start an export, await its manifest, and fetch its files.

    exports, files = BulkExportEndpoint(base_url, auth=auth), BulkFileEndpoint(base_url, auth=auth)
    async with JobWatcher(exports, timeout_s=86_400) as watcher, JobWatcher(files, timeout_s=3600) as loader:
        manifest = await watcher.watch(BulkExport(status_url)).result()
        for file in manifest.output:
            await loader.watch(file.job).save_result(f"{file.type}-{file.job.index}.ndjson", max_bytes=10**9)

`kick_off.py` starts an export, `export.py` reads its status, `manifest.py` its manifest, and `files.py` fetches its files.

Source: the Bulk Data Access IG, github.com/HL7/bulk-data: version 3.0.0 (STU 3) and the ballot of version 4.0.0 (STU 4), with
the names of both. Bulk Submit and Bulk Publish were not looked at. No server was asked.
"""

from __future__ import annotations

from pollwise.endpoints.fhir_bulk_data.export import BulkExport, BulkExportEndpoint, BulkExportStatus
from pollwise.endpoints.fhir_bulk_data.files import BulkFileEndpoint, BulkFileStatus
from pollwise.endpoints.fhir_bulk_data.kick_off import BulkExportOrder
from pollwise.endpoints.fhir_bulk_data.manifest import BulkFile, BulkFileJob, BulkManifest, ManifestLink
from pollwise.endpoints.fhir_bulk_data.outcomes import OutcomeIssue

__all__ = [
    "BulkExport",
    "BulkExportEndpoint",
    "BulkExportOrder",
    "BulkExportStatus",
    "BulkFile",
    "BulkFileEndpoint",
    "BulkFileJob",
    "BulkFileStatus",
    "BulkManifest",
    "ManifestLink",
    "OutcomeIssue",
]
