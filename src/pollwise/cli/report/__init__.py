"""The page that `--report` writes: one HTML file that needs only a browser.

    page.py         the texts and charts of the page, and the filled template
    figures.py      the figures, each with the jobs that it is of
    wrong.py        what went wrong, and what to do about it
    gaps.py         the gaps: times in which nothing was seen of the jobs
    charts.py       computes the shapes of the charts
    scales.py       the steps of axes: times, durations, counts
    page.html.j2    the template of the page
    page.css        its style: light and dark, phone and paper
    filter.js       searches and filters its list of jobs

Rule 1: the page loads nothing. Its Content-Security-Policy allows one script and one style, by their hashes.
Rule 2: the page says everything without its script, which only filters the list.
Rule 3: every foreign text is made safe (safe_text.py), and then escaped by the template engine. Shapes contain only
numbers, fixed words and safe texts. No foreign text is in a script or a style.
Rule 4: the size of the page is bounded. It lists a thousand jobs, draws a few hundred, and shows more as counts.
"""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

from pollwise.cli.atomic_file import atomic_write
from pollwise.cli.ledger_place import Place, file_of
from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.page import render
from pollwise.cli.run_times import read_runs

__all__ = ["write_report"]


def write_report(
    path: Path, summary: LedgerSummary, name: str, ledger: Place, *, damaged: int = 0, unfinished: int = 0
) -> None:
    """Write the page about `summary`, whole or not at all.

    Args:
        path: The file to write.
        summary: The jobs.
        name: The title, such as the name of JOBS. For stdin, `-`, it is the name of the ledger.
        ledger: The ledger. The runs of the batch are recorded beside a file.
        damaged: The number of damaged rows, which `summary` does not count.
        unfinished: The number of starts of which the job is not known.

    Raises:
        OSError: It cannot be written.
    """
    page = render(
        summary,
        name=ledger.name if name == "-" else name,
        now=datetime.now(UTC),
        version=importlib.metadata.version("pollwise"),
        ledger=ledger,
        runs=read_runs(file_of(ledger)),
        damaged=damaged,
        unfinished=unfinished,
    )
    with atomic_write(path) as write:
        write(page.encode("utf-8"))
