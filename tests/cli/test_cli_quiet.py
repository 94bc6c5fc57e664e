"""`--quiet`: outcomes, results and errors, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
QUICK = ("--interval", "50ms")


async def test_watch_shows_the_outcome_alone(exports: Any, command: Run) -> None:
    """As a text or as JSON, and not where the endpoint is from."""
    status, out, err = await command("watch", "exports", "id=7", "-q", *QUICK)
    assert (status, err, len(out.splitlines())) == (0, "", 1)
    assert out.startswith("exports 7 succeeded (2 polls")
    exports.ends["8"] = "error"
    status, out, err = await command("watch", "exports", "id=8", "--quiet", "--json", *QUICK)
    assert (status, err, json.loads(out)["event"]) == (1, "", "failed")


async def test_watch_on_a_terminal_draws_nothing(exports: Any, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet watch has no live rows."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    _, out, _ = await command("watch", "exports", "id=7", "-q", *QUICK)
    assert (out.count("\n"), "\x1b" in out) == (1, False)


async def test_result_shows_the_result_alone(exports: Any, command: Run, tmp_path: Path) -> None:
    """A job without success is on stderr."""
    status, out, err = await command("result", "reports", "owner=a", "name=b", "-q", *QUICK)
    assert (status, json.loads(out), err) == (0, [1, "é\x1b"], "")
    assert await command("result", "exports", "id=7", "-q", "-o", str(tmp_path / "out.bin"), *QUICK) == (0, "", "")
    exports.ends["8"] = "error"
    status, out, err = await command("result", "exports", "id=8", "-q", "-o", str(tmp_path / "out.bin"), *QUICK)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("exports 8 failed (")


async def test_submit_and_cancel_show_their_answer_and_the_outcome(exports: Any, command: Run) -> None:
    """No event between them."""
    _, out, err = await command("submit", "exports", "a=b", "--wait", "-q", *QUICK)
    assert (out.splitlines()[0], out.splitlines()[1][:20], err) == ("exports id=7", "exports 7 succeeded ", "")
    _, out, err = await command("cancel", "exports", "id=9", "--wait", "-q", *QUICK)
    assert ([line.split(" (")[0] for line in out.splitlines()], err) == (
        ["exports 9: the server accepted the cancel request", "exports 9 cancelled"],
        "",
    )


async def test_batch_shows_outcomes_and_the_summary(exports: Any, command: Run, tmp_path: Path) -> None:
    """On stdout, as in a pipe. stderr has nothing."""
    (tmp_path / "jobs.jsonl").write_text('{"endpoint": "exports", "id": 7}\n')
    status, out, err = await command("batch", "jobs.jsonl", "-q", *QUICK)
    assert (status, err) == (0, "")
    assert [line.split(" (")[0].split(" in ")[0] for line in out.splitlines()] == ["exports 7 succeeded", "1 job"]


async def test_check_shows_what_is_wrong(exports: Any, command: Run) -> None:
    """Nothing, if all is right."""
    assert await command("check", "exports", "id=7", "-q") == (0, "", "")
    exports.ends["8"] = "forbidden"
    status, out, err = await command("check", "exports", "id=8", "-q")
    assert (status, err, out.split()[:2]) == (5, "", ["job", "wrong"])


async def test_an_error_is_shown(exports: Any, command: Run) -> None:
    """As without the option."""
    status, out, err = await command("watch", "exprts", "id=7", "-q")
    assert (status, out, "Did you mean " in err) == (2, "", True)


async def test_quiet_and_verbose_contradict_each_other(command: Run) -> None:
    """Nothing is sent."""
    status, _, err = await command("watch", "openai-batch", "id=7", "-q", "-v")
    assert (status, err) == (2, "pollwise: --quiet and --verbose contradict each other; give one of them\n")
