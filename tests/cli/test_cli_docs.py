"""docs/cli.md describes the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pollwise.cli import main
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.jobs_file import JobRow, reader_for

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        "watch",
        "watch url",
        "watch document360",
        "watch oracle-content",
        "result",
        "cancel",
        "submit",
        "check",
        "endpoint check",
        "endpoint list",
        "profile list",
        "profile show",
        "batch",
        "ledger show",
        "ledger export",
        "fleet worker",
        "fleet submit",
        "fleet status",
        "fleet demo",
        "demo",
        "simulator",
        "completion",
        "help",
        "version",
    ],
)
def test_every_option_is_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each option of each command is in the page."""
    assert main([*command.split(), "--help"]) == 0
    options = set(re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out))
    assert [option for option in sorted(options) if f"`{option}" not in TEXT and f" {option}" not in TEXT] == []
    assert f"pollwise {command}" in TEXT


def test_every_exit_status_is_documented() -> None:
    """Each exit status is in the page."""
    assert [status for status in ExitStatus if f"| {status.value} |" not in TEXT] == []


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_examples_can_be_read(form: str) -> None:
    """The two files of jobs in the page are valid and have the same rows."""
    [example] = re.findall(rf"```{form}\n(.*?)```", TEXT, re.DOTALL)
    reader = reader_for("csv" if form == "csv" else "jsonl")
    rows = [*reader.feed(example.encode()), *reader.end()]
    assert [row.keys for row in rows if isinstance(row, JobRow)] == [
        {"task_id": "65868a00c536f34594713fec"},
        {"file_id": "DC765D5C", "job_id": "ZX-E83150A2"},
    ]
    assert isinstance(rows[-1], JobRow)
    assert rows[-1].rest == {"customer": "ACME"}
