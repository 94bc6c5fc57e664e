from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli import vendors
from pollwise.cli.endpoint_names import EndpointNames
from pollwise.cli.exit_status import UsageError
from pollwise.errors import ConfigurationError
from pollwise.simulator import CALLS, Simulator

URL = "https://example.com"
SECRETS = (
    "DOCUMENT360_API_TOKEN",
    "ORACLE_CONTENT_TOKEN",
    "ORACLE_CONTENT_USER",
    "ORACLE_CONTENT_PASSWORD",
)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)


def test_the_api_token_is_sent_in_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Document360's key comes from the environment and goes into the header that the vendor asks for."""
    monkeypatch.setenv("DOCUMENT360_API_TOKEN", "key-1")
    auth = vendors.document360(URL).auth
    assert auth is not None
    assert dict(auth.headers(0.0) or {}) == {"api_token": "key-1"}


def test_a_bearer_token_or_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either credential is enough. With both set, the token is used, not user and password."""
    monkeypatch.setenv("ORACLE_CONTENT_USER", "me")
    monkeypatch.setenv("ORACLE_CONTENT_PASSWORD", "pass:word")
    auth = vendors.oracle_content(URL).auth
    assert auth is not None
    basic = base64.b64encode(b"me:pass:word").decode()
    assert dict(auth.headers(0.0) or {}) == {"Authorization": f"Basic {basic}"}
    monkeypatch.setenv("ORACLE_CONTENT_TOKEN", "tok")
    auth = vendors.oracle_content(URL).auth
    assert auth is not None
    assert dict(auth.headers(0.0) or {}) == {"Authorization": "Bearer tok"}


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable to set. An empty variable counts as missing."""
    monkeypatch.setenv("DOCUMENT360_API_TOKEN", "")
    with pytest.raises(UsageError, match="DOCUMENT360_API_TOKEN"):
        vendors.document360(URL)
    with pytest.raises(UsageError, match="ORACLE_CONTENT_TOKEN, or ORACLE_CONTENT_USER and ORACLE_CONTENT_PASSWORD"):
        vendors.oracle_content(URL)
    monkeypatch.setenv("ORACLE_CONTENT_USER", "me")
    with pytest.raises(UsageError, match="ORACLE_CONTENT_PASSWORD"):
        vendors.oracle_content(URL)


@pytest.mark.parametrize("secret", ["line\nbreak-s3cret", "s3cret token", "s3crét"])
def test_a_secret_that_cannot_be_sent_is_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is not valid in a header is refused, and no part of it is shown."""
    monkeypatch.setenv("ORACLE_CONTENT_TOKEN", secret)
    with pytest.raises(ConfigurationError) as refused:
        vendors.oracle_content(URL)
    assert "s3cr" not in str(refused.value)


async def test_every_further_call_is_watched_by_its_name(simulator: Simulator, command: Any) -> None:
    """With the vendor's own variables, and the keys of the job by KEY=VALUE."""
    assert set(vendors.FURTHER) == set(CALLS)
    for name in vendors.FURTHER:
        keys = list(EndpointNames().form(name).columns)
        simulator.add_job(name, *keys, duration_s=0.0)
        arguments = [f"{key}={key}" for key in keys]
        status, out, err = await command("watch", name, *arguments, "--base-url", simulator.document360_url)
        assert (name, status, err) == (name, 0, "")
        assert out.startswith(f"{name} {' / '.join(keys)} succeeded (")
    sent = [request.headers for request in simulator.requests.latest]
    assert {field.get("api_token") or field.get("Authorization") for field in sent} == {
        "test-api-token",
        "Bearer test-api-token",
        "Bearer test-bearer-token",
    }


async def test_a_further_call_has_rows_and_results(simulator: Simulator, command: Any, tmp_path: Path) -> None:
    """As every endpoint."""
    simulator.add_job("oracle-content-download", "F", "J", duration_s=0.0)
    url = simulator.oracle_content_url
    (tmp_path / "jobs.csv").write_text("endpoint,folder_id,job_id\noracle-content-download,F,J\n")
    base_url = ("--base-url", f"oracle-content-download={url}")
    status, out, _ = await command("batch", str(tmp_path / "jobs.csv"), *base_url)
    assert (status, "oracle-content-download F / J succeeded (" in out) == (0, True)
    file = tmp_path / "out.zip"
    arguments = ("result", "oracle-content-download", "folder_id=F", "job_id=J", "--base-url", url, "-o", str(file))
    status, _, err = await command(*arguments)
    assert (status, file.is_file()) == (0, True), err


GIVE = {
    "DOCUMENT360_BASE_URL": "give the API's root, such as https://apihub.document360.io, or set DOCUMENT360_BASE_URL",
    "ORACLE_CONTENT_BASE_URL": "give the API's root, such as https://host[:port], or set ORACLE_CONTENT_BASE_URL",
}


@pytest.mark.parametrize(
    ("arguments", "option", "variable"),
    [
        ("watch document360 T", "--base-url", "DOCUMENT360_BASE_URL"),
        ("watch document360 T --base-url=", "--base-url", "DOCUMENT360_BASE_URL"),
        ("watch oracle-content F J", "--base-url", "ORACLE_CONTENT_BASE_URL"),
        ("watch oracle-content-site job_id=7", "--base-url", "ORACLE_CONTENT_BASE_URL"),
        ("check document360 task_id=T --base-url=", "--base-url", "DOCUMENT360_BASE_URL"),
        ("result document360-export export_id=E", "--base-url", "DOCUMENT360_BASE_URL"),
        ("submit oracle-content file_id=F", "--base-url", "ORACLE_CONTENT_BASE_URL"),
        ("cancel oracle-content-site job_id=7", "--base-url", "ORACLE_CONTENT_BASE_URL"),
        ("batch jobs.jsonl", "--document360-url", "DOCUMENT360_BASE_URL"),
        ("batch further.jsonl", "--base-url document360-export=URL", "DOCUMENT360_BASE_URL"),
    ],
)
async def test_a_base_url_may_be_missing(
    arguments: str, option: str, variable: str, command: Any, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """Every command then names the option, a right form and the variable. An empty one counts as missing."""
    environment.chdir(tmp_path)
    environment.setenv(variable, "")
    (tmp_path / "jobs.jsonl").write_text('{"endpoint": "document360", "task_id": "T"}\n')
    (tmp_path / "further.jsonl").write_text('{"endpoint": "document360-export", "export_id": "E"}\n')
    status, out, err = await command(*arguments.split())
    assert (status, out, err) == (2, "", f"pollwise: {option} is missing: {GIVE[variable]}\n")


async def test_an_empty_base_url_of_another_endpoint(command: Any) -> None:
    """It replaces nothing, so the command says to leave it out. Nothing is sent."""
    _, _, err = await command("watch", "openai-batch", "id=7", "--base-url", "")
    assert err == (
        "pollwise: --base-url is empty: give the root of openai-batch, such as https://api.example.com, or leave it out\n"
    )


async def test_the_keys_of_a_further_call_are_checked(command: Any) -> None:
    """Before a request is sent."""
    _, _, err = await command("watch", "document360-export", "id=7", "--base-url", "https://a.example")
    assert "a job of document360-export has exactly the keys export_id; got id" in err
