"""The values of Oracle's extraction, and their readers. The rules are in `extraction.py`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints._left_out import left_out_of, total
from pollwise.endpoints._lenient import lenient_bool, lenient_id, lenient_text, lenient_whole_number
from pollwise.endpoints._reader import Reader
from pollwise.endpoints._strict import Hook, text, text_or_null, whole_number_or_null, yes_or_no_or_null
from pollwise.endpoints._words import camel_case
from pollwise.endpoints.oracle_content._progress import lenient_percentage, percentage

__all__ = ["STARTED", "STATUS", "ExtractionItem", "ExtractionProgress", "ExtractionStatus", "Started"]


class ExtractionProgress(enum.StrEnum):
    """The documented values of `progress`."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExtractionItem:
    """A file of the ZIP that was not extracted, and why. All fields are untrusted text.

    Attributes:
        id: The file's name in the ZIP, if it was sent.
        type: `file`.
        error: Why it was not extracted.
    """

    id: str | None = None
    type: str | None = None
    error: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class ExtractionStatus:
    """The vendor's status of an extraction job. An unreadable field is None.

    Attributes:
        progress: An `ExtractionProgress`, or an undocumented value as sent.
        completed: Whether the job is over. Informs only: `progress` decides.
        completed_percentage: 0..100.
        error_code: 0 without an error. A text if the code is not a number.
        files_created: Files that are new in the destination.
        files_ignored: Entries of the ZIP that are not extractable files.
        files_name_adjusted: Files that got another name.
        files_overwritten: Existing files that were replaced.
        files_processed: Files that were processed.
        files_skipped: Files that were not extracted.
        files_versioned: Existing files that got a new revision.
        message: Text for people. Untrusted: it may have a path from the ZIP, so never render it as markup.
        type: `file`.
        skipped_items: The skipped files, and why. Often absent. `left_out` says whether others followed.
        ignored_items: The ignored files, and why. Likewise.
    """

    progress: ExtractionProgress | str
    completed: bool | None = None
    completed_percentage: int | None = None
    error_code: int | str | None = 0
    files_created: int | None = 0
    files_ignored: int | None = 0
    files_name_adjusted: int | None = 0
    files_overwritten: int | None = 0
    files_processed: int | None = 0
    files_skipped: int | None = 0
    files_versioned: int | None = 0
    message: str | None = None
    type: str | None = None
    skipped_items: tuple[ExtractionItem, ...] = ()
    ignored_items: tuple[ExtractionItem, ...] = ()

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many items were left out of lists that were too long, by the field's name: `{"skipped_items": 348493}`."""
        return left_out_of(self)

    @property
    def skipped_any(self) -> bool:
        """Whether files were skipped, for example because the destination has files with the same names."""
        return (self.files_skipped or 0) > 0 or bool(self.skipped_items)

    @property
    def ignored_any(self) -> bool:
        """Whether entries of the ZIP were ignored."""
        return (self.files_ignored or 0) > 0 or bool(self.ignored_items)

    @property
    def extracted_all(self) -> bool:
        """Whether the job succeeded and extracted every file. False if a count is unreadable."""
        counted = self.files_skipped is not None and self.files_ignored is not None
        succeeded = self.progress == ExtractionProgress.SUCCEEDED
        return succeeded and counted and not self.skipped_any and not self.ignored_any

    def summary(self) -> str:
        """The counts in one line, such as `3 skipped` or `5 processed, 4 created, 1 ignored`. No untrusted text."""
        counts = {
            "processed": self.files_processed,
            "created": self.files_created,
            "overwritten": self.files_overwritten,
            "versioned": self.files_versioned,
            "renamed": self.files_name_adjusted,
            "skipped": max(self.files_skipped or 0, total(self.skipped_items)),
            "ignored": max(self.files_ignored or 0, total(self.ignored_items)),
        }
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no files"


@attrs.frozen(kw_only=True, weakref_slot=False)
class Started:
    """The reply to the request that starts an extraction."""

    id: str | int | None = None
    job_id: str | int | None = None
    error_code: int | str | None = 0


_WORDS: Final[Mapping[object, ExtractionProgress]] = {word.value: word for word in ExtractionProgress}
_TYPES: Final[Mapping[object, str]] = {"file": "file"}  # all statuses share this string


def _progress(value: object, _type: object = None, /) -> ExtractionProgress | str:
    try:
        return _WORDS[value]
    except (KeyError, TypeError):
        word = text(value)
    return _WORDS.get(word.upper(), word) if word.isascii() else word


def _lenient_error_code(value: object) -> int | str | None:
    try:
        return lenient_whole_number(value)
    except ValueError:
        return text(value) or None


def _type_name(value: object, _type: object = None, /) -> str | None:
    try:
        return _TYPES[value]
    except (KeyError, TypeError):
        return text_or_null(value)


_STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool | None: yes_or_no_or_null,
    int | None: whole_number_or_null,
    int | str | None: whole_number_or_null,
    str | None: text_or_null,
    ExtractionProgress | str: _progress,
}
_LENIENT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool | None: lenient_bool,
    int | None: lenient_whole_number,
    int | str | None: _lenient_error_code,
    str | None: lenient_text,
}
STATUS: Final = Reader(
    ExtractionStatus,
    _STRICT_HOOKS,
    lenient_hooks=_LENIENT_HOOKS,
    field_hooks={"completed_percentage": percentage, "type": _type_name},
    lenient_field_hooks={"completed_percentage": lenient_percentage},
    main_text={ExtractionItem: "id"},
    often_absent={"skipped_items", "ignored_items"},
    wire_name=camel_case,
)
STARTED: Final = Reader(
    Started,
    _STRICT_HOOKS,
    lenient_hooks=_LENIENT_HOOKS,
    field_hooks={"id": text_or_null, "job_id": text_or_null},
    lenient_field_hooks={"id": lenient_id, "job_id": lenient_id},
    wire_name=camel_case,
)
