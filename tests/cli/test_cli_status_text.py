from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pollwise.cli.status_text import status_text


def test_a_running_extraction_shows_the_vendors_message(extraction_status: Callable[..., Any]) -> None:
    """The text of a running job is the vendor's message; without a message it is empty."""
    assert status_text(extraction_status(message="Processing entry a.jpg"), over=False) == "Processing entry a.jpg"
    assert status_text(extraction_status(), over=False) == ""


def test_three_skipped_files_are_named(extraction_status: Callable[..., Any]) -> None:
    """Three skipped files are named with their reasons; the others are counted."""
    skipped: list[dict[str, str]] = [{"id": f"{number}.jpg"} for number in range(5)]
    skipped[0]["error"] = skipped[1]["error"] = "exists"
    ignored = [{"id": "x.exe", "error": "not allowed"}]
    status = extraction_status(
        progress="SUCCEEDED", filesCreated=2, filesSkipped=5, filesIgnored=1, skippedItems=skipped, ignoredItems=ignored
    )
    assert status_text(status, over=True) == (
        "2 created, 5 skipped, 1 ignored; skipped: 0.jpg, 1.jpg (exists), 2.jpg and 2 more; ignored: x.exe (not allowed)"
    )


def test_a_deletion_shows_its_warnings_first(deletion_status: Callable[..., Any]) -> None:
    """Warnings come before information. An entry without a description is omitted."""
    status = deletion_status(
        warnings=[{"description": "gone before"}], information=[{"description": None}, {"description": "14 files"}]
    )
    assert status_text(status, over=True) == "gone before; 14 files"


def test_a_status_of_another_vendor_has_no_text() -> None:
    """A status of an unknown vendor has an empty text."""
    assert status_text(object(), over=True) == ""
