"""A command whose stdout cannot be written. test_cli_run.py has the commands that end in other ways."""

from __future__ import annotations

import pytest

from pollwise.cli.streams import print_error, with_streams


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left"), 74, "pollwise: the output cannot be written (No space left)\n"),
        (OSError(13, "Denied", "x"), 74, "pollwise: the output cannot be written (x: Denied)\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_end_has_its_status(
    error: BaseException, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most one line says why."""

    def command() -> int:
        raise error

    monkeypatch.setattr("pollwise.cli.streams._discard_stdout", lambda: None)  # it is the stdout of this test run
    assert with_streams(command) == status
    assert capsys.readouterr() == ("", message)


def test_a_url_with_a_password_is_shown_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    """An argument in the wrong place is quoted, but not its password."""
    print_error("Unused Tokens: ['postgresql://me:hun@ter/2@host/jobs', 'https://a.example:80/b']")
    assert (
        capsys.readouterr().err == "pollwise: Unused Tokens: ['postgresql://***@host/jobs', 'https://a.example:80/b']\n"
    )
