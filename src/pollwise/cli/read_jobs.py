"""Reads all of JOBS once, before the first request.

Rule 1: every bad row is reported with its line: the first ones with the reason, the others as line numbers.
Rule 2: if one row is bad, no request is sent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pollwise.cli.exit_status import UsageError
from pollwise.cli.input_lines import read_chunks
from pollwise.cli.job_forms import FindForm, vendor_form
from pollwise.cli.job_table import JobTable
from pollwise.cli.jobs_file import BadRow, Format, JobRow, reader_for
from pollwise.cli.safe_text import counted, safe

__all__ = ["MAX_REPORTED_ROWS", "read_jobs"]

MAX_REPORTED_ROWS = 50
_CHUNK = 1_000


async def read_jobs(
    jobs: str, form: Format, endpoint: str | None, job_table: JobTable, find: FindForm = vendor_form
) -> None:
    """Put the rows of the file (`-` is stdin) into `job_table`. `find` knows the endpoints that rows name.

    Raises:
        UsageError: It cannot be read, or has bad rows. Stderr has their lines and reasons.
        OSError: There is no room for them.
    """
    reader, collector = reader_for(form, endpoint, find), _RowCollector(jobs, job_table)
    with _opened(jobs) as descriptor:
        try:
            async for data in read_chunks(descriptor):
                collector.take(reader.feed(data))
        except OSError as error:
            raise UsageError(f"{jobs} cannot be read ({error.strerror or error})") from error
    collector.take(reader.end())
    collector.finish()


class _RowCollector:
    def __init__(self, name: str, job_table: JobTable) -> None:
        self._name = "stdin" if name == "-" else name
        self._asked = job_table
        self._good: list[JobRow] = []
        self._rows = 0
        self._bad = 0
        self._others: list[list[int]] = []  # the first and the last of lines that follow each other

    def take(self, found: Iterator[JobRow | BadRow]) -> None:
        for row in found:
            self._rows += 1
            if isinstance(row, BadRow):
                self._print_error(row)
            elif not self._bad:  # after the first bad one the others are only looked at
                self._good.append(row)
        if len(self._good) >= _CHUNK:
            self._keep()

    def finish(self) -> None:
        if self._bad > MAX_REPORTED_ROWS:
            lines = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in self._others)
            print(f"pollwise: and {self._bad - MAX_REPORTED_ROWS:,} more, at lines {lines}", file=sys.stderr)
        if self._bad:
            are = "is" if self._bad == 1 else "are"
            raise UsageError(
                f"{self._bad:,} of {counted(self._rows, 'row')} of {self._name} {are} bad; nothing was sent"
            )
        self._keep()

    def _keep(self) -> None:
        self._asked.add(self._good)
        self._good = []

    def _print_error(self, bad: BadRow) -> None:
        self._bad += 1
        if self._bad <= MAX_REPORTED_ROWS:
            print(f"pollwise: {safe(self._name, 200)}:{bad.line}: {safe(bad.reason)}", file=sys.stderr)
        elif self._others and self._others[-1][1] == bad.line - 1:
            self._others[-1][1] = bad.line
        else:
            self._others.append([bad.line, bad.line])


@contextmanager
def _opened(jobs: str) -> Iterator[int]:
    try:
        descriptor = _stdin() if jobs == "-" else os.open(jobs, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise UsageError(f"{jobs} cannot be read ({error.strerror or error})") from error
    try:
        yield descriptor
    finally:
        if jobs != "-":
            os.close(descriptor)


def _stdin() -> int:
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError) as error:  # an embedding program's; the last one: closed by the shell
        raise UsageError("stdin cannot be read: it is closed, or no file") from error
