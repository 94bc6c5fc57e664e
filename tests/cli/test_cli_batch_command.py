"""The arguments of `pollwise batch`."""

from __future__ import annotations

import pytest

from pollwise.cli import main


@pytest.mark.parametrize("arguments", [[], ["jobs.jsonl", "-"]])
def test_one_source_of_jobs_is_needed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither none nor two. The error names the command that shows the help."""
    assert main(["batch", *arguments]) == 2
    assert capsys.readouterr().err == ("pollwise: name one file of jobs, or - for stdin. Try: pollwise batch --help\n")
