"""The commands by name, with the first lines of their help.

Rule 1: `pollwise --help` imports nothing but this file. A command's file is imported when it is named.
Rule 2: a command is an `async def` that returns its exit status. It imports its engine when it runs.
Rule 3: a help text here begins with the first line of the docstring of its command.
"""

from __future__ import annotations

from cyclopts import App

from pollwise.cli import exit_texts
from pollwise.cli.profile_options import apply_profile

__all__ = ["app"]

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
  pollwise batch jobs.jsonl --profile staging
  pollwise ledger show jobs.jsonl.ledger
  pollwise simulator --faults 0.2

{exit_texts.WATCH}"""

_BATCH = """\
Watch all jobs of a file and write one result file. Can be interrupted and continued.

Each row names its `endpoint`, as `pollwise watch` does, and the keys of its
job. In JSON lines a row is an object; in CSV the first row names the
columns. Other fields of a row are copied to its result. A job with two
rows is watched once.

The credentials are read from the environment, as for `pollwise watch`.
Those of one endpoint belong to one account. Run the command once for each account.
"""
_CHECK = """\
Check name resolution, proxy, TLS, credentials and one job: a line for each.

One status request is sent, and nothing is changed.
"""
_COMPLETION = """\
Print the script that completes commands, options, files and endpoints in a shell.

bash: pollwise completion bash > ~/.local/share/bash-completion/completions/pollwise
zsh:  pollwise completion zsh > _pollwise, in a folder of $fpath
fish: pollwise completion fish > ~/.config/fish/completions/pollwise.fish
"""
_RESULT = """\
Wait for a job, then write its result: JSON to stdout, or what it is to a file.

The events are written to stderr.
"""


def _version() -> str:
    from pollwise.cli.version import version_text  # noqa: PLC0415  it reads the metadata of the package

    return version_text()


app = App(
    name="pollwise",
    help="Await the jobs that other people's servers run.",
    help_format="plaintext",
    help_epilogue=_EXAMPLES,
    version=_version,
    config=apply_profile,
)


def _add(name: str, where: str, text: str, exits: str | None = None) -> None:
    epilogue = {} if exits is None else {"help_epilogue": exits}  # a group of commands has its own
    app.command(f"pollwise.cli.{where}", name=name, help=text, **epilogue)


_add("batch", "batch_command:batch", _BATCH, exit_texts.BATCH)
_add("cancel", "job_commands:cancel", "Ask the server once to stop a job, and print its answer.", exit_texts.CANCEL)
_add("check", "job_commands:check", _CHECK, exit_texts.CHECK)
_add("completion", "shell_commands:completion", _COMPLETION)
_add(
    "demo",
    "demo_commands:demo",
    "Watch a dozen jobs of both vendors on a simulator that fails on purpose.",
    exit_texts.DEMO,
)
_add("endpoint", "endpoint_commands:app", "Check declared endpoints, and list all that have a name.")
_add("fleet", "fleet_commands:app", "Share jobs among several workers, through PostgreSQL.")
_add("help", "shell_commands:show_help", "Show the help of a command, as --help does.")
_add("ledger", "ledger_arguments:app", "Show a ledger, also while another process writes it.")
_add("profile", "profile_commands:app", "Show the options that are kept in files.")
_add("result", "job_commands:result", _RESULT, exit_texts.RESULT)
_add(
    "simulator",
    "demo_commands:simulator",
    "Serve both vendors' status calls on this machine, with jobs to watch.",
    exit_texts.SERVER,
)
_add(
    "submit",
    "job_commands:submit",
    "Start a job, and print its keys as `pollwise watch` takes them.",
    exit_texts.SUBMIT,
)
_add("version", "shell_commands:version", "Show the version, as --version does.")
_add("watch", "watch_commands:app", "Watch one job to its outcome.")
