"""Declarations from a TOML or JSON file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from pollwise.endpoints import RateLimit
from pollwise.endpoints.declared import (
    Call,
    Declaration,
    DeclarationErrors,
    DeclaredEndpoint,
    Fetch,
    Progress,
    Submit,
    Wait,
    load_declarations,
)
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.errors import ConfigurationError

WHOLE = """
[exports]
base = "https://api.example.com"
job = { id = "int", region = "str" }
poll = { ask = "GET /{region}/{id}", headers = { X-A = "b" } }
headers = { Accept = "application/json" }
auth = { bearer = "EXPORTS_TOKEN" }
state = "status.word"
queued = ["waiting", 0]
running = ["working"]
succeeded = ["done"]
failed = ["error"]
cancelled = ["stopped"]
unconfirmed = ["stopped"]
http = { running = [202], failed = [422] }
cancelled_when = "a"
failed_when = "b"
succeeded_when = "c"
running_when = "d"
queued_when = "e"
otherwise = "running"
expects = "status"
progress = { done = "percent", of = 100 }
reason = "error.message"
code = "error.code"
codes = { failed = ["GONE"] }
limited = "throttled"
after = { ms = "wait_ms" }
next = "$Location"
result = { ask = "POST /{region}/{file}", headers = { X-A = "b" }, json = { id = "{id}" }, raw = true, failed = [422] }
cancel = { ask = "DELETE /{region}", json = { id = "{id}" } }
limit = "500/min"
waiting_for_input = ["asked"]
waiting_for_input_when = "f"
over_when = "finished"
submit = { ask = "POST /{region}", headers = { X-Key = "{key}" }, json = "{order}", id = { id = "id", region = "{region}" } }
first_after_s = 2.5
origins = ["https://files.example.com"]
"""


def problems_of(tables: object) -> list[str]:
    with pytest.raises(DeclarationErrors) as caught:
        declarations_of(tables, file="f.toml")
    return str(caught.value).splitlines()


TABLE: dict[str, Any] = {
    "base": "https://a.example",
    "job": ["id"],
    "poll": "GET /{id}",
    "state": "s",
    "succeeded": ["done"],
}


def test_a_file_has_every_word(tmp_path: Path) -> None:
    """Each word of the vocabulary arrives as its value, from TOML and from JSON."""
    (tmp_path / "a.toml").write_text(WHOLE)
    (tmp_path / "a.json").write_bytes(orjson.dumps(tomllib.loads(WHOLE)))
    found = load_declarations(tmp_path / "a.toml")
    assert found == load_declarations(tmp_path / "a.json")
    assert found == {
        "exports": Declaration(
            name="exports",
            base="https://api.example.com",
            job={"id": "int", "region": "str"},
            poll=Call(ask="GET /{region}/{id}", headers={"X-A": "b"}),
            headers={"Accept": "application/json"},
            auth={"bearer": "EXPORTS_TOKEN"},
            state="status.word",
            queued=["waiting", 0],
            running=["working"],
            succeeded=["done"],
            failed=["error"],
            cancelled=["stopped"],
            unconfirmed=["stopped"],
            http={"running": (202,), "failed": (422,)},
            cancelled_when="a",
            failed_when="b",
            succeeded_when="c",
            running_when="d",
            queued_when="e",
            otherwise="running",
            expects="status",
            progress=Progress(done="percent", of=100),
            reason="error.message",
            code="error.code",
            codes={"failed": ("GONE",)},
            limited="throttled",
            after=Wait(ms="wait_ms"),
            next="$Location",
            result=Fetch(
                ask="POST /{region}/{file}", headers={"X-A": "b"}, json={"id": "{id}"}, raw=True, failed=(422,)
            ),
            cancel=Call(ask="DELETE /{region}", json={"id": "{id}"}),
            limit=RateLimit(500, per_s=60.0),
            waiting_for_input=["asked"],
            waiting_for_input_when="f",
            over_when="finished",
            submit=Submit(
                ask="POST /{region}",
                headers={"X-Key": "{key}"},
                json="{order}",
                id={"id": "id", "region": "{region}"},
            ),
            first_after_s=2.5,
            origins=["https://files.example.com"],
        )
    }


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("10/s", RateLimit(10, per_s=1.0)),
        ("60 / min", RateLimit(60, per_s=60.0)),
        ("5/10s", RateLimit(5, per_s=10.0)),
        ("1000/hour", RateLimit(1000, per_s=3600.0)),
        ("1/day", RateLimit(1, per_s=86_400.0)),
    ],
)
def test_a_limit_is_requests_in_a_time(limit: str, expected: RateLimit) -> None:
    """As people write it."""
    assert declarations_of({"a": {**TABLE, "limit": limit}})["a"].limit == expected


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    """Each problem names file, table and word. A wrong type hides no wrong expression."""
    wrong = {
        "one": {
            "base": "https://user:hunter2@a.example",
            "job": {"id": "float"},
            "poll": "GET /{idd}",
            "state": "a[",
            "succeded": ["done"],
            "failed": ["error", 1.5],
            "progress": {"done": 1, "off": 3},
            "auth": {"bearer": "sk-not/a/name"},
            "limit": "often",
        },
        "two": 7,
        "three": {"base": "https://a.example"},
    }
    found = problems_of(wrong)
    for problem in (
        "[one] failed: write a list of texts, whole numbers or truth values",
        "[one] progress.done: it must be a text, got int",
        "[one] progress.off: there is no such word; did you mean of?",
        "[one] succeded: there is no such word; did you mean succeeded?",
        "[one] limit: write a number of requests in a unit of time, such as '500/min'",
        "[one] job: write names with the types str or int",
        "[one] poll: the path has {idd}",
        "[one] base: must not hold credentials",
        "[one] auth: name environment variables, never a secret",
        "[one] state: the expression 'a['",
        "[two] it must be a table, got int",
        "[three] poll: it is missing",
    ):
        assert any(line.startswith(f"f.toml: {problem}") for line in found), problem
    assert not any("hunter2" in line or "sk-not" in line for line in found)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "x"}, "[a] name: the name is that of the table"),
        ({"job": 7}, "[a] job: it must be a table, got int"),
        ({"job": {"id": 7}}, "[a] job: it must be a text, got int"),
        ({"job": {"a b": "str"}}, "[a] job: write names"),
        ({"job": ["id", "unused"]}, "[a] job: the request uses no unused"),
        ({"poll": 7}, "[a] poll: "),
        ({"poll": {"ask": 7}}, "[a] poll.ask: it must be a text"),
        ({"http": {"failed": [True]}}, "[a] http: write lists of status codes"),
        ({"http": 7}, "[a] http: it must be a table"),
        ({"progress": {"done": "a", "of": []}}, "[a] progress.of: it must be an expression or a number"),
        ({"progress": "percent"}, "[a] progress: it must be a table, got str"),
        ({"progress": 7}, "[a] progress: it must be a table, got int"),
        ({"after": []}, "[a] after: it must be a table, got list"),
        ({"result": {"ask": "GET /a", "failed": 5}}, "[a] result.failed: it must be a list of status codes, got int"),
        ({"many": {}}, "[a] many: one request for many jobs cannot be declared yet"),
        ({"hold_s": 30}, "[a] hold_s: long polling cannot be declared yet"),
        ({"heeds": ["ETag"]}, "[a] heeds: leave the word out: a declaration looks at no header field but that of next"),
        ({"over_when": "a["}, "[a] over_when: the expression 'a['"),
        ({"limit": 7}, "[a] limit: write a number of requests"),
        ({"headers": {"A": 7}}, "[a] headers: it must be a text"),
    ],
)
def test_a_wrong_value_says_what_to_write(change: dict[str, Any], why: str) -> None:
    """One line for each, with the word's place."""
    found = problems_of({"a": {**TABLE, **change}})
    assert [line for line in found if line.startswith(f"f.toml: {why}")], found


