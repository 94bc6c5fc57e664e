"""`pollwise endpoint check FILE KEY=VALUE`: the requests of a declaration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

DECLARED = """
[exports]
base = "https://api.example.com/v1"
job = { id = "int" }
poll = "GET /exports/{id}"
auth = { bearer = "NOT_SET_ANYWHERE" }
state = "state"
running = ["working"]
succeeded = ["done"]
next = "links.next"
result = { ask = "GET /files/{file}", raw = true }
cancel = { ask = "PATCH /exports/{id}", json = { state = "stopped", id = "{id}" } }
submit = { ask = "POST /exports", json = "{order}", id = "id" }

[links]
base = "https://api.example.com"
job = ["id"]
poll = "GET /links/{id}"
state = "state"
running = ["working"]
succeeded = ["done"]
next = "$Location"
result = { url = "url" }

[values]
base = "https://api.example.com"
job = ["id"]
poll = "GET /values/{id}"
state = "state"
succeeded = ["done"]
result = "rows"
submit = { ask = "POST /{region}/values", id = { id = "{region}" } }

[hinting]
base = "https://api.example.com"
poll = "GET /hinting/{id}"
state = "state"
succeeded = ["done"]
after = { s = "wait" }
submit = { ask = "POST /hinting", id = "id" }
"""


@pytest.fixture
def check(tmp_path: Path, command: Run) -> Run:
    """Checks one of the declarations with a sample and a job, and returns the lines after the first."""
    file, sample = tmp_path / "e.toml", tmp_path / "r.json"
    file.write_text(DECLARED)

    async def check(name: str, body: Any, *more: str) -> list[str]:
        sample.write_text(json.dumps(body))
        status, out, err = await command("endpoint", "check", str(file), *more, "--name", name, "--sample", str(sample))
        assert (status, err) == (0, "")
        return [line.replace(f"{sample}: ", "reply: ").removeprefix(f"{name}: ") for line in out.splitlines()[1:]]

    return check


async def test_the_requests_of_a_job_are_shown(check: Run) -> None:
    """With their keys, and without the credentials, which need not be set."""
    assert await check("exports", {"state": "done", "file": "f 7", "id": 9}, "id=7") == [
        "poll: GET https://api.example.com/v1/exports/7",
        'cancel: PATCH https://api.example.com/v1/exports/7, with the body {"state":"stopped","id":7}',
        'submit: POST /exports of an order, with the body "{order}"',
        "reply: succeeded, because state gives 'done', which succeeded lists",
        "reply: result: GET https://api.example.com/v1/files/f%207; the bytes of its reply",
        "reply: as the reply to submit: id=9",
    ]


async def test_without_a_job_only_the_reading_is_shown(check: Run) -> None:
    """As a request needs the keys."""
    assert len(await check("exports", {"state": "done"})) == 1


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("/v1/exports/7?page=2", "GET https://api.example.com/v1/exports/7?page=2"),
        ("https://b.example/x", "GET https://b.example/x, without credentials, because it is another origin"),
        (
            "https://b.example/x?access_token=s3cret-value",
            "GET https://b.example/x?access_token=***, without credentials",
        ),
        ("http://b.example/x", "refused, because the URL is at b.example, and it is plain http"),
        (
            "https://127.0.0.1/x",
            "GET https://127.0.0.1/x, refused unless api.example.com is at a loopback address, too",
        ),
    ],
)
async def test_the_next_url_is_shown(url: str, line: str, check: Run) -> None:
    """Or why it would not be asked. What is named like a credential is masked."""
    (found,) = [
        line for line in await check("exports", {"state": "working", "links": {"next": url}}, "id=7") if "next:" in line
    ]
    assert found.startswith(f"reply: next: {line}")


async def test_a_header_field_of_the_sample(check: Run) -> None:
    """As `next` may be in one."""
    lines = await check("links", {"state": "working"}, "id=a", "--header", "location: ../moved")
    assert "reply: next: GET https://api.example.com/moved" in lines


@pytest.mark.parametrize(
    ("name", "body", "line"),
    [
        ("links", {"state": "done", "url": "/files/1"}, "GET https://api.example.com/files/1; the JSON of its reply"),
        ("links", {"state": "done"}, "none, because the final status has no URL at url"),
        ("exports", {"state": "done"}, "none, because the final status has no text or whole number at file"),
        ("values", {"state": "done", "rows": [1, "é"]}, '[1,"\\u00e9"]'),
        (
            "values",
            {"state": "done", "rows": ["x" * 2000]},
            "rows in the whole status, which is asked for once more: GET https://api.example.com/values/7",
        ),
    ],
)
async def test_the_result_is_shown(name: str, body: Any, line: str, check: Run) -> None:
    """As a value of the status, or as a request; or why there is none."""
    lines = await check(name, body, "id=7")
    assert any(found.startswith(f"reply: result: {line}") for found in lines)


async def test_a_start_with_a_wait_is_shown(check: Run) -> None:
    """By the keys of its job."""
    lines = await check("hinting", {"id": "9", "state": "busy", "wait": 5}, "id=7")
    assert lines[-1] == "reply: as the reply to submit: id=9"


async def test_a_reply_without_a_job_is_no_start(check: Run) -> None:
    """With what is missing in the reply, or in the order."""
    assert (
        "as the reply to submit: no job: it has no int at id" in (await check("exports", {"state": "done"}, "id=7"))[-1]
    )
    assert "no job without an order: the order has no region" in (await check("values", {"state": "done"}, "id=7"))[-1]


@pytest.mark.parametrize(
    ("more", "states"),
    [
        (
            ("key=7",),
            "no endpoint has exactly the keys key: exports has id (int); links has id (str); values has id (str)",
        ),
        (("id=x",), "key id must be a whole number"),
        (("id",), "write a key of the job as KEY=VALUE"),
        (("id=7", "--header", "Location"), "write a header field of the samples as 'FIELD: VALUE'"),
    ],
)
async def test_what_cannot_be_meant_is_a_usage_error(
    more: tuple[str, ...], states: str, tmp_path: Path, command: Run
) -> None:
    """Status 2."""
    file = tmp_path / "e.toml"
    file.write_text(DECLARED)
    status, out, err = await command("endpoint", "check", str(file), *more)
    assert (status, out) == (2, "")
    assert states in err
