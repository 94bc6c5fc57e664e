"""`pollwise completion`, `pollwise help` and `pollwise version`."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

Run = Callable[..., Any]

COMPLETE = """
source {script}
complete -p pollwise
cd {folder}
while read -r line; do
    COMP_LINE="$line" COMP_POINT=${{#line}}
    read -ra COMP_WORDS <<< "$line"
    [[ "$line" == *" ." ]] && COMP_WORDS[-1]=""
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    COMPREPLY=()
    _pollwise pollwise "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
    echo "${{COMPREPLY[@]}}"
done <<'LINES'
{lines}
LINES
"""


async def test_bash_completes_with_the_script(command: Run, tmp_path: Path) -> None:
    """Commands, subcommands, options, values of an option, and files."""
    status, out, err = await command("completion", "bash")
    assert (status, err) == (0, "")
    script, folder = tmp_path / "completion.bash", tmp_path / "folder"
    script.write_text(out)
    folder.mkdir()
    (folder / "jobs.jsonl").touch()
    wanted = {
        "pollwise wat": "watch",
        "pollwise ledger sh": "show",
        "pollwise ledger show --rep": "--report",
        "pollwise watch document360 T --time": "--timeout",
        "pollwise batch --format js": "jsonl",
        "pollwise completion f": "fish",
        "pollwise ledger show jo": "jobs.jsonl",
        "pollwise result exports --out jo": "jobs.jsonl",
        "pollwise submit exports --no-such": "",
    }
    program = COMPLETE.format(script=script, folder=folder, lines="\n".join(wanted))
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "--norc", "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.stderr, done.stdout.splitlines()) == ("", ["complete -F _pollwise pollwise", *wanted.values()])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_the_script_is_that_of_the_installed_cyclopts(
    shell: str, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is printed alone, so it can be redirected to a file."""
    monkeypatch.setattr(App, "generate_completion", lambda _app, shell: f"# what cyclopts makes for {shell}")
    assert await command("completion", shell) == (0, f"# what cyclopts makes for {shell}\n", "")


async def test_another_shell_is_a_usage_error(command: Run) -> None:
    """The message names those that there are."""
    status, out, err = await command("completion", "tcsh")
    assert (status, out) == (2, "")
    assert 'Choose from: "bash", "fish", "zsh".' in err


@pytest.mark.parametrize("words", ["", "watch", "watch document360", "ledger", "ledger show", "batch"])
async def test_help_is_the_help_of_the_command(words: str, command: Run) -> None:
    """`pollwise help X` prints what `pollwise X --help` prints."""
    wanted = await command(*words.split(), "--help")
    assert await command("help", *words.split()) == wanted
    assert wanted[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "wach",
            "there is no command `pollwise wach`. Did you mean `pollwise watch`? `pollwise help` lists the commands.",
        ),
        (
            "ledger shwo",
            "there is no command `pollwise ledger shwo`. Did you mean `pollwise ledger show`? `pollwise help ledger` lists the commands.",
        ),
        ("xyzzy", "there is no command `pollwise xyzzy`. `pollwise help` lists the commands."),
        ("batch x", "`pollwise batch` has no commands. `pollwise help batch` shows its help."),
    ],
)
async def test_the_help_of_an_unknown_command_names_a_near_one(words: str, message: str, command: Run) -> None:
    """It is a usage error."""
    assert await command("help", *words.split()) == (2, "", f"pollwise: {message}\n")


async def test_version_is_a_command_with_help(command: Run) -> None:
    """Its own options work as those of any command."""
    assert "Show the version" in (await command("version", "--help"))[1]
    assert await command("version", "--version") == (0, f"pollwise {metadata.version('pollwise')}\n", "")
