"""`--exec`: a command that runs when a watch or a batch is over."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.exec_command import FACTS, ExecCommand, ExecOptions
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.options import EndpointOptions
from pollwise.cli.watch import named_job, watch_job

Run = Callable[..., Any]
Start = Callable[..., Any]
QUICK = ("--interval", "0.02")
TOLD = ("--exec", "sh -c 'env > told'")
"""A command that writes what it was told."""


def told(folder: Path) -> dict[str, str]:
    """The environment variables of the command."""
    return dict(line.split("=", 1) for line in (folder / "told").read_text().splitlines() if "=" in line)


def facts(folder: Path) -> dict[str, str]:
    return {name.removeprefix("POLLWISE_"): value for name, value in told(folder).items() if name in FACTS}


# --- the text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("", "needs a command"),
        ("''", "needs a command"),
        ("echo 'a", "a quote that is not closed"),
        ("no-such-program-here --flag", "there is no program no-such-program-here that can be run"),
        ("./data", "there is no program ./data that can be run"),
        ("echo done > file", "runs no shell, so > does nothing; write --exec \"sh -c '...'\""),
        ("echo a | cat", "so | does nothing"),
        ("echo \0", "null character"),
    ],
)
def test_a_text_that_is_no_command_is_refused(
    text: str, states: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to write in its place. A file that is not executable is no program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").touch()
    with pytest.raises(UsageError) as refused:
        ExecOptions(command=text).parsed()
    assert states in str(refused.value)


def test_a_text_is_split_as_a_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it is replaced. A program in the current folder is found by its path."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "run me"
    program.touch()
    program.chmod(stat.S_IRWXU)
    assert ExecCommand.parse("'./run me' \"a b\" '$HOME' * ''").words == (str(program), "a b", "$HOME", "*", "")
    assert ExecOptions().parsed() is None


async def test_a_missing_program_is_no_request(exports: Any, command: Run, tmp_path: Path) -> None:
    """It is found out before anything is sent."""
    (tmp_path / "jobs.csv").write_text("id\n7\n")
    for arguments in (("watch", "exports", "id=7"), ("batch", "jobs.csv", "--endpoint", "exports")):
        status, _, err = await command(*arguments, "--exec", "no-such-program-here")
        assert status == 2
        assert "there is no program no-such-program-here" in err
    assert not exports.polls
    assert not (tmp_path / "jobs.csv.ledger").exists()


# --- one job ------------------------------------------------------------------------------------


async def test_the_command_is_told_how_the_job_ended(
    exports: Any, command: Run, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In environment variables, which have no credential of the endpoint and nothing of an earlier command."""
    exports.ends["7"] = "error"
    environment.setenv("POLLWISE_RESULTS", "of an earlier command")
    environment.setenv("POLLWISE_PROFILES", "kept")
    environment.setenv("COPY", "exports-secret")
    status, _, err = await command("watch", "exports", "id=7", "--account", "acme", *QUICK, *TOLD)
    assert (status, err.count("\n")) == (1, 1)
    found = facts(tmp_path)
    assert float(found.pop("ELAPSED_S")) > 0
    assert json.loads(found.pop("JOB")) == {"id": "7"}
    assert found == {
        "COMMAND": "watch",
        "EXIT_STATUS": "1",
        "OUTCOME": "failed",
        "ENDPOINT": "exports",
        "ACCOUNT": "acme",
        "POLLS": "2",
        "REASON": "no disk for 7",
    }
    assert "exports-secret" not in told(tmp_path).values()
    assert told(tmp_path)["POLLWISE_PROFILES"] == "kept"


async def test_a_success_has_no_reason(exports: Any, command: Run, tmp_path: Path) -> None:
    """And the exit status stays 0."""
    assert (await command("watch", "exports", "id=7", "--json", *QUICK, *TOLD))[0] == 0
    assert facts(tmp_path)["OUTCOME"] == "succeeded"
    assert "REASON" not in facts(tmp_path)


