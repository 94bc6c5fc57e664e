from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise.cli import batch
from pollwise.cli.batch import batch_exit_status
from pollwise.cli.batch_progress import BatchProgress
from pollwise.ledger import LedgerFull, SqliteLedger
from pollwise.simulator import Fault, Faults, Simulator
from raw_server import Line, raw_server
from raw_server import reply as http_reply
from spellings import SPELLINGS

Run = Callable[..., Any]
Start = Callable[..., Any]
QUICK = ("--interval", "0.05", "--rate", "100000/s")


@pytest.fixture(autouse=True)
async def _patience() -> None:
    """Silence asyncio's warnings about slow callbacks, because many connections keep the simulator's loop busy."""
    asyncio.get_running_loop().slow_callback_duration = 60.0


@pytest.fixture
def addresses(simulator: Simulator, environment: pytest.MonkeyPatch) -> Simulator:
    """The simulator, with its URL in the environment as that of both vendors."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    environment.setenv("ORACLE_CONTENT_BASE_URL", simulator.oracle_content_url)
    return simulator


def populate(simulator: Simulator, count: int, *, duration_s: float = 0.2) -> list[dict[str, Any]]:
    """Add `count` jobs of both vendors, of which some fail and some are cancelled. Returns their rows."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        usual: dict[str, Any] = {"duration_s": duration_s * (number % 5) / 4, "starts_when_polled": True}
        if number % 2:
            outcome = "failed" if number % 9 == 1 else "succeeded"
            simulator.add_extraction(f"F{number}", f"J{number}", outcome=outcome, **usual)  # type: ignore[arg-type]
            rows.append({"endpoint": "oracle-content", "file_id": f"F{number}", "job_id": f"J{number}", "n": number})
        else:
            outcome = "cancelled" if number % 14 == 0 else "succeeded"
            simulator.add_delete(f"T{number}", outcome=outcome, **usual)  # type: ignore[arg-type]
            rows.append({"endpoint": "document360", "task_id": f"T{number}"})
    return rows


