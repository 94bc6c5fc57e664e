"""The command `pollwise`.

    __init__.py     the way in, and nothing that costs an import
    app.py          the commands, their arguments and their help
    run.py          runs one command: signals, errors, exit status
    exit_status.py        the exit statuses and what they mean
    options.py      the options that commands share
    vendors.py      each vendor's secrets, endpoint and words

    runtime/watch.py        `pollwise watch`
    demo.py         `pollwise demo`
    demo_jobs.py         the jobs that the demo plays and the simulator offers
    simulate.py     `pollwise simulator`

    runtime/batch.py        `pollwise batch`: from a file of jobs to a file of results
    batch_options.py  its options
    read_jobs.py       JOBS is read, and everything that is wrong with it is told
    input_lines.py        lines out of a file, a pipe or a terminal
    jobs_file.py    JSON lines and CSV become rows
    job_table.py        the rows, in their order and on disk
    batch_transport.py         what every request passes
    observed_ledger.py      the board learns from the ledger
    batch_progress.py        how a batch stands
    batch_screen.py   the board on a terminal, and in a pipe
    result_file.py      the result file
    atomic_file.py   a file that is there whole, or as it was

    ledger_commands.py  `pollwise ledger show` and `export`
    ledger_entries.py      a ledger's watches, in words
    ledger_summary.py        a ledger in numbers
    report/         the page that `--report` writes

    follow.py       watches on a screen, and a record of each
    screen.py       JSON lines and plain lines
    live_screen.py         live rows
    stdout.py       lines on stdout, written without standing still
    event_text.py        an event in words
    status_text.py        what a vendor's status says, in words
    jsonlines.py    an event as JSON
    safe_text.py         what strangers wrote, made safe to print
    logs.py         the log on stderr

Rule 1: importing this package costs nothing, and `pollwise --help` never imports aiohttp.
Rule 2: stdout has what was asked for; stderr has everything about the command itself.
Rule 3: a person never sees a traceback who did not ask for it with -v.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (exit_status.py). `arguments` default to the process's own."""
    try:
        from pollwise.cli.run import run  # noqa: PLC0415  the extra may not be installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print("pollwise: the command line needs its extra: pip install 'pollwise[cli]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:] if arguments is None else arguments)
