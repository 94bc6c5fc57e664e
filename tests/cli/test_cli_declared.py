"""`pollwise watch` for declared endpoints, and for a URL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pollwise.cli.declared import job_of, keys_of, url_declaration
from pollwise.cli.exit_status import UsageError
from pollwise.cli.options import ReadOptions
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint
from pollwise.errors import ConfigurationError

Run = Callable[..., Any]

EXPORTS = """
[exports]
base = "https://api.example.com"
job = { id = "int" }
poll = "GET /exports/{id}"
auth = { bearer = "POLLWISE_EXPORTS" }
state = "state"
running = ["working"]
succeeded = ["done"]
failed = ["error"]
progress = { done = "percent", of = 100 }
reason = "why"
"""


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """Exports that are done at the second poll; number 8 fails."""
    polls: dict[str, int] = {}

    async def export(request: web.Request) -> web.Response:
        number = request.match_info["id"]
        polls[number] = polls.get(number, 0) + 1
        if polls[number] == 1:
            return web.json_response({"state": "working", "percent": 25, "seen": request.headers.get("Authorization")})
        end = {"state": "error", "why": "no disk"} if number == "8" else {"state": "done", "percent": 100}
        return web.json_response(end)

    app = web.Application()
    app.router.add_get("/exports/{id}", export)
    async with TestServer(app) as started:
        yield started


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `pollwise.toml`, which is the current folder, and another configuration folder."""
    (tmp_path / "pollwise.toml").write_text(EXPORTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("POLLWISE_EXPORTS", "abc-123")
    return tmp_path


async def test_a_declared_endpoint_is_watched(server: TestServer, declared: Path, command: Run) -> None:
    """By its name and its keys. The file that was found is named on stderr."""
    arguments = ("watch", "exports", "id=7", "--base-url", str(server.make_url("")), "--interval", "0.05")
    status, out, err = await command(*arguments)
    assert (status, err) == (0, "pollwise: exports is declared in pollwise.toml\n")
    lines = out.splitlines()
    assert lines[0].startswith("exports 7 running (25%, 1 poll")
    assert lines[-1].startswith("exports 7 succeeded (")


async def test_its_events_are_json(server: TestServer, declared: Path, command: Run) -> None:
    """With the status as the server sent it, and with the credentials of the environment masked in it."""
    file = str(declared / "pollwise.toml")
    arguments = ("watch", "exports", "id=8", "--endpoints", file, "--base-url", str(server.make_url("")))
    status, out, err = await command(*arguments, "--interval", "0.05", "--json")
    assert (status, err) == (1, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["progressed", "failed"]
    assert events[0]["status"] == {"state": "working", "percent": 25, "seen": "***"}
    assert events[1]["job"] == {"id": "8"}
    assert "no disk" in events[1]["error"]["message"]
    assert "abc-123" not in out


async def test_a_url_is_watched_without_a_file(server: TestServer, command: Run) -> None:
    """The words of a declaration are options."""
    arguments = ("watch", "url", f"{server.make_url('/')}exports/{{id}}", "id=7", "--state", "state")
    arguments += (
        "--running",
        "working",
        "--succeeded",
        "finished",
        "--succeeded",
        "done",
        "--failed",
        "error",
        "--progress",
        "percent",
    )
    status, out, err = await command(*arguments, "--interval", "0.05")
    assert (status, err) == (0, "")
    assert "running (25%" in out.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("exports",), "exactly the keys id; got none"),
        (("exports", "7"), "write the keys of the job as KEY=VALUE: id=7"),
        (("exports", "7", "id=7"), "write a key of the job as KEY=VALUE, such as id=7, not 7"),
        (("exports", "id=7", "id=8"), "the key id is given twice"),
        (("exports", "id=seven"), "key id must be a whole number"),
        (("exports", "id=7", "more=1"), "exactly the keys id"),
        (("imports", "id=7"), "no endpoint imports in pollwise.toml"),
        (("imports", "id=7"), "there are exports"),
        (("exports", "id=7", "--endpoints", "missing.toml"), "missing.toml: cannot be read: No such file"),
        (("url", "exports/{id}", "id=7", "--state", "s", "--succeeded", "x"), "the URL must be absolute"),
        (("url", "https://a.example/{id}", "id=7"), "nothing says that a job succeeded"),
        (("url", "https://u:hunter2@a.example/{id}", "id=7", "--succeeded-when", "x"), "must not hold credentials"),
        (("url", "https://a.example/{id}", "id=7", "--key-env", "A"), "--key-env and --key-header belong together"),
    ],
)
async def test_what_cannot_be_meant_is_a_usage_error(
    declared: Path, command: Run, arguments: tuple[str, ...], why: str
) -> None:
    """Status 2, with what to write, before anything is sent."""
    status, out, err = await command("watch", *arguments)
    assert (status, out) == (2, "")
    assert why in err
    assert "hunter2" not in err


