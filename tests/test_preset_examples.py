"""The programs of docs/presets.md and docs/from-azure-lropoller.md run, against servers on real sockets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from raw_server import Line, RawServer, raw_server, reply
from test_examples import main_of

ROOT = Path(__file__).parents[1]
TOKEN = "t0ken-of-a-test"
PAGES = {
    "presets": ["azure_operation", "accepted", "google_operation"],
    "from-azure-lropoller": ["azure_before", "azure_after"],
}


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_the_page_are_the_examples(page: str) -> None:
    """Each is a Python block of the page, exactly as the file in `examples/`."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name in PAGES[page]:
        assert (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8") in blocks


class Script:
    """Answers each request with the next of these replies, and keeps the requests."""

    server: RawServer

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def __call__(self, line: Line) -> None:
        line.say(self._answers.pop(0))

    @property
    def asked(self) -> list[str]:
        return [" ".join(request.decode().split(" ")[:2]) for request in self.server.requests]


@pytest.mark.looptime
async def test_azure_operation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A PUT with a status monitor: the result is the resource."""
    script = Script(reply(b'{"status": "Running"}'), reply(b'{"status": "Succeeded"}'), reply(b'{"name": "vm-7"}'))
    async with raw_server(script) as script.server:
        monkeypatch.setenv("AZURE_BASE_URL", script.server.url)
        monkeypatch.setenv("AZURE_TOKEN", TOKEN)
        monkeypatch.setenv("AZURE_OPERATION", f"{script.server.url}/operations/7?t=1")
        await main_of("azure_operation")()
    assert capsys.readouterr().out == "vm-7\n"
    assert script.asked == ["GET /operations/7?t=1"] * 2 + ["GET /subscriptions/s/vm-7?api-version=2024-07-01"]


@pytest.mark.looptime
async def test_accepted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """202, 303, and the rows."""
    script = Script(
        reply(b"", "Retry-After: 9", status="202 Accepted"),
        reply(b"", "Location: /rows/7", status="303 See Other"),
        reply(b"[1, 2, 3]"),
    )
    async with raw_server(script) as script.server:
        monkeypatch.setenv("EXPORTS_BASE_URL", script.server.url)
        monkeypatch.setenv("EXPORTS_TOKEN", TOKEN)
        monkeypatch.setenv("EXPORT_LOCATION", f"{script.server.url}/queue/7")
        await main_of("accepted")()
    assert capsys.readouterr().out == "[1, 2, 3]\n"
    assert script.asked == ["GET /queue/7", "GET /queue/7", "GET /rows/7"]


@pytest.mark.looptime
async def test_google_operation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its progress, and its response."""
    script = Script(
        reply(b'{"name": "operations/7", "metadata": {"progressPercent": 40}}'),
        reply(b'{"name": "operations/7", "done": true, "response": {"words": 3}}'),
    )
    async with raw_server(script) as script.server:
        monkeypatch.setenv("GOOGLE_BASE_URL", script.server.url)
        monkeypatch.setenv("GOOGLE_TOKEN", TOKEN)
        await main_of("google_operation")()
    assert capsys.readouterr().out == "40% done\n{'words': 3}\n"


@pytest.mark.looptime
async def test_before_and_after_do_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """azure-core and pollwise print the same result, and ask the same URLs in the same order."""
    asked: list[str] = []
    states = ["NotStarted", "Running", "Succeeded"]

    async def start(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path_qs}")
        base = f"http://{request.host}"
        headers = {"Operation-Location": f"{base}/operations/7", "Location": f"{base}/results/7"}
        return web.json_response({"size": 3}, status=201, headers=headers)

    async def monitor(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path_qs}")
        return web.json_response({"status": states[len(asked) - 2]}, headers={"Retry-After": "10"})

    async def result(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path_qs}")
        return web.json_response({"size": 3, "ready": True})

    app = web.Application()
    app.add_routes([web.put("/things/7", start), web.get("/operations/7", monitor), web.get("/results/7", result)])
    seen: list[Any] = []
    async with TestServer(app) as server:
        monkeypatch.setenv("AZURE_BASE_URL", str(server.make_url("")).rstrip("/"))
        monkeypatch.setenv("AZURE_TOKEN", TOKEN)
        for name in PAGES["from-azure-lropoller"]:
            asked.clear()
            await main_of(name)()
            seen.append(([*asked], capsys.readouterr().out))
    assert seen[0] == seen[1]
    assert seen[0][0] == ["PUT /things/7?api-version=1", *["GET /operations/7"] * 3, "GET /results/7"]
    assert seen[0][1] == "{'size': 3, 'ready': True}\n"
