"""The jobs, orders and statuses of Document360 v3. The rules are in `v3.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from pollwise.endpoints._address import one_segment
from pollwise.endpoints._left_out import left_out_of
from pollwise.endpoints.document360._states import JobState

__all__ = [
    "DriveTaskData",
    "DriveTaskJob",
    "DriveTaskStatus",
    "EnvelopeV3",
    "ErrorV3",
    "ExportV3Data",
    "ExportV3Job",
    "ExportV3Order",
    "ExportV3Status",
    "ImportV3Data",
    "ImportV3Job",
    "ImportV3Order",
    "ImportV3Status",
    "WarningV3",
]


@attrs.frozen
class DriveTaskJob:
    """A task of the drive, such as the upload of many files.

    Args:
        project_id: The project.
        task_id: The task's ID, from the reply to the call that started it.

    Raises:
        ConfigurationError: An ID cannot be one segment of a path, as with `pollwise.endpoints.path_segment`.
    """

    project_id: str = attrs.field(validator=one_segment)
    task_id: str = attrs.field(validator=one_segment)


@attrs.frozen
class ExportV3Job:
    """An export of a project.

    Args:
        project_id: The project.
        export_id: The `data.id` in the reply to the request that started it.

    Raises:
        ConfigurationError: As `DriveTaskJob`.
    """

    project_id: str = attrs.field(validator=one_segment)
    export_id: str = attrs.field(validator=one_segment)


@attrs.frozen
class ImportV3Job:
    """An import into a project.

    Args:
        project_id: The project.
        import_id: The `data.id` in the reply to the request that started it.

    Raises:
        ConfigurationError: As `DriveTaskJob`.
    """

    project_id: str = attrs.field(validator=one_segment)
    import_id: str = attrs.field(validator=one_segment)


@attrs.frozen(kw_only=True)
class ExportV3Order:
    """What to export.

    Args:
        project_id: The project.
        format: Such as `pdf`, `html` or `markdown`.
        workspace_id: The workspace. None leaves the field out: an older form of the page calls it `project_version_id`, which
            then goes into `more`.
        lang_code: Such as `en`. None for the vendor's default.
        more: Further fields of the body. They take precedence.

    Raises:
        ConfigurationError: As `DriveTaskJob`.
    """

    project_id: str = attrs.field(validator=one_segment)
    format: str
    workspace_id: str | None
    lang_code: str | None = None
    more: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class ImportV3Order:
    """What to import.

    Args:
        project_id: The project.
        source_documentation_url: The URL of the documentation.
        import_by: The ID of the user whose import it is.
        publish_article: Whether the articles are published. Otherwise they are drafts.

    Raises:
        ConfigurationError: As `DriveTaskJob`.
    """

    project_id: str = attrs.field(validator=one_segment)
    source_documentation_url: str = attrs.field(repr=False)  # it may be signed
    import_by: str
    publish_article: bool = False


@attrs.frozen(kw_only=True, weakref_slot=False)
class ErrorV3:
    """An error as the vendor describes it. Untrusted text."""

    code: str | None = None
    message: str | None = None
    field: str | None = None
    details: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class WarningV3:
    """A warning as the vendor describes it. Untrusted text."""

    code: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class DriveTaskData:
    """The state of a task.

    Attributes:
        status: A `JobState`, or an undocumented word as sent.
        task_id: The task's ID.
    """

    status: JobState | str
    task_id: str | int | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ImportV3Data:
    """The state of an import.

    Attributes:
        status: A `JobState`, or an undocumented word as sent.
        id: The import's ID.
        completed_at: The time of the end (ISO 8601), or None.
    """

    status: JobState | str
    id: str | int | None = None
    completed_at: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExportV3Data:
    """The state of an export.

    Attributes:
        status: A `JobState`, or an undocumented word as sent.
        id: The export's ID.
        download_url: The URL of the file, once the export is complete. Not in the `repr`, because it may be signed.
        completed_at: The time of the end (ISO 8601), or None.
    """

    status: JobState | str
    id: str | int | None = None
    download_url: str | None = attrs.field(default=None, repr=False)
    completed_at: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class EnvelopeV3:
    """What every reply of v3 has.

    Attributes:
        success: Whether the *API call* succeeded. None if absent.
        request_id: The ID of this request, for the vendor's support. It is not compared.
        errors: In the vendor's order. Empty if the list is null or absent. `left_out` says whether others followed.
        warnings: Likewise.
    """

    success: bool | None = None
    request_id: str | None = attrs.field(default=None, eq=False)
    errors: tuple[ErrorV3, ...] = ()
    warnings: tuple[WarningV3, ...] = ()

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many items were left out of lists that were too long, by the field's name."""
        return left_out_of(self)


@attrs.frozen(kw_only=True, weakref_slot=False)
class DriveTaskStatus(EnvelopeV3):
    """The vendor's status of a task: `data`, and the fields of every reply of v3."""

    data: DriveTaskData


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExportV3Status(EnvelopeV3):
    """The vendor's status of an export: `data`, and the fields of every reply of v3."""

    data: ExportV3Data


@attrs.frozen(kw_only=True, weakref_slot=False)
class ImportV3Status(EnvelopeV3):
    """The vendor's status of an import: `data`, and the fields of every reply of v3."""

    data: ImportV3Data
