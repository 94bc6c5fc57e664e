"""`pollwise batch` for endpoints of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pollwise.simulator import Simulator

Run = Callable[..., Any]
QUICK = ("--interval", "0.02", "--rate", "100000/s")
FROM_HERE = "pollwise: exports is declared in pollwise.toml\npollwise: reports is declared in pollwise.toml\n"


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


ROWS = [
    {"endpoint": "exports", "id": 7, "customer": "ACME"},
    {"endpoint": "reports", "owner": "a", "name": "b"},
    {"endpoint": "exports", "id": 8},
    {"endpoint": "exports", "id": "9"},
]


async def test_one_file_has_jobs_of_several_endpoints(exports: Any, command: Run, tmp_path: Path) -> None:
    """Rows name them as `watch` does. Results, report and ledger have them, and no secret."""
    exports.ends["8"] = "error"
    jobs, out, page = write(tmp_path / "jobs.jsonl", ROWS), tmp_path / "out", tmp_path / "page.html"
    status, texts, err = await command("batch", jobs, "--out", str(out), "--report", str(page), *QUICK)
    assert (status, err) == (1, FROM_HERE)
    results = read(out)
    assert [line["event"] for line in results] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert [line["job"] for line in results] == [{"id": "7"}, {"owner": "a", "name": "b"}, {"id": "8"}, {"id": "9"}]
    assert (results[0]["row"], results[0]["status"]["file"]) == ({"customer": "ACME"}, "f7")
    assert results[2]["error"] == {"type": "JobFailed", "message": "failed: no disk for 8"}
    assert "exports 8 failed (" in texts
    assert exports.seen in {"Bearer exports-secret", None}
    ledger = f"{jobs}.ledger"
    shown, exported = (await command("ledger", "show", ledger))[1], (await command("ledger", "export", ledger))[1]
    assert "1 failed exports: no disk for 8 (8)" in shown
    assert '"job":{"name":"b","owner":"a"}' in exported
    for text in (texts, out.read_text(), page.read_text(encoding="utf-8"), shown, exported):
        assert "exports-secret" not in text
        assert "exports(id" not in text  # no `repr` of a job


async def test_the_columns_of_csv_are_the_keys(exports: Any, command: Run, tmp_path: Path) -> None:
    """A whole number is written as it is. The rows of one endpoint leave the columns of another one empty."""
    (tmp_path / "jobs.csv").write_text("endpoint,id,owner,name,note\nexports,7,,,x\nreports,,a,b,\n")
    status, _, err = await command("batch", "jobs.csv", "--out", "out", *QUICK)
    assert (status, err) == (0, FROM_HERE)
    assert [line["job"] for line in read(tmp_path / "out")] == [{"id": "7"}, {"owner": "a", "name": "b"}]
    (tmp_path / "one.csv").write_text("id\n7\n")
    assert (await command("batch", "one.csv", "--endpoint", "exports", *QUICK))[0] == 0


async def test_a_declared_job_is_beside_a_vendors(
    exports: Any, simulator: Simulator, command: Run, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The vendor's URL is the option or variable that it was, or a `--base-url`."""
    simulator.add_delete("T", duration_s=0.0)
    rows = [{"endpoint": "document360", "task_id": "T"}, {"endpoint": "exports", "id": 7}]
    jobs = write(tmp_path / "jobs.jsonl", rows)
    base_url = ("--base-url", f"document360={simulator.document360_url}")
    status, out, _ = await command("batch", jobs, *base_url, *QUICK)
    assert status == 0
    assert "document360 T succeeded" in out
    assert "exports 7 succeeded" in out


async def test_a_second_run_sends_nothing_for_known_ends(exports: Any, command: Run, tmp_path: Path) -> None:
    """And watches an abandoned job again."""
    exports.ends["8"] = "forbidden"
    jobs = write(tmp_path / "jobs.jsonl", ROWS[:1] + ROWS[2:])
    status, texts, _ = await command("batch", jobs, *QUICK)
    assert status == 3
    assert "exports 8 abandoned" in texts
    polls = exports.polls.copy()
    exports.ends["8"] = "done"
    status, texts, _ = await command("batch", jobs, *QUICK)
    assert status == 0
    assert exports.polls["/exports/7"] == polls["/exports/7"]
    assert "2 of them in earlier runs" in texts


async def test_a_killed_batch_continues(exports: Any, command: Run, start: Callable[..., Any], tmp_path: Path) -> None:
    """After SIGKILL the same command polls only the jobs whose ends are not known."""
    exports.ends["9"] = "never"
    jobs = write(tmp_path / "jobs.jsonl", ROWS)
    child = await start("batch", jobs, "--json", *QUICK)
    for _ in range(3):
        assert json.loads(await child.line())["event"] == "succeeded"
    child.process.kill()
    await child.process.wait()
    polls = exports.polls.copy()
    exports.ends["9"] = "done"
    status, _, _ = await command("batch", jobs, "--out", "out", *QUICK)
    assert status == 0
    assert [line["event"] for line in read(tmp_path / "out")] == ["succeeded"] * 4
    assert {path for path in polls if exports.polls[path] > polls[path]} == {"/exports/9"}


async def test_each_endpoint_has_its_url_and_account(exports: Any, command: Run, tmp_path: Path) -> None:
    """Options name the endpoint. The others have the account of `--account`."""
    file = tmp_path / "pollwise.toml"
    file.write_text(file.read_text().replace(exports.url, "https://api.example.com"))
    options = ("--base-url", f"exports={exports.url}", "--base-url", f"reports={exports.url}")
    options += ("--account", "acme", "--account-of", "reports=umbrella")
    jobs, out = write(tmp_path / "jobs.jsonl", ROWS[:2]), tmp_path / "out"
    status, texts, _ = await command("batch", jobs, "--out", str(out), *options, *QUICK)
    assert status == 0
    assert [line["account"] for line in read(out)] == ["acme", "umbrella"]
    assert "exports (acme) 7 succeeded" in texts


