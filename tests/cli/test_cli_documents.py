"""The documents of each command, as --output and --query show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.documents import Documents
from pollwise.cli.exit_status import UsageError
from pollwise.cli.query import parse_query

Run = Callable[..., Any]
QUICK = ("--interval", "50ms")


def test_a_document_without_an_option_stays_as_it_is() -> None:
    """It is not even parsed."""
    documents = Documents()
    assert (documents.plain, documents.lines("{")) == (True, ["{"])


def test_a_query_of_a_stream_leaves_lines_out() -> None:
    """A document of which it gives null has no line. The only document of a command has one."""
    query = parse_query("[@][?a].a | [0]")
    assert list(Documents(query).lines('{"a": "é"}')) == ['"\\u00e9"']
    assert list(Documents(query).lines('{"b": 1}')) == []
    assert list(Documents(query, stream=False).lines('{"b": 1}')) == ["null"]


def test_a_query_that_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """In a stream stderr has each reason once, and the command continues. For the only document it is a usage error."""
    documents = Documents(parse_query("length(@.a)"))
    assert [list(documents.lines(text)) for text in ('{"a": 1}', '{"a": 1}', '{"a": [1]}')] == [[], [], ["1"]]
    told = capsys.readouterr().err
    assert told.startswith("pollwise: --query cannot be applied to this document: ")
    assert told.count("\n") == 1
    with pytest.raises(UsageError, match="--query cannot be applied"):
        Documents(parse_query("length(@.a)"), stream=False).lines('{"a": 1}')


@pytest.mark.parametrize(("output", "query"), [("table", "a"), (None, "a")])
def test_a_large_status_is_in_no_table_of_events(output: str | None, query: str) -> None:
    """Unless a query asks for it."""
    line = '{"event": "failed", "status": {"a": {"b": 1}}}'
    assert list(Documents(table=True).lines(line)) == ["EVENT", "failed"]
    assert list(Documents(parse_query("status.a"), table=True).lines(line)) == ["B", "1"]


async def test_watch(exports: Any, command: Run) -> None:
    """Each event is a document."""
    watch = ("watch", "exports", *QUICK)
    status, out, _ = await command(*watch, "id=7", "--output", "json")
    assert (status, [json.loads(line)["event"] for line in out.splitlines()]) == (0, ["progressed", "succeeded"])
    assert (await command(*watch, "id=8", "--query", "status.file"))[1] == '"f8"\n'
    _, out, _ = await command(*watch, "id=9", "--output", "table", "--query", "{event: event, polls: polls}")
    assert out.splitlines() == ["EVENT       POLLS", "progressed  1", "succeeded   2"]
    _, out, _ = await command(*watch, "id=10", "--output", "table")
    assert out.splitlines()[0].split()[:4] == ["EVENT", "ENDPOINT", "JOB", "PHASE"]
    assert "\nsucceeded   exports     id=10" in out


async def test_result(exports: Any, command: Run) -> None:
    """The result is the document; the events stay texts on stderr."""
    exports.polls["/reports/a/b"] = 1
    result = ("result", "reports", "owner=a", "name=b", *QUICK)
    status, out, err = await command(*result, "--query", "[1]")
    assert (status, out) == (0, '"\\u00e9\\u001b"\n')
    assert "reports a / b succeeded (1 poll" in err
    assert (await command(*result, "--output", "table"))[1] == "1\né\n"
    _, out, err = await command(*result, "--output", "json")
    assert (json.loads(out), json.loads(err.splitlines()[-1])["event"]) == ([1, "é\x1b"], "succeeded")


@pytest.mark.parametrize("option", [("--query", "a"), ("--output", "table")])
async def test_a_result_that_is_no_document(option: tuple[str, str], exports: Any, command: Run) -> None:
    """Bytes, and a result for a file, are refused before the first request."""
    status, _, err = await command("result", "exports", "id=7", *option)
    assert (status, "the result of exports is bytes; --query and --output table need JSON" in err) == (2, True)
    status, _, err = await command("result", "reports", "owner=a", "name=b", "-o", "x", *option)
    assert (status, "write to stdout; leave -o out" in err, exports.polls) == (2, True, {})


async def test_submit_and_cancel(exports: Any, command: Run) -> None:
    """The job, or the answer, is the first document; with --wait the events follow."""
    assert (await command("submit", "exports", "a=b", "--query", "job.id"))[:2] == (0, '"7"\n')
    _, out, _ = await command("submit", "exports", "a=b", "--wait", "--query", "[event, polls]", *QUICK)
    assert out.splitlines() == ['["submit",null]', '["progressed",1]', '["succeeded",2]']
    _, out, _ = await command(
        "cancel", "exports", "id=7", "--output", "table", "--query", "{answer: answer, id: job.id}"
    )
    assert out.splitlines() == ["ANSWER      ID", "accepted    7"]


async def test_check(exports: Any, command: Run) -> None:
    """Each step is a document."""
    _, out, _ = await command("check", "exports", "id=7", "--output", "table", "--query", "{step: step, is: result}")
    assert out.splitlines()[:3] == ["STEP        IS", "name        ok", "proxy       -"]
    assert (await command("check", "exports", "id=7", "--query", "step=='job' && result || `null`"))[1] == '"ok"\n'


async def test_batch(exports: Any, command: Run, tmp_path: Path) -> None:
    """Each outcome is a document."""
    (tmp_path / "jobs.jsonl").write_text('{"endpoint": "exports", "id": 7}\n')
    _, out, _ = await command("batch", "jobs.jsonl", "--query", "[job.id, event]", *QUICK)
    assert out == '["7","succeeded"]\n'
    _, out, _ = await command("batch", "jobs.jsonl", "--output", "table", *QUICK)
    assert out.splitlines()[1].split()[:3] == ["succeeded", "exports", "id=7"]
    _, out, _ = await command("ledger", "show", "jobs.jsonl.ledger", "--query", "phases.succeeded")
    assert out == "1\n"
    _, out, _ = await command("ledger", "show", "jobs.jsonl.ledger", "--output", "table")
    assert "watches            1\n" in out
    _, out, _ = await command("ledger", "export", "jobs.jsonl.ledger", "--query", "job.id")
    assert out == '"7"\n'
    await command("ledger", "export", "jobs.jsonl.ledger", "--out", "known", "--output", "table", "--query", "job")
    assert (tmp_path / "known").read_text() == "ID\n7\n"
    _, out, _ = await command("ledger", "check", "jobs.jsonl.ledger", "--query", "sound")
    assert out == "1\n"


async def test_endpoint_list(exports: Any, command: Run) -> None:
    """All endpoints are one document, a list."""
    _, out, _ = await command("endpoint", "list", "--json")
    assert {"name": "exports", "source": "file", "where": "pollwise.toml", "keys": {"id": "int"}} in json.loads(out)
    _, out, _ = await command(
        "endpoint", "list", "--output", "table", "--query", "[?source=='file'].{name: name, keys: keys}"
    )
    assert out.splitlines() == ["NAME     KEYS", "exports  id=int", "reports  owner=str name=str"]


async def test_json_and_a_table_contradict_each_other(command: Run) -> None:
    """Nothing is sent."""
    status, _, err = await command("endpoint", "list", "--json", "--output", "table")
    assert (status, err) == (2, "pollwise: --json and --output table contradict each other; give one of them\n")