@pytest.mark.parametrize(
    ("script", "end", "status", "states"),
    [
        ("exit 3", "done", 7, "the command of --exec ended with status 3"),
        ("exit 3", "error", 1, "the command of --exec ended with status 3"),
        ("kill -9 $$", "done", 7, "the command of --exec was ended by SIGKILL"),
        ("exit 0", "error", 1, ""),
    ],
)
async def test_the_exit_status_is_that_of_the_job(
    script: str, end: str, status: int, states: str, exports: Any, command: Run
) -> None:
    """Unless the job succeeded, and the command failed."""
    exports.ends["7"] = end
    ended, _, err = await command("watch", "exports", "id=7", *QUICK, "--exec", f"sh -c {shlex.quote(script)}")
    assert ended == status
    assert states in err


async def test_a_program_that_goes_away_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as one that is replaced while a batch runs for hours."""
    command = ExecCommand((str(tmp_path / "gone"),))
    assert await command.run(ExitStatus.SUCCEEDED, {}) == ExitStatus.EXEC_FAILED
    assert await command.run(ExitStatus.ABANDONED, {}) == ExitStatus.ABANDONED
    assert "could not be started (No such file or directory)" in capsys.readouterr().err


# --- a batch ------------------------------------------------------------------------------------


async def test_the_command_is_told_how_the_batch_ended(exports: Any, command: Run, tmp_path: Path) -> None:
    """With the numbers of jobs, and the paths of the files that are there."""
    exports.ends["8"] = "error"
    (tmp_path / "jobs.csv").write_text("id\n7\n8\n9\n")
    usual = ("batch", "jobs.csv", "--endpoint", "exports", "--out", "out", *QUICK, "--rate", "100000/s", *TOLD)
    assert (await command(*usual))[0] == 1
    found = facts(tmp_path)
    assert float(found.pop("ELAPSED_S")) > 0
    assert found == {
        "COMMAND": "batch",
        "EXIT_STATUS": "1",
        "OUTCOME": "failed",
        "JOBS": "3",
        "SUCCEEDED": "2",
        "FAILED": "1",
        "CANCELLED": "0",
        "ABANDONED": "0",
        "RESULTS": str(tmp_path / "out"),
        "LEDGER": str(tmp_path / "jobs.csv.ledger"),
    }
    (tmp_path / "jobs.csv").write_text("id\n7\n8\n6\n")
    assert (await command(*usual, "--fail-fast"))[0] == 1
    found = facts(tmp_path)
    assert [found[name] for name in ("OUTCOME", "JOBS", "SUCCEEDED", "FAILED")] == ["stopped", "3", "1", "1"]
    assert "RESULTS" not in found


# --- streams and signals ------------------------------------------------------------------------


async def test_stdout_has_the_events_alone_and_a_signal_is_passed_on(
    exports: Any, start: Start, tmp_path: Path
) -> None:
    """The output of the command goes to stderr, and its stdin is empty. SIGTERM ends it, and then pollwise."""
    script = "trap 'echo ended > ended; exit' TERM; cat; echo said; while :; do sleep 0.01; done"
    child = await start("watch", "exports", "id=7", "--json", *QUICK, "--exec", f"sh -c {shlex.quote(script)}")
    assert child.process.stderr is not None
    while (await child.process.stderr.readline()) != b"said\n":
        assert child.process.returncode is None
    child.process.send_signal(signal.SIGTERM)
    status, out, _ = await child.end()
    assert status == 143
    assert [json.loads(line)["event"] for line in out.splitlines()][-1] == "succeeded"
    assert (tmp_path / "ended").read_text() == "ended\n"


async def test_an_interrupted_watch_runs_no_command(exports: Any, tmp_path: Path) -> None:
    """It is not over."""
    exports.ends["7"] = "never"
    options = EndpointOptions(interval=0.02)
    watch = asyncio.create_task(
        watch_job(*named_job("exports", ["id=7"], options), options, ExecOptions(command=TOLD[1]))
    )
    while not exports.polls:
        await asyncio.sleep(0.01)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert not (tmp_path / "told").exists()
