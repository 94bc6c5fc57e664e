"""The commands: their names, arguments and help.

Rule 1: this file imports only what `--help` needs. A command imports its engine when it runs.
Rule 2: a command is an `async def` that returns its exit status. The code of a command is in the file of its name.
"""

# ruff: noqa: PLC0415  rule 1

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from pollwise.cli import endpoint_commands, job_commands
from pollwise.cli.batch_options import BatchOptions
from pollwise.cli.exit_status import UsageError
from pollwise.cli.options import (
    CommonOptions,
    Count,
    EndpointOptions,
    FilePath,
    LogOptions,
    Names,
    Port,
    ReadOptions,
    Seconds,
    Seed,
    Share,
    WatchOptions,
)

__all__ = ["app"]

_EXITS = """\
Exit status:
  0    succeeded
  1    failed or cancelled
  2    usage
  3    gave up: deadline or outage; the job may still be running
  4    the server does not know the job
  5    the credentials were refused, or may not see the job
  6    the set-up is wrong: base URL, certificate or proxy
  130  interrupted with Ctrl-C
"""
_DEMO_EXITS = """\
Exit status:
  0    every job ended as the simulator planned, failures included
  1    pollwise reported another outcome
  130  interrupted with Ctrl-C
"""
_SERVER_EXITS = """\
Exit status:
  2    usage, or the port is in use
  130  interrupted with Ctrl-C
  143  terminated
"""
_BATCH_EXITS = """\
Exit status:
  0    all succeeded
  1    some failed or were cancelled, and none was abandoned
  2    usage, or bad rows in JOBS; no request was sent
  3    some were abandoned: those jobs may still be running
  5    the credentials were refused
  6    the set-up is wrong: base URL, certificate or proxy
  74   the ledger or another file cannot be written
  130  interrupted with Ctrl-C; run the same command to continue
  143  terminated; run the same command to continue
"""
_LEDGER_EXITS = """\
Exit status:
  0    done
  1    done, but some rows are damaged and were left out
  2    usage, or the ledger does not exist
  74   the ledger cannot be read, or the output cannot be written
"""
_REPAIR_EXITS = """\
Exit status:
  0    all rows are sound
  1    some rows, or the file, are damaged
  2    usage, or the ledger does not exist, or the new file exists
  74   no row can be read, or the new file cannot be written
"""
_EXAMPLES = f"""\
Examples:
  pollwise demo
  pollwise watch document360 TASK --base-url https://apihub.document360.io
  pollwise watch oracle-content FILE JOB --base-url https://example.com --json
  pollwise watch openai-batch id=batch_7
  pollwise watch exports id=7 --endpoints endpoints.toml
  pollwise watch url 'https://a.example/{{id}}' id=7 --state state --succeeded done
  pollwise result openai-batch id=batch_7 -o output.jsonl
  pollwise cancel openai-batch id=batch_7 --wait
  pollwise submit openai-batch --order order.json --wait
  pollwise check openai-batch id=batch_7
  pollwise endpoint check endpoints.toml --sample reply.json
  pollwise batch jobs.jsonl --out results.jsonl --report page.html
  pollwise ledger show jobs.jsonl.ledger
  pollwise simulator --faults 0.2

{_EXITS}"""

app = App(
    name="pollwise",
    help="Await the jobs that other people's servers run.",
    help_format="plaintext",
    help_epilogue=_EXAMPLES,
    version=lambda: f"pollwise {importlib.metadata.version('pollwise')}",
)
_watch = App(name="watch", help="Watch one job to its outcome.", help_epilogue=_EXITS)
app.command(_watch)
_ledger = App(name="ledger", help="Show a ledger, also while another process writes it.", help_epilogue=_LEDGER_EXITS)
app.command(_ledger)

_USUAL_WATCH = WatchOptions()
_USUAL_ENDPOINT = EndpointOptions()
_USUAL_READ = ReadOptions()
_USUAL = CommonOptions()
_USUAL_LOG = LogOptions()
_USUAL_BATCH = BatchOptions()
job_commands.add_to(app)
endpoint_commands.add_to(app)


