"""The help of the commands for one job."""

from __future__ import annotations

import pytest

from pollwise.cli import main


@pytest.mark.parametrize("command", ["result", "cancel", "submit", "check"])
def test_help_fits_80_columns(
    command: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the arguments, the options and the exit statuses."""
    environment.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Usage: pollwise {command} [OPTIONS] NAME [ARGS...]"
    assert any("NAME" in line and "The endpoint, as for `pollwise watch`. [required]" in line for line in lines)
    statuses = lines[lines.index("Exit status:") + 1 :]
    assert all(len(line) < 80 and line[2].isdigit() for line in statuses)


def test_a_name_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the command that shows the help."""
    assert main(["cancel"]) == 2
    assert "Try: pollwise cancel --help" in capsys.readouterr().err