def write(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def timeless(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results without the fields that depend on the time of the polls."""
    return [
        {name: value for name, value in line.items() if name not in {"elapsed_s", "detected_within_s", "polls"}}
        for line in results
    ]


def planned(simulator: Simulator, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The planned outcome of each row's job."""
    keys = [(row["task_id"],) if "task_id" in row else (row["file_id"], row["job_id"]) for row in rows]
    return [simulator.jobs[key].outcome for key in keys]


async def test_a_file_of_jobs_becomes_a_file_of_results(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """Every row has its outcome, in the order of JOBS. In a pipe each outcome is a line, and a summary follows."""
    rows = populate(addresses, 40)
    jobs, out, page = write(tmp_path / "jobs.jsonl", rows), tmp_path / "results.jsonl", tmp_path / "page.html"
    status, texts, err = await command("batch", jobs, "--out", str(out), "--report", str(page), *QUICK)
    assert (status, err) == (1, "")
    results = read(out)
    assert [line["event"] for line in results] == planned(addresses, rows)
    assert [line["line"] for line in results] == list(range(1, 41))
    assert results[1]["row"] == {"n": 1}
    assert results[0]["job"] == {"task_id": "T0"}
    lines = texts.splitlines()
    counts = Counter(line["event"] for line in results)
    assert sum(" succeeded (" in line for line in lines) == counts["succeeded"]
    assert f"{counts['succeeded']} succeeded, {counts['failed']} failed" in lines[40]
    assert lines[-2:] == [f"results: {out}", f"report: {page}"]
    assert f"{counts['succeeded']} of 40 succeeded" in page.read_text(encoding="utf-8")
    assert (tmp_path / "jobs.jsonl.ledger").exists()


async def test_a_second_run_sends_nothing(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """A job that is over is not polled again: the same command writes the same results and sends no request."""
    jobs = write(tmp_path / "jobs.jsonl", populate(addresses, 20))
    await command("batch", jobs, "--out", str(tmp_path / "one"), *QUICK)
    sent = addresses.requests.total
    status, texts, err = await command("batch", jobs, "--out", str(tmp_path / "two"), *QUICK)
    assert (status, err, addresses.requests.total) == (1, "", sent)
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()
    summary = texts.splitlines()[20]
    assert summary.startswith("20 jobs in ")
    assert ", 20 of them in earlier runs: " in summary


async def test_json_lines_and_csv(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """Jobs from CSV give one JSON object for each outcome on stdout, and every run writes all of them."""
    for name in ("a", "b"):
        addresses.add_delete(name, duration_s=0.0)
    (tmp_path / "jobs.csv").write_text("\ufefftask_id;who\r\na;x\r\nb;y\r\n", encoding="utf-8")
    for _ in range(2):
        jobs = str(tmp_path / "jobs.csv")
        status, out, err = await command("batch", jobs, "--json", "--endpoint", "document360", *QUICK)
        assert (status, err) == (0, "")
        assert sorted(json.loads(line)["job"]["task_id"] for line in out.splitlines()) == ["a", "b"]


async def test_a_job_with_several_rows(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """A job with three rows is watched once, and has a result for each of them."""
    job = addresses.add_delete("a", duration_s=0.2)
    rows = [{"endpoint": "document360", "task_id": "a", "n": n} for n in range(3)]
    jobs, out = write(tmp_path / "jobs.jsonl", rows), tmp_path / "out"
    status, texts, _ = await command("batch", jobs, "--out", str(out), *QUICK)
    assert (status, texts.count("document360 a succeeded")) == (0, 1)
    assert [line["row"] for line in read(out)] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert {line["polls"] for line in read(out)} == {job.polls}


async def test_an_empty_file(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """A file without jobs is not an error; its result file is empty."""
    jobs = write(tmp_path / "jobs.jsonl", [])
    status, out, err = await command("batch", jobs, "--out", str(tmp_path / "out"))
    assert (status, out, err) == (0, f"There are no jobs.\nresults: {tmp_path / 'out'}\n", "")
    assert (tmp_path / "out").read_text() == ""


# --- nothing is sent ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "options", "variable", "status", "states"),
    [
        ([{}], [], None, 2, "1 of 2 rows"),
        ([], [], "DOCUMENT360_BASE_URL", 2, "--document360-url is missing: give the API's root"),
        ([], [], "DOCUMENT360_API_TOKEN", 2, "DOCUMENT360_API_TOKEN"),
        ([], ["--out", "missing/out"], None, 74, "missing/"),
        ([], ["--report", "."], None, 74, "it is a folder"),
        ([], ["--ledger", "missing/ledger"], None, 74, "missing"),
        ([], ["--ledger", "text"], None, 74, "is not a ledger"),
        ([], ["--interval", "9", "--max-interval", "2"], None, 2, "swap them"),
        ([], ["--document360-url", "http://example.com"], None, 2, "--allow-plain-http"),
    ],
)
async def test_all_is_checked_before_anything_is_sent(
    rows: list[dict[str, Any]],
    options: list[str],
    variable: str | None,
    status: int,
    states: str,
    addresses: Simulator,
    command: Run,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Bad rows, missing settings and paths that cannot be written are reported, and no request is sent."""
    environment.chdir(tmp_path)
    (tmp_path / "text").write_text("x" * 100)
    if variable is not None:
        environment.delenv(variable)
    jobs = write(tmp_path / "jobs.jsonl", [{"endpoint": "document360", "task_id": "a"}, *rows])
    ended, out, err = await command("batch", jobs, *options)
    assert (ended, out) == (status, "")
    assert states in err
    assert addresses.requests.total == 0


@pytest.mark.parametrize("arguments", [[], ["-", "jobs.jsonl"]])
async def test_one_source_of_jobs(arguments: list[str], command: Run) -> None:
    """The command needs one file of jobs or stdin, not both."""
    status, out, err = await command("batch", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("pollwise: name one file of jobs, or - for stdin.")


async def test_a_ledger_in_use(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """A batch does not start while another process writes its ledger."""
    jobs = write(tmp_path / "jobs.jsonl", populate(addresses, 2))
    async with SqliteLedger(f"{jobs}.ledger"):
        status, _, err = await command("batch", jobs)
    assert status == 74
    assert "is in use" in err
    assert addresses.requests.total == 0


# --- what concerns all jobs ---------------------------------------------------------------------


async def test_a_url_that_nothing_may_be_sent_to_abandons_no_job(
    addresses: Simulator, command: Run, tmp_path: Path
) -> None:
    """A URL that is not allowed abandons no job. With a valid URL the same command continues."""
    addresses.add_delete("a", duration_s=0.0)
    jobs = write(tmp_path / "jobs.jsonl", [{"endpoint": "document360", "task_id": "a"}])
    assert (await command("batch", jobs, "--document360-url", "http://example.com"))[0] == 2
    assert (await command("ledger", "export", f"{jobs}.ledger"))[1] == ""
    assert (await command("batch", jobs, *QUICK))[0] == 0


async def test_refused_credentials_end_the_batch(environment: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> None:
    """One refusal ends the batch and abandons no job. With valid credentials the same command continues."""
    async with Simulator(api_token="right") as simulator:
        for number in range(50):
            simulator.add_delete(f"T{number}", duration_s=0.0)
        jobs = write(tmp_path / "jobs.jsonl", [{"endpoint": "document360", "task_id": f"T{n}"} for n in range(50)])
        environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
        status, out, err = await command("batch", jobs, "--concurrency", "4", *QUICK)
        assert (status, out) == (5, "")
        assert "document360 refused the credentials (HTTP 401)" in err
        assert "0 of 50 jobs are over" in err
        assert "test-api-token" not in err
        assert simulator.requests.total <= 4
        environment.setenv("DOCUMENT360_API_TOKEN", "right")
        status, out, _ = await command("batch", jobs, *QUICK)
        assert (status, out.count(" succeeded (")) == (0, 50)


async def test_an_abandoned_job_is_watched_again(addresses: Simulator, command: Run, tmp_path: Path) -> None:
    """An abandoned job gives status 3, also beside a failure. The next run watches it again."""
    addresses.add_delete("bad", duration_s=0.0, outcome="failed")
    addresses.add_extraction("F", "slow", duration_s=0.0, forbidden=True)
    rows = [
        {"endpoint": "document360", "task_id": "bad"},
        {"endpoint": "oracle-content", "file_id": "F", "job_id": "slow"},
    ]
    jobs, out = write(tmp_path / "jobs.jsonl", rows), tmp_path / "out"
    status, texts, _ = await command("batch", jobs, "--out", str(out), *QUICK)
    assert status == 3
    assert texts.endswith("Run the same command to watch the abandoned jobs again.\n")
    assert [line["event"] for line in read(out)] == ["failed", "abandoned"]
    assert read(out)[1]["error"]["type"] == "PermissionDenied"
    addresses.remove("F", "slow")
    addresses.add_extraction("F", "slow", duration_s=0.0)
    status, texts, _ = await command("batch", jobs, "--out", str(out), *QUICK)
    assert (status, addresses.polls("bad")) == (1, 1)
    assert [line["event"] for line in read(out)] == ["failed", "succeeded"]


async def test_a_ledger_that_fails_on_the_way(
    addresses: Simulator, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stays full ends the batch with a message. After space is freed the same command continues."""

    async def full(self: SqliteLedger, outcomes: object, /) -> int:
        raise LedgerFull(self.path, "no room")

    jobs = write(tmp_path / "jobs.jsonl", populate(addresses, 6))
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "conclude", full)
        patch.setattr(batch, "_LEDGER_PATIENCE_S", 0.01)
        status, out, err = await command("batch", jobs, "--out", str(tmp_path / "out"), *QUICK)
    assert (status, out) == (74, "")
    assert "the disk is full" in err
    assert "Run the same command to continue" in err
    assert not (tmp_path / "out").exists()
    assert (await command("batch", jobs, "--out", str(tmp_path / "out"), *QUICK))[0] == 1
    assert len(read(tmp_path / "out")) == 6


# --- interruptions ------------------------------------------------------------------------------


async def until(simulator: Simulator, ended: int) -> None:
    """Wait until the simulator has shown the end of `ended` jobs."""
    while sum(job.finals > 0 for job in simulator.jobs.values()) < ended:
        await asyncio.sleep(0.01)


async def test_interrupted_and_uninterrupted_are_the_same(addresses: Simulator, start: Start, tmp_path: Path) -> None:
    """Two hundred jobs with faults, Ctrl-C, and the same command again: the results of an uninterrupted run.

    Jobs that were over before are not polled again.
    """
    addresses.faults = Faults(rate=0.05, retry_after_s=0.05)
    steady = ("--interval", "0.2", "--rate", "100000/s")
    rows = populate(addresses, 200, duration_s=1.0)
    held = list(addresses.jobs.values())[100:]
    for job in held:  # so that the batch cannot be over before it is interrupted, also on a slow machine
        job.plan = attrs.evolve(job.plan, duration_s=1e6)
    jobs, ledger = write(tmp_path / "jobs.jsonl", rows), str(tmp_path / "ledger")
    options = (jobs, "--ledger", ledger, "--out", str(tmp_path / "two"), "--report", str(tmp_path / "page"), *steady)
    child = await start("batch", *options)
    await until(addresses, 80)
    while len(await outcomes_in(ledger)) <= 50:
        await asyncio.sleep(0.05)
    child.process.send_signal(signal.SIGINT)
    status, _, err = await child.end()
    assert status == 130
    assert "of 200 jobs are over; the others may still be running. Run the same command to continue" in err
    assert f"pollwise ledger export {ledger}" in err
    assert f"pollwise: the report so far is {tmp_path / 'page'}\n" in err
    assert not (tmp_path / "two").exists()
    assert "of 200 are over" in (tmp_path / "page").read_text(encoding="utf-8")
    over = await outcomes_in(ledger)
    assert 50 < len(over) <= 100
    for job in held:
        addresses.finish(*job.keys)

    copy, plain = await asyncio.gather(
        start("batch", *options), start("batch", jobs, "--out", str(tmp_path / "one"), *steady)
    )
    (status, texts, _), (expected, _, _) = await asyncio.gather(copy.end(), plain.end())
    assert status == expected == 1
    assert f"{len(over)} of them in earlier runs" in texts
    assert texts.count(" succeeded (") == planned(addresses, rows).count("succeeded")
    assert timeless(read(tmp_path / "two")) == timeless(read(tmp_path / "one"))
    assert [line["event"] for line in read(tmp_path / "two")] == planned(addresses, rows)
    results = {tuple(line["job"].values()): line["polls"] for line in read(tmp_path / "two")}
    assert {keys: results[keys] for keys in over} == over


async def outcomes_in(ledger: str) -> dict[tuple[str, ...], int]:
    """The keys of the jobs that are over, and the number of polls of each."""
    async with SqliteLedger(ledger, read_only=True) as opened:
        lines = [json.loads(line) async for page in opened.export() for line in page.splitlines()]
    return {tuple(line["job"].values()): line["polls"] for line in lines}


async def test_sigterm_and_stdin(addresses: Simulator, start: Start, tmp_path: Path) -> None:
    """SIGTERM ends a batch like Ctrl-C, with status 143. Jobs can come from stdin, in every run again."""
    addresses.add_delete("slow", duration_s=60.0)
    addresses.add_delete("quick", duration_s=0.0)
    rows = "".join(f'{{"endpoint": "document360", "task_id": "{name}"}}\n' for name in ("quick", "slow")).encode()
    for _ in range(2):
        before = addresses.polls("slow")
        child = await start("batch", "-", "--ledger", "ledger", *QUICK, stdin=asyncio.subprocess.PIPE)
        child.process.stdin.write(rows)
        child.process.stdin.close()
        while addresses.polls("slow") < before + 3:
            await asyncio.sleep(0.01)
        child.process.send_signal(signal.SIGTERM)
        status, _, err = await child.end()
        assert status == 143
        assert "1 of 2 jobs is over" in err
    assert addresses.polls("quick") == 1


async def test_ctrl_c_while_a_pipe_is_read(addresses: Simulator, start: Start, tmp_path: Path) -> None:
    """Ctrl-C ends the command while it waits for jobs from a pipe."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    child = await start("batch", "pipe.jsonl")
    writer = await asyncio.to_thread(os.open, tmp_path / "pipe.jsonl", os.O_WRONLY)  # returns when it is being read
    os.write(writer, b'{"endpoint":')
    child.process.send_signal(signal.SIGINT)
    assert (await child.end())[0] == 130
    os.close(writer)


def read_terminal(ours: int) -> bytes:
    """The output until the last writer has closed the terminal."""
    parts = []
    with contextlib.suppress(OSError):  # EIO on Linux after the last writer has closed it
        while part := os.read(ours, 65536):
            parts.append(part)
    os.close(ours)
    return b"".join(parts)


async def test_the_screen_on_a_terminal(addresses: Simulator, start: Start, tmp_path: Path) -> None:
    """On a terminal the progress is drawn in place, and a summary stays."""
    jobs = write(tmp_path / "jobs.jsonl", populate(addresses, 30, duration_s=1.0))
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    child = await start("batch", jobs, *QUICK, stdout=theirs, env=env)
    os.close(theirs)
    text = (await asyncio.to_thread(read_terminal, ours)).decode()
    await child.process.wait()
    assert child.process.returncode == 1
    assert "of 30 over" in text
    assert "longest" in text
    assert "\x1b[?25h" in text
    assert "30 jobs in" in text


# --- many jobs ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_ten_thousand_jobs(addresses: Simulator, start: Start, tmp_path: Path) -> None:
    """Ten thousand jobs with faults, interrupted twice, give the results of an uninterrupted run.

    It takes two or three minutes: `./dev test --slow -k ten_thousand`.
    """
    addresses.faults = Faults(rate=0.05, retry_after_s=0.2, kinds=[*Faults().kinds, Fault.HUGE_BODY])
    rows = populate(addresses, 10_000, duration_s=30.0)
    jobs, ledger = write(tmp_path / "jobs.jsonl", rows), str(tmp_path / "ledger")
    usual = ("--interval", "4", "--rate", "100000/s")
    plain = await start("batch", jobs, "--out", str(tmp_path / "one"), *usual)
    assert (await plain.end())[0] == 1
    for job in addresses.jobs.values():
        job.finals, job.started_at = 0, None
    for ended in (2_000, 6_000):
        child = await start("batch", jobs, "--ledger", ledger, "--out", str(tmp_path / "two"), *usual)
        await until(addresses, ended)
        child.process.send_signal(signal.SIGINT)
        assert (await child.end())[0] == 130
    child = await start("batch", jobs, "--ledger", ledger, "--out", str(tmp_path / "two"), *usual)
    assert (await child.end())[0] == 1
    assert timeless(read(tmp_path / "one")) == timeless(read(tmp_path / "two"))
    assert [line["event"] for line in read(tmp_path / "two")] == planned(addresses, rows)


# --- the status ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], 0),
        (["succeeded"], 0),
        (["succeeded", "failed"], 1),
        (["cancelled"], 1),
        (["failed", "abandoned"], 3),
        (["abandoned", "succeeded"], 3),
    ],
)
def test_the_exit_status_of_a_batch(states: list[str], status: int) -> None:
    """An abandoned job decides the exit status before a failed one, because it may still change."""
    progress = BatchProgress(len(states), ["e"], 0.0)
    for state in states:
        progress.add_known(state)
    assert batch_exit_status(progress) == status


async def test_a_batch_shows_and_keeps_no_secret(environment: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> None:
    """In JSON lines, log, result file, report and ledger, in whatever spelling the server repeats it."""
    secret, names = "k3y+AbC/dEf_=Zz", list(SPELLINGS)

    def answer(line: Line) -> None:
        found = re.search(rb"/T(\d+)-(\d+) ", server.requests[-1])
        assert found is not None
        body = (
            f'{{"task_status": {{"is_complete": true, "status": 4}}, "success": false, "errors": [{{"description":'
            f' "bad key {SPELLINGS[names[int(found[2])]](secret)} !"}}]}}'
        )
        line.say(http_reply(body.encode(), status=f"{found[1].decode()} x"))

    environment.setenv("DOCUMENT360_API_TOKEN", secret)
    async with raw_server(answer) as server:
        environment.setenv("DOCUMENT360_BASE_URL", server.url)
        tasks = [f"T{status}-{n}" for status in (200, 403, 422) for n in range(len(names))]
        jobs = write(tmp_path / "jobs.jsonl", [{"endpoint": "document360", "task_id": task} for task in tasks])
        files = ("--out", str(tmp_path / "out"), "--report", str(tmp_path / "report"))
        status, out, err = await command("batch", jobs, "--json", "-v", *files, *QUICK)
    assert status == 3
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode("latin-1")
    for text in (out, err, kept):
        assert secret.lower() not in text.lower()
        assert [name for name in names if SPELLINGS[name](secret) in text] == []
    assert "***" in out
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "report")} == {0o600}
