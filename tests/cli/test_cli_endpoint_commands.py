"""The help of the commands about endpoints."""

from __future__ import annotations

import pytest

from pollwise.cli import main


@pytest.mark.parametrize("command", ["endpoint", "endpoint check", "endpoint list"])
def test_help_fits_80_columns(
    command: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit statuses."""
    environment.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    statuses = lines[lines.index("Exit status:") + 1 :]
    assert max(map(len, lines)) <= 80
    assert all(line[2].isdigit() for line in statuses)
