from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("arguments", [["worker"], ["status"], ["submit", "jobs.jsonl"]])
async def test_a_database_is_needed(arguments: list[str], command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command says how the database is named."""
    monkeypatch.delenv("POLLWISE_POSTGRES", raising=False)
    status, out, err = await command("fleet", *arguments)
    assert (status, out) == (2, "")
    assert "name the database, such as postgresql://user@host:5432/database, or set POLLWISE_POSTGRES" in err


@pytest.mark.parametrize(
    "arguments", [[], ["postgresql://h/d"], ["postgresql://h/d", "jobs.jsonl", "-"], ["a.csv", "-"]]
)
async def test_one_file_of_jobs_is_needed(arguments: list[str], command: Run) -> None:
    """A file, or - for stdin: not both, and not none."""
    status, out, err = await command("fleet", "submit", *arguments)
    assert (status, out) == (2, "")
    assert "one file of jobs, or - for stdin" in err


async def test_the_file_alone_is_enough(command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The database can be in the environment."""
    monkeypatch.setenv("POLLWISE_POSTGRES", "postgresql://user:hunter2@127.0.0.1:1/jobs")
    file = tmp_path / "jobs.csv"
    file.write_text("endpoint,task_id\ndocument360,t-1\n")
    status, out, err = await command("fleet", "submit", str(file), "--document360-url", "https://d.example")
    assert (status, out) == (74, "")
    assert err.startswith("pollwise: postgresql://127.0.0.1:1/jobs cannot be reached: ")
    assert "then run the command again" in err


@pytest.mark.parametrize("name", ["worker", "submit", "status", "demo"])
async def test_the_help_has_the_exit_statuses(name: str, command: Run) -> None:
    """Each command explains its exit statuses."""
    status, out, err = await command("fleet", name, "--help")
    assert (status, err) == (0, "")
    assert "Exit status:" in out


async def test_a_worker_has_no_options_of_a_watch(command: Run) -> None:
    """Deadlines come with the jobs, and a worker writes no documents."""
    for option in ("--timeout=5", "--json", "--output=json", "--query=x"):
        status, _, err = await command("fleet", "worker", "postgresql://h/d", option)
        assert status == 2
        assert "Unknown option" in err
