"""`--fail-fast`: the first job of a batch that ends without success ends the batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
QUICK = ("--interval", "0.02", "--rate", "100000/s", "--fail-fast")


def jobs_of(folder: Path, *numbers: str) -> str:
    """A file with a job of `exports` for each number."""
    path = folder / "jobs.jsonl"
    path.write_text("".join(json.dumps({"endpoint": "exports", "id": int(number)}) + "\n" for number in numbers))
    return str(path)


@pytest.mark.parametrize(
    ("end", "status", "states"),
    [
        ("error", 1, "exports 8 failed: no disk for 8"),
        ("stopped", 1, "exports 8 cancelled: no disk for 8"),
        ("forbidden", 5, "exports 8 abandoned: "),
    ],
)
async def test_the_first_unsuccessful_job_ends_the_batch(
    end: str, status: int, states: str, exports: Any, command: Run, tmp_path: Path
) -> None:
    """The exit status is that of the job. The ledger keeps all, and the batch goes on without the option."""
    exports.ends.update({"8": end, "9": "never"})
    jobs, out = jobs_of(tmp_path, "7", "8", "9"), tmp_path / "out"
    ended, texts, err = await command("batch", jobs, "--out", str(out), "--report", "page.html", *QUICK)
    assert ended == status, err
    assert f"exports 8 {states.split()[2].rstrip(':')} (" in texts
    assert f"--fail-fast ended the batch; {out} is not written: {states}" in err
    abandoned = ", 1 of them abandoned" if end == "forbidden" else ""
    assert f" over{abandoned}; the others may still be running. Run the command without --fail-fast to continue" in err
    assert not out.exists()
    assert "of 3 are over" in (tmp_path / "page.html").read_text(encoding="utf-8")
    exports.ends["9"] = "done"
    ended, _, _ = await command("batch", jobs, "--out", str(out), *QUICK[:-1])
    assert ended == (3 if end == "forbidden" else 1)
    assert len(out.read_text().splitlines()) == 3


async def test_a_failure_of_an_earlier_run_ends_the_batch(exports: Any, command: Run, tmp_path: Path) -> None:
    """The same command ends in the same way and sends nothing. Rows of other jobs and accounts do not count."""
    exports.ends["8"] = "error"
    jobs = jobs_of(tmp_path, "7", "8")
    assert (await command("batch", jobs, "--ledger", "shared", *QUICK[:-1]))[0] == 1
    polls = exports.polls.copy()
    (tmp_path / "jobs.jsonl").write_text('{"endpoint":"exports","id":8}\n{"endpoint":"exports","id":6}\n')
    ended, texts, err = await command("batch", jobs, "--ledger", "shared", *QUICK)
    assert (ended, texts, exports.polls) == (1, "", polls)
    assert "--fail-fast ended the batch; nothing was sent: exports 8 failed in an earlier run: no disk for 8" in err
    assert "Run the command without --fail-fast to continue; `pollwise ledger export shared` has the known" in err
    jobs_of(tmp_path, "7", "6")
    assert (await command("batch", jobs, "--ledger", "shared", *QUICK))[0] == 0
    exports.ends.clear()
    jobs_of(tmp_path, "8")
    assert (await command("batch", jobs, "--ledger", "shared", "--account", "another", *QUICK))[0] == 0


async def test_a_job_that_was_abandoned_is_watched_again(exports: Any, command: Run, tmp_path: Path) -> None:
    """As in every run, so that a batch can go on with the option, too."""
    exports.ends["8"] = "forbidden"
    jobs = jobs_of(tmp_path, "7", "8")
    assert (await command("batch", jobs, *QUICK))[0] == 5
    exports.ends.clear()
    assert (await command("batch", jobs, "--out", "out", *QUICK))[0] == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 2


async def test_the_failure_of_the_last_job_ends_nothing(exports: Any, command: Run, tmp_path: Path) -> None:
    """All jobs are over then, so the results are written."""
    exports.ends["8"] = "error"
    jobs = jobs_of(tmp_path, "8")
    ended, _, err = await command("batch", jobs, "--out", "out", "--json", *QUICK)
    assert (ended, err) == (1, "pollwise: exports is declared in pollwise.toml\n")
    assert json.loads((tmp_path / "out").read_text())["event"] == "failed"
