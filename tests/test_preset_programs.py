"""The programs of docs/presets.md run, against servers on real sockets."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme

from mcp_server import McpServer, serving
from raw_server import raw_server, reply
from scripted_server import answer, scripted_server
from test_examples import main_of

ROOT = Path(__file__).parents[1]
TOKEN = "t0ken-of-a-test"
PROGRAMS = ["kubernetes_job", "ogc_process", "fhir_export", "mcp_task"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_of_the_page_are_the_examples(name: str) -> None:
    """Each is a Python block of the page, exactly as the file in `examples/`."""
    text = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8") in blocks


async def test_kubernetes_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Over TLS with the cluster's own certificates, and with the token of the pod."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "token").write_text(TOKEN)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    job = {
        "metadata": {"name": "import-7", "namespace": "batch"},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
    }
    async with raw_server(reply(orjson.dumps(job)), tls=context) as server:
        monkeypatch.setenv("KUBERNETES_URL", server.url)
        monkeypatch.setenv("SERVICE_ACCOUNT", str(tmp_path))
        await main_of("kubernetes_job")()
    assert capsys.readouterr().out == "Complete\n"
    assert f"Authorization: Bearer {TOKEN}".encode() in server.requests[0]


@pytest.mark.looptime
async def test_ogc_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The outputs of a job that has succeeded."""
    script = {
        "GET /jobs/7": [answer({"jobID": "7", "status": "running"}), answer({"jobID": "7", "status": "successful"})],
        "GET /jobs/7/results": [answer({"echo": "hello"})],
    }
    async with scripted_server(script) as server:
        monkeypatch.setenv("OGC_BASE_URL", server.url)
        monkeypatch.setenv("OGC_JOB", "7")
        await main_of("ogc_process")()
    assert capsys.readouterr().out == "echo hello\n"


@pytest.mark.looptime
async def test_fhir_export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each file of the manifest is on the disk."""
    files = [{"type": "Patient", "url": "BASE/1"}, {"type": "Observation", "url": "BASE/2"}]
    script = {
        "GET /status/7": [
            answer(None, status="202 Accepted"),
            answer({"requiresAccessToken": True, "output": files}),
        ],
        "GET /1": [answer(b'{"id": "p-1"}\n')],
        "GET /2": [answer(b'{"id": "o-1"}\n')],
    }
    async with scripted_server(script) as server:
        monkeypatch.setenv("FHIR_BASE_URL", server.url)
        monkeypatch.setenv("FHIR_TOKEN", TOKEN)
        monkeypatch.setenv("FHIR_STATUS_URL", f"{server.url}/status/7")
        monkeypatch.chdir(tmp_path)
        await main_of("fhir_export")()
    assert capsys.readouterr().out == "Patient-0.ndjson 14\nObservation-1.ndjson 14\n"
    assert (tmp_path / "Observation-1.ndjson").read_bytes() == b'{"id": "o-1"}\n'


class Asking(McpServer):
    """Opens a session, asks for an answer once, and completes the task."""

    def __init__(self) -> None:
        super().__init__()
        self._words = ["input_required", "completed"]

    def answer(self, data: dict[str, Any], headers: dict[str, str]) -> bytes:
        match data["method"]:
            case "initialize":
                return self.response(data, {"result": {"protocolVersion": "2025-11-25"}}, "MCP-Session-Id: s-0001")
            case "tasks/get":
                task = {"taskId": "7", "status": self._words.pop(0), "statusMessage": "May I?"}
                return self.response(data, {"result": task})
            case "tasks/result":
                return self.response(data, {"result": {"content": "done"}})
        return self.accepted()


@pytest.mark.looptime
async def test_mcp_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It waits for an answer, and has a result in the end."""
    async with serving(Asking()) as server:
        monkeypatch.setenv("MCP_URL", server.url)
        monkeypatch.setenv("MCP_TASK", "7")
        await main_of("mcp_task")()
    assert capsys.readouterr().out == "waits: May I?\ndone\n"
