"""`pollwise batch`: its arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from pollwise.cli.batch_options import BatchOptions
from pollwise.cli.exec_command import ExecOptions
from pollwise.cli.exit_status import UsageError

__all__ = ["batch"]

_USUAL = BatchOptions()
_USUAL_EXEC = ExecOptions()


async def batch(
    jobs: str | None = None,
    /,
    *,
    stdin: Annotated[bool, Parameter(name="-", negative="", show_default=False)] = False,
    options: BatchOptions = _USUAL,
    at_end: ExecOptions = _USUAL_EXEC,
) -> int:
    """Watch all jobs of a file and write one result file. Can be interrupted and continued.

    Args:
        jobs: A file ending in .jsonl or .csv.
        stdin: Read the jobs from stdin instead.
        options: How to watch, what to write and what to show.
        at_end: What to do when the batch is over.
    """
    from pollwise.cli.batch import run_batch

    if stdin == (jobs is not None):
        raise UsageError("name one file of jobs, or - for stdin. Try: pollwise batch --help")
    return await run_batch("-" if jobs is None else jobs, options, at_end)
