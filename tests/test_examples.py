"""The programs of the README are files, and these files run against real servers."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pollwise.simulator import ExtractionPlan, Fault, Simulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def main_of(name: str) -> Callable[..., Awaitable[None]]:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main  # type: ignore[no-any-return]  # an example's main takes nothing


def test_the_readmes_programs_are_the_examples() -> None:
    """Every Python block of the README is exactly a file of `examples/`."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    files = {path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")}
    assert blocks
    assert set(blocks) <= files


async def test_one_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first example follows an extraction to its summary."""
    async with Simulator(bearer="t0ken-of-a-test") as sim:
        sim.add_extraction("DC765D5CD846E67B395AE676435D1DBF", "ZX-E83150A29A911D33", duration_s=0.0)
        monkeypatch.setenv("ORACLE_CONTENT_BASE_URL", sim.oracle_content_url)
        monkeypatch.setenv("ORACLE_CONTENT_TOKEN", "t0ken-of-a-test")
        await main_of("one_job")()
    assert "processed" in capsys.readouterr().out


async def test_many_jobs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The second example reports every one of a hundred jobs once."""
    async with Simulator(api_token="t0ken-of-a-test") as sim:
        for number in range(1, 101):
            sim.add_delete(f"task-{number}", duration_s=0.0, outcome="failed" if number == 7 else "succeeded")
        monkeypatch.setenv("DOCUMENT360_BASE_URL", sim.document360_url)
        monkeypatch.setenv("DOCUMENT360_API_TOKEN", "t0ken-of-a-test")
        await main_of("many_jobs")()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 100
    assert len({line.split()[0] for line in lines}) == 100
    assert sum("did not succeed" in line for line in lines) == 1


async def test_plain_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The program without asyncio reports each job once, also in a thread of an async program."""
    async with Simulator(api_token="t0ken-of-a-test") as sim:
        for name in ("one", "two"):
            sim.add_delete(name, duration_s=0.0)
        monkeypatch.setenv("DOCUMENT360_BASE_URL", sim.document360_url)
        monkeypatch.setenv("DOCUMENT360_API_TOKEN", "t0ken-of-a-test")
        await asyncio.to_thread(main_of("plain_script"), "one", "two")
    assert sorted(capsys.readouterr().out.splitlines()) == ["one done", "two done"]
    assert (ROOT / "examples" / "plain_script.py").read_text() in (ROOT / "docs" / "sync.md").read_text()


async def test_survive(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The ledger's example reports each job once, over two runs."""
    async with Simulator(api_token="t0ken-of-a-test") as sim:
        for name in ("one", "two"):
            sim.add_delete(name, duration_s=0.0)
        monkeypatch.setenv("DOCUMENT360_BASE_URL", sim.document360_url)
        monkeypatch.setenv("DOCUMENT360_API_TOKEN", "t0ken-of-a-test")
        monkeypatch.setenv("LEDGER", str(tmp_path / "jobs.ledger"))
        main = main_of("survive")
        await main("one", "two")
        await main()
    assert sorted(capsys.readouterr().out.splitlines()) == ["one succeeded", "two succeeded"]


async def test_start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The example of a start starts one extraction for one order number, over two runs, and tells of a lost reply."""
    started = ExtractionPlan(duration_s=0.0)
    async with Simulator(bearer="t0ken-of-a-test", started=started, start_script=[None, Fault.CLOSED]) as sim:
        monkeypatch.setenv("ORACLE_CONTENT_BASE_URL", sim.oracle_content_url)
        monkeypatch.setenv("ORACLE_CONTENT_TOKEN", "t0ken-of-a-test")
        monkeypatch.setenv("LEDGER", str(tmp_path / "jobs.ledger"))
        main = main_of("start")
        await main("order-17", "DC765D5CD846E67B395AE676435D1DBF")
        await main("order-17", "DC765D5CD846E67B395AE676435D1DBF")
        first, second = capsys.readouterr().out.splitlines()
        assert first == second
        assert sim.requests.starts == 1
        for _ in range(2):
            await main("order-18", "DC765D5CD846E67B395AE676435D1DBF")
            assert "order-18" in capsys.readouterr().out
        assert sim.requests.starts == 2


async def test_declared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The example of a declaration awaits the result of an export, and the README shows its file."""
    assert f"```toml\n{(ROOT / 'examples' / 'endpoints.toml').read_text(encoding='utf-8')}```" in README

    async def export(request: web.Request) -> web.Response:
        return web.json_response({"state": "done", "percent": 100, "result_url": "/files/7.json"})

    async def rows(request: web.Request) -> web.Response:
        return web.json_response([{"row": 1}])

    app = web.Application()
    app.router.add_get("/exports/7", export)
    app.router.add_get("/files/7.json", rows)
    async with TestServer(app) as server:
        shutil.copy(ROOT / "examples" / "endpoints.toml", tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EXPORTS_BASE_URL", str(server.make_url("")))
        await main_of("declared")()
        await main_of("declared")()  # as after a restart
    assert capsys.readouterr().out == "[{'row': 1}]\n" * 2


def test_any_api_takes_few_lines() -> None:
    """A status with a percentage and the URL of its result, a ledger and the result: 8 lines of TOML, and 12 of Python."""
    assert lines_of("endpoints.toml") <= 8
    assert lines_of("declared.py") <= 12


def lines_of(name: str) -> int:
    """The lines of an example without blank lines and the docstring."""
    lines = (ROOT / "examples" / name).read_text(encoding="utf-8").splitlines()
    return sum(bool(line) and not line.startswith('"""') for line in lines)


async def test_own_endpoint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of an own endpoint reads an API that pollwise does not include."""

    async def export(request: web.Request) -> web.Response:
        return web.json_response({"state": "done", "rows_done": 40, "rows": 40})

    app = web.Application()
    app.router.add_get("/exports/7", export)
    app.router.add_get("/api/v1/exports/7", export)
    async with TestServer(app) as server:
        for path in ("", "/api/v1", "/api/v1/"):  # a base URL keeps its path
            monkeypatch.setenv("EXPORTS_BASE_URL", str(server.make_url(path)))
            await main_of("own_endpoint")()
    assert capsys.readouterr().out.count("ExportStatus(state='done', rows_done=40, rows=40)") == 3