async def test_a_variable_that_is_not_set_is_named(
    declared: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials come from the environment only."""
    monkeypatch.delenv("POLLWISE_EXPORTS")
    status, _, err = await command("watch", "exports", "id=7")
    assert status == 2
    assert "set the environment variable POLLWISE_EXPORTS, because exports takes its credentials from there" in err


async def test_the_users_configuration_folder_is_read_after_the_current_one(
    declared: Path, command: Run, server: TestServer
) -> None:
    """A name that is in both means the current folder's."""
    folder = declared / "config" / "pollwise"
    folder.mkdir(parents=True)
    (folder / "endpoints.toml").write_text(EXPORTS.replace("[exports]", "[others]"))
    arguments = ("watch", "others", "id=7", "--base-url", str(server.make_url("")), "--interval", "0.05")
    status, _, err = await command(*arguments)
    assert (status, err) == (0, f"pollwise: others is declared in {folder / 'endpoints.toml'}\n")


@pytest.mark.parametrize(
    ("url", "base", "poll", "keys"),
    [
        ("https://a.example/x/{id}?y={z}", "https://a.example", "GET /x/{id}?y={z}", ["id", "z"]),
        ("http://localhost:8080/{+path}", "http://localhost:8080", "GET /{+path}", ["path"]),
        ("https://a.example", "https://a.example", "GET /", []),
    ],
)
def test_a_url_is_split_into_its_words(url: str, base: str, poll: str, keys: list[str]) -> None:
    """Origin, path and keys."""
    made = url_declaration(url, ReadOptions(state="s", succeeded=("x",)).words(), None)
    assert (made.base, made.poll.ask, list(made.job)) == (base, poll, keys)


def test_a_key_may_hold_an_equals_sign() -> None:
    """Only the first one ends the name."""
    assert keys_of(["id=a=b", "x="]) == {"id": "a=b", "x": ""}


def test_options_of_credentials_exclude_each_other() -> None:
    """One way to sign in."""
    assert ReadOptions(bearer_env="A").auth() == {"bearer": "A"}
    assert ReadOptions(key_env="A", key_header="X-Key").auth() == {"key": "A", "header": "X-Key"}
    with pytest.raises(UsageError, match="give one of"):
        ReadOptions(bearer_env="A", key_env="B", key_header="X-Key").auth()


def test_a_job_is_checked_as_in_python() -> None:
    """The command has no rules of its own for keys."""
    declared = Declaration(name="a", base="https://a.example", job=["id"], poll="GET /{id}", state="s", succeeded=["x"])
    endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(declared)
    assert job_of(endpoint, ["id=7"]) == endpoint.job(id="7")
    with pytest.raises(ConfigurationError, match=r"id must not be '\.\.'"):
        job_of(endpoint, ["id=.."])


async def test_the_catalog_comes_last(declared: Path, server: TestServer, command: Run, monkeypatch: Any) -> None:
    """A file wins over an entry of the same name, and stderr says so. Without one, stderr says that the catalog has it."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    base = ("--base-url", str(server.make_url("/")))
    status, _, err = await command("watch", "openai-batch", "number=7", *base)
    assert status == 2
    assert "openai-batch is from the catalog, https://platform.openai.com/" in err
    (declared / "pollwise.toml").write_text(
        EXPORTS.replace("exports]", "openai-batch]").replace("POLLWISE_EXPORTS", "OPENAI_API_KEY")
    )
    status, _, err = await command("watch", "openai-batch", "id=7", "--interval", "0.01", *base)
    assert status == 0
    assert "from the catalog" not in err
    origin = str(server.make_url("/")).rstrip("/")
    assert f"declared in pollwise.toml, in place of that of the catalog; its requests go to {origin}" in err


async def test_a_named_file_is_the_only_one(declared: Path, command: Run) -> None:
    """The catalog is not asked if the user named a file."""
    status, _, err = await command("watch", "openai-batch", "id=7", "--endpoints", str(declared / "pollwise.toml"))
    assert status == 2
    assert "no endpoint openai-batch" in err
    assert "pollwise endpoint list" in err


async def test_each_problem_of_a_file_has_a_line(declared: Path, command: Run) -> None:
    """As in `pollwise endpoint check`. Nothing is sent."""
    (declared / "pollwise.toml").write_text(EXPORTS.replace("succeeded", "succeded").replace("percent", "per[").strip())
    status, out, err = await command("watch", "exports", "id=7")
    assert (status, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) > 1
    assert all(line.startswith("pollwise: pollwise.toml: [exports] ") for line in lines)