@_watch.command(name="document360", help_epilogue=_EXITS)
async def watch_document360(
    task_id: str,
    /,
    *,
    base_url: Annotated[str, Parameter(env_var="DOCUMENT360_BASE_URL", metavar="URL")],
    options: WatchOptions = _USUAL_WATCH,
) -> int:
    """Watch a Document360 delete-file task.

    The API token is read from DOCUMENT360_API_TOKEN.

    Args:
        task_id: The task ID in the reply to the delete request.
        base_url: The API's root, which differs by region, such as https://apihub.document360.io
        options: How to watch and what to show.
    """
    from pollwise.cli import vendors
    from pollwise.cli.watch import watch_job
    from pollwise.endpoints.document360 import DeleteFileJob

    return await watch_job(vendors.document360(base_url, options.account), DeleteFileJob(task_id), options)


@_watch.command(name="oracle-content", help_epilogue=_EXITS)
async def watch_oracle_content(
    file_id: str,
    job_id: str,
    /,
    *,
    base_url: Annotated[str, Parameter(env_var="ORACLE_CONTENT_BASE_URL", metavar="URL")],
    options: WatchOptions = _USUAL_WATCH,
) -> int:
    """Watch an Oracle Content Management ZIP extraction.

    The credentials are read from ORACLE_CONTENT_TOKEN, or else from
    ORACLE_CONTENT_USER and ORACLE_CONTENT_PASSWORD.

    Args:
        file_id: The GUID of the ZIP file.
        job_id: The GUID of the extraction job.
        base_url: The root of the service: https://host[:port]
        options: How to watch and what to show.
    """
    from pollwise.cli import vendors
    from pollwise.cli.watch import watch_job
    from pollwise.endpoints.oracle_content import ExtractionJob

    return await watch_job(vendors.oracle_content(base_url, options.account), ExtractionJob(file_id, job_id), options)


@_watch.default
async def watch_named(name: str | None = None, /, *keys: str, options: EndpointOptions = _USUAL_ENDPOINT) -> int:
    """Watch a job of an endpoint that a file, an installed package or the catalog has.

    The credentials are read from the environment variables that the declaration names.

    Args:
        name: The endpoint: a table of the file, or a name of `pollwise endpoint list`.
        keys: The keys of the job, each as KEY=VALUE.
        options: How to watch and what to show.
    """
    from pollwise.cli.watch import named_job, watch_job

    if name is None:
        app.help_print(["watch"])
        return 0
    return await watch_job(*named_job(name, keys, options), options)


@_watch.command(name="url", help_epilogue=_EXITS)
async def watch_url(
    url: str,
    /,
    *keys: str,
    read: ReadOptions = _USUAL_READ,
    options: WatchOptions = _USUAL_WATCH,
) -> int:
    """Watch a job by its URL, without a declaration.

    Args:
        url: The URL, with {KEY} where a key of the job stands.
        keys: The keys of the job, each as KEY=VALUE.
        read: How to read a reply, and where the credentials are.
        options: How to watch and what to show.
    """
    from pollwise.cli import declared
    from pollwise.cli.watch import watch_job
    from pollwise.endpoints.declared import DeclaredEndpoint

    declaration = declared.url_declaration(url, read.words(), read.auth())
    endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(declaration, account=options.account)
    return await watch_job(endpoint, declared.job_of(endpoint, keys), options)


@app.command(help_epilogue=_BATCH_EXITS)
async def batch(
    jobs: str | None = None,
    /,
    *,
    stdin: Annotated[bool, Parameter(name="-", negative="", show_default=False)] = False,
    options: BatchOptions = _USUAL_BATCH,
) -> int:
    """Watch all jobs of a file and write one result file. Can be interrupted and continued.

    Each row names its `endpoint`, as `pollwise watch` does, and the keys of its
    job. In JSON lines a row is an object; in CSV the first row names the
    columns. Other fields of a row are copied to its result. A job with two
    rows is watched once.

    The credentials are read from the environment, as for `pollwise watch`.
    Those of one endpoint belong to one account. Run the command once for each account.

    Args:
        jobs: A file ending in .jsonl or .csv.
        stdin: Read the jobs from stdin instead.
        options: How to watch, what to write and what to show.
    """
    from pollwise.cli.batch import run_batch

    if stdin == (jobs is not None):
        raise UsageError("name one file of jobs, or - for stdin. Try: pollwise batch --help")
    return await run_batch("-" if jobs is None else jobs, options)


