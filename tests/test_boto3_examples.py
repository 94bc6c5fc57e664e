"""The programs of docs/from-boto3-waiters.md run, and do the same."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest

from pollwise.endpoints.aws import waiter_names
from raw_server import RawServer, raw_server

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "from-boto3-waiters.md").read_text(encoding="utf-8")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(state: str) -> bytes:
    body = (
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceState>"
        f"<name>{state}</name></instanceState></item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[RawServer]:
    """The server, and the environment that points both programs at it."""
    async with raw_server(said("running")) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "AKID",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


def test_the_page_shows_the_programs() -> None:
    """Both blocks are files of `examples/`."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks == [
        (ROOT / "examples" / f"boto3_{name}.py").read_text(encoding="utf-8") for name in ("before", "after")
    ]
    assert "instance_running" in waiter_names("ec2")


@pytest.mark.parametrize(("state", "words"), [("running", "running: i-1 i-2\n"), ("terminated", "not running: ")])
async def test_both_programs_do_the_same(
    server: RawServer, capsys: pytest.CaptureFixture[str], state: str, words: str
) -> None:
    """The same body of the request, and the same end."""
    server.answer = said(state)
    await asyncio.to_thread(load("boto3_before").main, "i-1", "i-2")
    before = capsys.readouterr().out
    await load("boto3_after").main("i-1", "i-2")
    after = capsys.readouterr().out
    assert before.startswith(words)
    assert after.startswith(words)
    first, second = (request.partition(b"\r\n\r\n")[2] for request in server.requests)
    assert first == second
    assert b"InstanceId.2=i-2" in second
