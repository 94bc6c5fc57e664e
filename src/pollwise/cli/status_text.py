"""A vendor's status as a short text, without its phase.

Rule 1: the text of a success names skipped and ignored files.
Rule 2: the text comes from the vendor; event_text.py makes it safe to print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pollwise.endpoints.document360 import DeleteFileStatus
from pollwise.endpoints.oracle_content import ExtractionItem, ExtractionStatus

__all__ = ["status_text"]

_MOST_ITEMS = 3


def status_text(status: Any, *, over: bool) -> str:
    """The text; empty if the status has none, or if its vendor is unknown.

    Args:
        status: A vendor's status.
        over: True if the job is over, so its counts are final.
    """
    match status:
        case ExtractionStatus():
            return _extraction(status) if over else status.message or ""
        case DeleteFileStatus():
            return _deletion(status)
        case _:
            return ""


def _extraction(status: ExtractionStatus) -> str:
    more = status.left_out
    skipped = _items("skipped", status.skipped_items, more.get("skipped_items", 0))
    ignored = _items("ignored", status.ignored_items, more.get("ignored_items", 0))
    return "; ".join([status.summary(), *skipped, *ignored])


def _items(word: str, items: Sequence[ExtractionItem], left_out: int) -> Iterator[str]:
    """The names of the first items, grouped by reason, and the number of the others. `left_out` are not in the list."""
    names: dict[str | None, list[str]] = {}
    for item in items[:_MOST_ITEMS]:
        names.setdefault(item.error, []).append(item.id or "a file without a name")
    texts = [", ".join(ids) + (f" ({error})" if error else "") for error, ids in names.items()]
    if texts:
        others = len(items) + left_out - _MOST_ITEMS
        more = f" and {others} more" if others > 0 else ""
        yield f"{word}: {', '.join(texts)}{more}"


def _deletion(status: DeleteFileStatus) -> str:
    texts = [*(item.description for item in status.warnings), *(item.description for item in status.information)]
    return "; ".join(words for words in texts if words)