@pytest.mark.parametrize(
    ("row", "states"),
    [
        ({"endpoint": "export", "id": 7}, "there is no endpoint 'export'; did you mean exports or reports?"),
        ({"endpoint": "zzz", "id": 7}, "there is no endpoint 'zzz'; `pollwise endpoint list` shows names"),
        ({"endpoint": 7}, "there is no endpoint 7; write its name as a text"),
        ({"endpoint": "exports"}, "it has no id, which exports needs"),
        ({"endpoint": "reports", "name": "x"}, "it has no owner, which reports needs"),
        ({"endpoint": "exports", "id": "seven"}, "key id must be a whole number, such as 7"),
        ({"endpoint": "exports", "id": True}, "id must be a whole number, got bool"),
        ({"endpoint": "exports", "id": 7.0}, "id must be a whole number, got float"),
        ({"endpoint": "exports", "id": [7]}, "id must be a whole number, got list"),
        ({"endpoint": "reports", "owner": 7, "name": "x"}, "owner must be a str, got int"),
        ({"endpoint": "reports", "owner": "..", "name": "x"}, "owner must not be '..', which means another path"),
    ],
)
async def test_bad_rows_are_found_before_the_first_poll(
    row: dict[str, Any], states: str, exports: Any, command: Run, tmp_path: Path
) -> None:
    """All of them, with their lines and what to write."""
    jobs = write(tmp_path / "jobs.jsonl", [ROWS[0], row])
    status, out, err = await command("batch", jobs)
    assert (status, out) == (2, "")
    assert err.splitlines()[0] == f"pollwise: {jobs}:2: {states}"
    assert not exports.polls


@pytest.mark.parametrize(
    ("options", "states"),
    [
        (
            ("--endpoint", "export"),
            "no endpoint export in pollwise.toml; there are exports, reports. Did you mean exports or reports?",
        ),
        (("--base-url", "export=https://x"), "no endpoint export"),
        (("--base-url", "https://u:hunter2@x/?a=b"), "write --base-url NAME=URL, where NAME is an endpoint"),
        (("--base-url", "exports=a.example"), "the base URL must be an absolute http or https URL"),
        (("--base-url", "exports=https://x", "--base-url", "exports=https://y"), "--base-url names exports twice"),
        (("--account-of", "exports"), "write --account-of NAME=ACCOUNT"),
        (
            ("--base-url", "exports=https://u:hunter2@x"),
            "the base URL must not hold credentials; set them as environment",
        ),
        (("--account-of", "exports= x"), "--account-of exports: account must hold printable characters alone"),
        (("--account", " x"), "--account must hold printable characters alone"),
        (("--endpoints", "other.toml"), "other.toml: cannot be read: No such file"),
    ],
)
async def test_a_wrong_option_is_a_usage_error(
    options: tuple[str, ...], states: str, exports: Any, command: Run, tmp_path: Path
) -> None:
    """Before anything is sent, and without what it says of a secret."""
    status, out, err = await command("batch", write(tmp_path / "jobs.jsonl", ROWS), *options)
    assert (status, out) == (2, "")
    assert states in err
    assert "hunter2" not in err
    assert not exports.polls


async def test_a_variable_that_is_not_set_is_named(
    exports: Any, command: Run, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After the rows were checked, so that both are known at once."""
    environment.delenv("EXPORTS_TOKEN")
    jobs = write(tmp_path / "jobs.jsonl", ROWS)
    assert "set the environment variable EXPORTS_TOKEN" in (await command("batch", jobs))[2]
    jobs = write(tmp_path / "bad.jsonl", [*ROWS, {}])
    assert "1 of 5 rows" in (await command("batch", jobs))[2]


async def test_a_named_file_is_the_only_one(exports: Any, command: Run, tmp_path: Path) -> None:
    """As for `watch`."""
    (tmp_path / "other.toml").write_text((tmp_path / "pollwise.toml").read_text().replace("[exports]", "[others]"))
    rows = [{"endpoint": "others", "id": 7}, {"endpoint": "openai-batch", "id": "x"}]
    jobs = write(tmp_path / "jobs.jsonl", rows)
    status, _, err = await command("batch", jobs, "--endpoints", "other.toml")
    assert status == 2
    assert "there is no endpoint 'openai-batch'" in err
    jobs = write(tmp_path / "good.jsonl", rows[:1])
    assert (await command("batch", jobs, "--endpoints", "other.toml", *QUICK))[0::2] == (0, "")


async def test_jobs_that_are_urls_are_each_checked(exports: Any, command: Run, tmp_path: Path) -> None:
    """No job of an endpoint with many origins goes over plain http to another machine."""
    (tmp_path / "pollwise.toml").write_text(
        '[links]\njob = ["url"]\npoll = "GET {+url}"\nstate = "state"\nsucceeded = ["done"]\n'
    )
    rows = [
        {"endpoint": "links", "url": f"{exports.url}/exports/1"},
        {"endpoint": "links", "url": "http://a.example/x"},
    ]
    status, _, err = await command("batch", write(tmp_path / "jobs.jsonl", rows))
    assert status == 2
    assert "http://a.example is plain http to another machine" in err
    assert not exports.polls
