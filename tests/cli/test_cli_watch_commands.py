"""The help of `pollwise watch` and its commands."""

from __future__ import annotations

import pytest

from pollwise.cli import main


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("watch", "Usage: pollwise watch COMMAND [OPTIONS] [ARGS...]"),
        ("watch --help", "Usage: pollwise watch COMMAND [OPTIONS] [ARGS...]"),
        ("watch document360 --help", "Usage: pollwise watch document360 [OPTIONS] TASK_ID"),
        ("watch oracle-content --help", "Usage: pollwise watch oracle-content [OPTIONS] FILE_ID JOB_ID"),
        ("watch url --help", "Usage: pollwise watch url [OPTIONS] URL [ARGS...]"),
    ],
)
def test_the_help_has_the_arguments_and_the_exit_statuses(
    command: str, usage: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fits 80 columns. `watch` alone shows it, too."""
    environment.setenv("COLUMNS", "80")
    assert main(command.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == usage
    assert "  3    gave up: deadline or outage; the job may still be running" in lines
    assert max(map(len, lines)) <= 80
