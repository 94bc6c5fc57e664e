"""The command `pollwise`.

    __init__.py     the entry point, without expensive imports
    _loading.py     Ctrl-C and garbage collection while the command is loaded
    version.py      the version, without the import of any other package
    shell_commands.py  `completion`, `help` and `version`
    app.py          the commands by name
    exit_texts.py   the exit statuses in their help
    run.py          runs one command: signals, errors, exit status
    streams.py      stdout and stderr of a command
    exit_status.py  the exit statuses and their meaning
    error_text.py   the sentence for each class of error
    options.py      options that commands share
    durations.py    durations as users write them
    vendors.py      each vendor's endpoint, with secrets from the environment
    connections.py  the transport of a command: proxy, certificates, limits
    usual_files.py  the files that are read if the user names none

    profiles.py     profiles: options that are kept in files
    profile_options.py  gives a command the options of a profile
    profile_commands.py  `pollwise profile`
    watch_commands.py  the commands of `watch`, their arguments and help
    job_commands.py  the other commands for one job, their arguments and help
    watch.py        `pollwise watch`, and what these commands share with it
    exec_command.py  `--exec`
    credential_variables.py  the environment variables that its command does not get
    result.py       `pollwise result`
    cancel.py       `pollwise cancel`
    submit.py       `pollwise submit`
    orders.py       its order
    declared.py     its KEY=VALUE arguments, and an endpoint from a URL
    endpoint_names.py  what the name of an endpoint means: files, packages, the catalog
    job_forms.py    which keys the jobs of an endpoint have
    endpoint_commands.py  the commands about endpoints, their arguments and help
    endpoint_check.py  `pollwise endpoint check`
    endpoint_list.py   `pollwise endpoint list`
    endpoint_completion.py  the names that a shell offers
    endpoint_requests.py  the requests that `check` shows
    demo_commands.py  `demo` and `simulator`, their arguments and help
    demo.py         `pollwise demo`
    demo_jobs.py    the jobs of the demo and of the simulator
    simulate.py     `pollwise simulator`

    batch_command.py     the arguments of `pollwise batch`
    batch.py             `pollwise batch`: from a file of jobs to a file of results
    batch_options.py     its options
    fail_fast.py         `--fail-fast`
    fresh_ledger.py      `--fresh`
    read_jobs.py         reads JOBS and reports all bad rows
    input_lines.py       lines of a file, a pipe or a terminal
    jobs_file.py         parses JSON lines and CSV to rows
    job_table.py         the rows in their order, on disk
    batch_transport.py   counts the requests; ends the batch on an error that concerns all jobs
    observed_ledger.py   a ledger that reports its writes to the progress
    batch_progress.py    the progress of a batch
    endpoint_progress.py  the jobs of one endpoint, and how long they may take
    run_times.py         when a batch ran
    metrics_server.py    the metrics of a batch, for Prometheus
    rate_notice.py       prints once in a pipe that the rate limit makes the batch slow
    batch_screen.py      the progress on a terminal and in a pipe
    origin_checks.py     checks the URLs and origins before the first request
    result_file.py       the result file
    atomic_file.py       a file that is written whole or not at all

    ledger_arguments.py  the commands of `pollwise ledger`, their arguments and help
    ledger_place.py     where a ledger is: a file, or a PostgreSQL database
    ledger_commands.py  `pollwise ledger show` and `export`
    ledger_repair.py    `pollwise ledger check` and `recover`
    ledger_migration.py  `pollwise ledger migrate`
    ledger_entries.py   the watches of a ledger, as texts
    stored_error.py   the command's sentence for an error that a ledger keeps
    ledger_summary.py   a ledger in numbers
    report/             the page that `--report` writes

    follow.py       watches jobs and shows their events
    screen.py       JSON lines and plain lines
    live_screen.py  live rows
    live_frame.py   draws rows in place on a terminal
    row_cells.py    the parts of a row: texts of a width, and bars
    terminal.py     the terminal while rows are drawn on it; notices on stderr
    documents.py    JSON documents on stdout: --output and --query
    query.py        JMESPath
    tables.py       JSON as a table
    stdout.py       non-blocking lines on stdout and stderr
    _descriptors.py  the file descriptors behind them
    event_text.py   an event as text
    status_text.py  a vendor's status as text
    jsonlines.py    an event as JSON
    safe_text.py    makes foreign text safe to print
    logs.py         the log on stderr

Rule 1: importing this package costs nothing. `pollwise --version` imports no other package, and `pollwise --help` only those
that parse arguments.
Rule 2: stdout has the output of the command; stderr has messages about the command.
Rule 3: a traceback is shown only with -v.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pollwise.cli import _loading

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})
_VERSION = [["--version"], ["version"]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (exit_status.py). `arguments` default to the process's own."""
    if arguments is not None:
        return _main(arguments)
    _loading.begin()
    try:
        return _main(sys.argv[1:])
    finally:
        _loading.end()


def _main(arguments: Sequence[str]) -> int:
    try:
        if list(arguments) in _VERSION:
            from pollwise.cli.version import print_version  # noqa: PLC0415  rule 1

            return print_version()
        from pollwise.cli.run import run  # noqa: PLC0415  the extra may not be installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print("pollwise: the command line needs its extra: pip install 'pollwise[cli]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return run(arguments)
