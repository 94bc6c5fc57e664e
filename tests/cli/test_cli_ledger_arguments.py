"""The arguments of `pollwise ledger`."""

from __future__ import annotations

import pytest

from pollwise.cli import main


@pytest.mark.parametrize(
    ("command", "usage"), [("show", ""), ("export", ""), ("check", ""), ("recover", " NEW"), ("migrate", "")]
)
def test_the_help_has_the_arguments_and_the_exit_statuses(
    command: str, usage: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fits 80 columns."""
    environment.setenv("COLUMNS", "80")
    assert main(["ledger", command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Usage: pollwise ledger {command} [OPTIONS] LEDGER{usage}"
    assert any(line.startswith("  2    usage, or the ledger does not exist") for line in lines)
    assert max(map(len, lines)) <= 80
