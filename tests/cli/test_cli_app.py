from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from cyclopts.command_spec import CommandSpec

from pollwise.cli import main
from pollwise.cli.app import app


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        ("", ["demo", "watch", "simulator", "Examples:", "pollwise demo", "130  interrupted with Ctrl-C"]),
        ("--help", ["Examples:", "3    gave up"]),
        ("watch", ["document360", "oracle-content"]),
        (
            "watch document360 --help",
            [
                "TASK_ID",
                "--base-url URL",
                "DOCUMENT360_API_TOKEN",
                "DOCUMENT360_BASE_URL",
                "--timeout",
                "DURATION|none",
                "[default: 1h]",
                "--json",
            ],
        ),
        ("watch oracle-content -h", ["FILE_ID", "JOB_ID", "ORACLE_CONTENT_TOKEN", "ORACLE_CONTENT_PASSWORD"]),
        ("demo --help", ["--seed", "--seconds", "failures included"]),
        ("simulator --help", ["--port", "--faults RATE", "--jobs", "--requests-per-minute"]),
    ],
)
def test_the_help(
    arguments: str, states: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help of every command fits 80 columns. No option takes a secret."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(arguments.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [state for state in states if state not in out] == []
    assert max(map(len, out.splitlines())) <= 80
    assert "--token" not in out
    assert "--password" not in out


def test_the_list_of_the_commands_says_what_each_command_says() -> None:
    """The first line of a command in `pollwise --help` is that of its own docstring."""
    for name, listed in app._commands.items():
        if isinstance(listed, CommandSpec) and not listed.import_path.endswith(":app"):
            where, _, function = listed.import_path.partition(":")
            own = getattr(importlib.import_module(where), function).__doc__
            assert (name, (listed.help or "").splitlines()[0]) == (name, own.splitlines()[0])


def test_help_loads_no_engine() -> None:
    """`--help` does not import the modules that only a watch needs."""
    code = (
        "import sys, pollwise.cli\n"
        "pollwise.cli.main(['watch', 'document360', '--help'])\n"
        "loaded = {'aiohttp.web', 'rich.live', 'pollwise.simulator', 'pollwise.cli.watch'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(loaded)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