@_ledger.command(name="show", help_epilogue=_LEDGER_EXITS)
async def show_ledger(ledger: Path, /, *, report: FilePath = None, options: CommonOptions = _USUAL) -> int:
    """Show the numbers of a ledger.

    Args:
        ledger: The file.
        report: Also write a report to this file, as one HTML page.
        options: What to show.
    """
    from pollwise.cli import ledger_commands

    return await ledger_commands.show_ledger(ledger, json_wanted=options.json, report=report)


@_ledger.command(name="export", help_epilogue=_LEDGER_EXITS)
async def export_ledger(
    ledger: Path,
    /,
    *,
    out: FilePath = None,
    include_open: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    options: LogOptions = _USUAL_LOG,  # noqa: ARG001  read by run.py, as every command's
) -> int:
    """Write a ledger's outcomes as JSON lines, in the order of recording.

    Args:
        ledger: The file.
        out: Write to this file instead of stdout, whole or not at all.
        include_open: Also write watches without an outcome.
        options: What to log; read by run.py.
    """
    from pollwise.cli import ledger_commands

    return await ledger_commands.export_ledger(ledger, out=out, include_open=include_open)


@_ledger.command(name="check", help_epilogue=_REPAIR_EXITS)
async def check_ledger(ledger: Path, /, *, options: CommonOptions = _USUAL) -> int:
    """List the damaged rows of a ledger. The ledger stays as it is.

    Args:
        ledger: The file.
        options: What to show.
    """
    from pollwise.cli import ledger_repair

    return await ledger_repair.check(ledger, json_wanted=options.json)


@_ledger.command(name="recover", help_epilogue=_REPAIR_EXITS)
async def recover_ledger(ledger: Path, new: Path, /, *, options: CommonOptions = _USUAL) -> int:
    """Write the sound rows of a damaged ledger to a new ledger.

    The damaged ledger stays as it is. The jobs of its damaged rows are listed,
    so that they can be recorded again.

    Args:
        ledger: The damaged file.
        new: The new file, which must not exist.
        options: What to show.
    """
    from pollwise.cli import ledger_repair

    return await ledger_repair.recover(ledger, new, json_wanted=options.json)


@app.command(help_epilogue=_DEMO_EXITS)
async def demo(*, seed: Seed = 0, seconds: Seconds = 10.0, options: CommonOptions = _USUAL) -> int:
    """Watch a dozen jobs of both vendors on a simulator that fails on purpose.

    Args:
        seed: Decides which faults happen, and when.
        seconds: Approximate duration of the demo.
        options: What to show.
    """
    from pollwise.cli.demo import run_demo

    return await run_demo(seed=seed, seconds=seconds, options=options)


@app.command(help_epilogue=_SERVER_EXITS)
async def simulator(
    *,
    port: Port = 0,
    seed: Seed = 0,
    jobs: Count = 12,
    seconds: Seconds = 30.0,
    faults: Share = 0.0,
    fault: Names = (),
    odd: Names = (),
    cache: Seconds | None = None,
    requests_per_minute: Count | None = None,
    options: LogOptions = _USUAL_LOG,  # noqa: ARG001  read by run.py, as every command's
) -> int:
    """Serve both vendors' status calls on this machine, with jobs to watch.

    Args:
        port: The port to listen on; 0 chooses a free one.
        seed: Decides everything that is random.
        jobs: How many jobs to offer.
        seconds: Duration of the longest job; a job starts with its first poll.
        faults: Share of the requests with a fault, from 0 to 1.
        fault: A fault to choose from, such as bad-gateway; may be repeated. Without it: all common faults.
        odd: An odd form of correct replies, such as text-json; may be repeated.
        cache: Seconds for which a cache repeats replies, unless a request says no-cache.
        requests_per_minute: Document360's rate limit for each token; without it: no limit.
        options: What to log; read by run.py.
    """
    from pollwise.cli.simulate import run_simulator

    return await run_simulator(
        port=port,
        seed=seed,
        jobs=jobs,
        seconds=seconds,
        fault_rate=faults,
        fault_names=fault,
        odd=odd,
        cache_s=cache or 0.0,
        requests_per_minute=requests_per_minute,
    )
