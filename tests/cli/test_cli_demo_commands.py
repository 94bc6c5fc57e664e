"""The arguments of `pollwise demo` and `pollwise simulator`."""

from __future__ import annotations

import pytest

from pollwise.cli import main


@pytest.mark.parametrize(("command", "status"), [("demo", "every job ended as"), ("simulator", "the port is in use")])
def test_the_exit_statuses_are_those_of_the_command(
    command: str, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help lists no status that the command never has."""
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert status in out
    assert "credentials" not in out
