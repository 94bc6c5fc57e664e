"""Document360's jobs, one module a group of calls.

| call | module | endpoint |
|---|---|---|
| v2, deletion of a file | `delete_file`, and here | `DeleteFileEndpoint` |
| v2, export and import of a project | `projects` | `ExportV2Endpoint`, `ImportV2Endpoint` |
| v3, tasks of the drive, exports and imports | `v3` | `DriveTaskEndpoint`, `ExportV3Endpoint`, `ImportV3Endpoint` |

Only the deletion is loaded here, because each module takes some milliseconds. Import the others by their names.
"""

from __future__ import annotations

from pollwise.endpoints.document360._envelope import ErrorItem, InformationItem, WarningItem
from pollwise.endpoints.document360.delete_file import (
    DeleteFileEndpoint,
    DeleteFileJob,
    DeleteFileOrder,
    DeleteFileStatus,
    TaskState,
    TaskStatus,
)

__all__ = [
    "DeleteFileEndpoint",
    "DeleteFileJob",
    "DeleteFileOrder",
    "DeleteFileStatus",
    "ErrorItem",
    "InformationItem",
    "TaskState",
    "TaskStatus",
    "WarningItem",
]
