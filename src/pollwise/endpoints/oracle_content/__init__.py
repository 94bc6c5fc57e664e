"""Oracle Content Management's jobs, one module a group of calls.

| call | module | endpoint |
|---|---|---|
| documents, extraction of a ZIP file | `extraction`, and here | `ExtractionEndpoint` |
| documents, files and folders as one ZIP file | `downloads` | `DownloadEndpoint` |
| sites, jobs of sites and of templates | `sites` | `SiteJobEndpoint`, `TemplateJobEndpoint` |
| management, bulk operations and publications of taxonomies | `management` | `BulkOperationEndpoint`, `TaxonomyPublishEndpoint` |

Only the extraction is loaded here, because each module takes some milliseconds. Import the others by their names.
"""

from __future__ import annotations

from pollwise.endpoints.oracle_content.extraction import (
    DuplicateResolution,
    ExtractionEndpoint,
    ExtractionItem,
    ExtractionJob,
    ExtractionOrder,
    ExtractionProgress,
    ExtractionStatus,
)

__all__ = [
    "DuplicateResolution",
    "ExtractionEndpoint",
    "ExtractionItem",
    "ExtractionJob",
    "ExtractionOrder",
    "ExtractionProgress",
    "ExtractionStatus",
]
