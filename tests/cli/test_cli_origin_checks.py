"""Accounts and changed origins in a batch, and how the command shows them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pollwise.ledger import NewWatch, SqliteLedger
from pollwise.simulator import Simulator

Run = Callable[..., Any]
QUICK = ("--interval", "0.05", "--rate", "100000/s")


@pytest.fixture(autouse=True)
async def _patience() -> None:
    """Silence asyncio's warnings about slow callbacks, because many connections keep the simulator's loop busy."""
    asyncio.get_running_loop().slow_callback_duration = 60.0


def rows(path: Path, *names: str, **more: Any) -> str:
    path.write_text("".join(json.dumps({"endpoint": "document360", "task_id": name, **more}) + "\n" for name in names))
    return str(path)


def parsed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_two_accounts_share_a_ledger(environment: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> None:
    """Equal IDs of two accounts are two jobs with two results. All outputs name the account of each."""
    jobs, ledger, page = rows(tmp_path / "jobs.jsonl", "same", "gone", account="x"), tmp_path / "all", tmp_path / "page"
    for account, outcome, token in (("acme", "succeeded", "token-1"), ("Ü & Co", "failed", "token-2")):
        async with Simulator(api_token=token) as simulator:
            environment.setenv("DOCUMENT360_API_TOKEN", token)
            simulator.add_delete("same", duration_s=0.0, outcome=outcome)  # type: ignore[arg-type]  # one of its literals
            simulator.add_delete("gone", duration_s=0.0)
            options = (
                "--ledger",
                str(ledger),
                "--account",
                account,
                "--report",
                str(page),
                "--out",
                str(tmp_path / account),
            )
            url = ("--document360-url", simulator.document360_url)
            status, out, err = await command("batch", jobs, *url, *options, *QUICK)
            assert (status, err) == (0 if outcome == "succeeded" else 1, "")
            assert f"document360 ({account}) same {outcome}" in out
            assert simulator.requests.total == 2
    assert [(line["account"], line["event"], line["row"]) for line in parsed(tmp_path / "acme")] == [
        ("acme", "succeeded", {"account": "x"}),
        ("acme", "succeeded", {"account": "x"}),
    ]
    assert [line["event"] for line in parsed(tmp_path / "Ü & Co")] == ["failed", "succeeded"]
    html = page.read_text(encoding="utf-8")
    assert "document360 (acme)" in html
    assert "document360 (Ü &amp; Co)" in html
    _, out, _ = await command("ledger", "show", str(ledger))
    assert "document360 (acme): 2 succeeded\ndocument360 (Ü & Co): 1 succeeded, 1 failed\n" in out
    assert "1 failed document360 (Ü & Co): " in out
    _, out, _ = await command("ledger", "show", str(ledger), "--json")
    facts = json.loads(out)
    assert facts["endpoints"]["document360"]["succeeded"] == 3
    assert [(each["account"], each["phases"]["succeeded"]) for each in facts["accounts"]] == [
        ("acme", 2),
        ("Ü & Co", 1),
    ]
    assert facts["reasons"][0]["account"] == "Ü & Co"
    _, out, _ = await command("ledger", "export", str(ledger))
    assert [json.loads(line)["account"] for line in out.splitlines()] == ["acme", "acme", "Ü & Co", "Ü & Co"]


async def test_watch_with_an_account(simulator: Simulator, command: Run) -> None:
    """With `--account` each line has the account; without it no line has that key."""
    simulator.add_delete("a", duration_s=0.0)
    base = ("watch", "document360", "a", "--base-url", simulator.document360_url)
    assert "document360 (acme) a succeeded" in (await command(*base, "--account", "acme"))[1]
    _, out, _ = await command(*base, "--account", "acme", "--json")
    assert list(json.loads(out))[:4] == ["event", "endpoint", "account", "job"]
    _, out, _ = await command(*base, "--json")
    assert list(json.loads(out))[:3] == ["event", "endpoint", "job"]


@pytest.mark.parametrize("name", ["test-api-token", "Kv9U8xJQ1mZ4TtWnA7RcYb2DfGh5LpSe", "a\nb", "x" * 201])
async def test_an_invalid_account(name: str, simulator: Simulator, command: Run) -> None:
    """A name that is not valid, or is the credential, is refused in one line that does not show it."""
    base = ("watch", "document360", "a", "--base-url", simulator.document360_url)
    status, out, err = await command(*base, "--account", name)
    assert (status, out) == (2, "")
    assert err.startswith("pollwise: --account must ")
    assert name not in err
    assert simulator.requests.total == 0


async def left_open(path: Path, *names: str, origin: str | None = "https://old.example", account: str = "") -> None:
    """Record jobs as an earlier batch leaves them."""
    async with SqliteLedger(path) as ledger:
        await ledger.record(
            [
                NewWatch(
                    endpoint="document360",
                    account=account,
                    keys={"task_id": name},
                    origin=origin,
                    first_seen=datetime.now(UTC),
                    deadline=None,
                )
                for name in names
            ]
        )


async def test_open_jobs_of_another_origin(simulator: Simulator, command: Run, tmp_path: Path) -> None:
    """No request is sent, and the message names `--moved-from`. With that option the batch continues."""
    for name in ("a", "b", "c"):
        simulator.add_delete(name, duration_s=0.0)
    jobs = rows(tmp_path / "jobs.jsonl", "a", "b", "c")
    await left_open(tmp_path / "jobs.jsonl.ledger", "a", "b")
    url = ("--document360-url", simulator.document360_url)
    status, out, err = await command("batch", jobs, *url, *QUICK)
    assert (status, out, simulator.requests.total) == (2, "", 0)
    assert "2 open jobs, such as document360 task_id=a, were asked about at https://old.example" in err
    assert err.endswith("If the API has moved there, add --moved-from https://old.example\n")
    assert "moved_from" not in err
    status, _, err = await command("batch", jobs, *url, *QUICK, "--moved-from", "https://old.example/api")
    assert (status, err, simulator.requests.total) == (0, "", 3)
    assert (await command("batch", jobs, *url, *QUICK))[0] == 0


@pytest.mark.parametrize(
    "known",
    [
        {"names": ["other"]},
        {"names": ["a"], "account": "acme"},
        {"names": ["a"], "origin": None},
    ],
)
async def test_open_jobs_that_do_not_concern_the_batch(
    known: dict[str, Any], simulator: Simulator, command: Run, tmp_path: Path
) -> None:
    """Open jobs that are not in JOBS, are of another account, or have no recorded origin do not stop a batch."""
    simulator.add_delete("a", duration_s=0.0)
    jobs = rows(tmp_path / "jobs.jsonl", "a")
    names = known.pop("names")
    await left_open(tmp_path / "jobs.jsonl.ledger", *names, **known)
    status, _, err = await command("batch", jobs, "--document360-url", simulator.document360_url, *QUICK)
    assert (status, err) == (0, "")


async def test_moved_from_needs_a_url(simulator: Simulator, command: Run, tmp_path: Path) -> None:
    """Another text is a usage error. The message does not show the text, which may contain a password."""
    jobs = rows(tmp_path / "jobs.jsonl", "a")
    url = ("--document360-url", simulator.document360_url)
    status, _, err = await command("batch", jobs, *url, "--moved-from", "ftp://user:hunter2@old.example")
    assert status == 2
    assert "--moved-from needs an http or https URL" in err
    assert "hunter2" not in err


async def test_a_url_that_nothing_may_be_sent_to_leaves_no_row(command: Run, tmp_path: Path) -> None:
    """A refused URL leaves no row, so a later run with the correct URL does not find another origin."""
    jobs = rows(tmp_path / "jobs.jsonl", "a")
    assert (await command("batch", jobs, "--document360-url", "http://example.com"))[0] == 2
    assert not (tmp_path / "jobs.jsonl.ledger").exists()
