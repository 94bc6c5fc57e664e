"""The page that `--report` writes: one HTML file that needs nothing but a browser.

    page.py         what the page says, and the template filled with it
    charts.py       numbers become shapes
    scales.py       the steps of axes: times, durations, counts
    page.html.j2    the page
    page.css        its looks, light and dark

Rule 1: the page asks no server for anything and runs no script: its own policy forbids both.
Rule 2: every text that comes from elsewhere is made safe (safe_text.py) and then escaped by the template engine; shapes are
made of numbers and of words of ours alone.
Rule 3: its size is bounded, however many jobs there are: beyond a few hundred they are shown by their numbers.
"""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

from pollwise.cli.atomic_file import atomic_write
from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.page import render

__all__ = ["write_report"]


def write_report(path: Path, summary: LedgerSummary, name: str) -> None:
    """Write the page about `summary`, whole or not at all. `name` is what it is about.

    Raises:
        OSError: It cannot be written.
    """
    page = render(summary, name=name, now=datetime.now(UTC), version=importlib.metadata.version("pollwise"))
    with atomic_write(path) as write:
        write(page.encode("utf-8"))