@pytest.mark.parametrize("tables", [None, [], 7, {}])
def test_a_file_without_tables_says_what_it_needs(tables: object) -> None:
    """An empty file is no success."""
    assert problems_of(tables) == ["f.toml: it must have a table for each endpoint, such as [exports]"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.toml", b"[x", "cannot be read"),
        ("a.json", b"{", "cannot be read"),
        ("a.toml", b"\xff", "cannot be read"),
        ("a.yaml", b"", "must end in .toml or .json"),
        ("a.json", b"[" * 100_000, "cannot be read"),
        ("a.toml", b"#" * 1_000_001, "more than 1000000 bytes"),
        ("missing/a.toml", None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_its_own(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    """Whatever is wrong with it, the error is typed, and names the file."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DeclarationErrors, match=why) as caught:
        load_declarations(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_the_documented_declaration_loads() -> None:
    """The example of the page is right as it stands."""
    page = (Path(__file__).parents[3] / "docs" / "declaring.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert list(declarations_of(tomllib.loads(table))) == ["openai-batch"]


def test_the_page_has_every_word() -> None:
    """And no other."""
    page = (Path(__file__).parents[3] / "docs" / "declaring.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    words = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    assert words == {field.name for field in attrs.fields(Declaration)} - {"name"}


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error lists the tables that are."""
    path = tmp_path / "a.toml"
    path.write_text(WHOLE)
    with pytest.raises(ConfigurationError, match="has no table 'imports'; it has exports"):
        DeclaredEndpoint.load(path, "imports")


def test_profiles_of_the_command_are_no_declaration(tmp_path: Path) -> None:
    """A file may have both, or profiles alone. A declaration of this name is still one."""
    file = tmp_path / "pollwise.toml"
    profiles = "[profiles.default]\ntimeout = 1\n[profiles.default.base-url]\nexports = 'https://a.example'\n"
    file.write_text(profiles)
    assert load_declarations(file) == {}
    one = "base = 'https://a.example'\njob = ['id']\npoll = 'GET /{id}'\nstate = 's'\nsucceeded = ['x']\n"
    file.write_text(f"[one]\n{one}{profiles}")
    assert list(load_declarations(file)) == ["one"]
    file.write_text(f"[profiles]\n{one}")
    assert list(load_declarations(file)) == ["profiles"]
