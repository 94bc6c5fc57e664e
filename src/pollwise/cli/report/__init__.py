"""The page that `--report` writes: one HTML file that needs only a browser.

    page.py         the texts and numbers of the page, and the filled template
    charts.py       computes the shapes of the charts
    scales.py       the steps of axes: times, durations, counts
    page.html.j2    the template of the page
    page.css        its style, light and dark

Rule 1: the page loads nothing and runs no script. Its Content-Security-Policy forbids both.
Rule 2: every foreign text is made safe (safe_text.py), and then escaped by the template engine. Shapes contain only
numbers, fixed words and safe texts.
Rule 3: the size of the page is bounded. More than a few hundred jobs are shown as counts.
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
    """Write the page about `summary`, whole or not at all. `name` is its title, such as the name of JOBS.

    Raises:
        OSError: It cannot be written.
    """
    page = render(summary, name=name, now=datetime.now(UTC), version=importlib.metadata.version("pollwise"))
    with atomic_write(path) as write:
        write(page.encode("utf-8"))
