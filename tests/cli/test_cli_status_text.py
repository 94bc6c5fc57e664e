from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pollwise.cli.status_text import status_text


def test_a_running_extraction_says_what_it_is_at(extraction_status: Callable[..., Any]) -> None:
    """While it runs the vendor's message is what there is to say; without one, nothing."""
    assert status_text(extraction_status(message="Processing entry a.jpg"), over=False) == "Processing entry a.jpg"
    assert status_text(extraction_status(), over=False) == ""


def test_files_left_out_are_named_but_not_all_of_them(extraction_status: Callable[..., Any]) -> None:
    """Three names are enough on one line; the rest are counted."""
    skipped: list[dict[str, str]] = [{"id": f"{number}.jpg"} for number in range(5)]
    skipped[0]["error"] = skipped[1]["error"] = "exists"
    ignored = [{"id": "x.exe", "error": "not allowed"}]
    status = extraction_status(
        progress="SUCCEEDED", filesCreated=2, filesSkipped=5, filesIgnored=1, skippedItems=skipped, ignoredItems=ignored
    )
    assert status_text(status, over=True) == (
        "2 created, 5 skipped, 1 ignored; skipped: 0.jpg, 1.jpg (exists), 2.jpg and 2 more; ignored: x.exe (not allowed)"
    )


def test_a_deletion_says_its_warnings_first(deletion_status: Callable[..., Any]) -> None:
    """Warnings come before information; what has no words is left out."""
    status = deletion_status(
        warnings=[{"description": "gone before"}], information=[{"description": None}, {"description": "14 files"}]
    )
    assert status_text(status, over=True) == "gone before; 14 files"


def test_a_status_of_another_vendor_has_no_words() -> None:
    """A status that is not known here is no reason to fail."""
    assert status_text(object(), over=True) == ""
