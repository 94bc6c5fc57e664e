"""`pollwise batch --metrics-port`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from dashboard import grafana_would_ask, queries_of_a_batch, scrape_of, unanswered
from pollwise.cli.exit_status import UsageError
from pollwise.cli.metrics_server import metrics_served
from pollwise.simulator import Simulator


def fetched(url: str) -> str:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # of this test's own server
        text: str = answer.read().decode()
    return text


async def announced(capsys: pytest.CaptureFixture[str]) -> str:
    """Host and port of the metrics, as soon as stderr has named them."""
    said = ""
    while (found := re.search(r"metrics at http://(127\.0\.0\.1:\d+)/metrics", said)) is None:
        await asyncio.sleep(0.01)
        said += capsys.readouterr().err
    return found[1]


async def test_a_running_batch_can_be_scraped(
    simulator: Simulator,
    environment: pytest.MonkeyPatch,
    command: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Stderr says where. Every query of the dashboard has an answer, but for those about a fleet."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    simulator.add_delete("T1", duration_s=3600.0)
    simulator.add_delete("T2", duration_s=0.0)
    simulator.add_delete("T3", duration_s=0.2, outcome="failed")
    simulator.refuse(2, of=4, status=503)
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("".join(f'{{"endpoint": "document360", "task_id": "T{n}"}}\n' for n in (1, 2, 3)))
    running = asyncio.create_task(
        command("batch", str(jobs), "--metrics-port", "0", "--timeout", "60", "--interval", "0.05", "--rate", "1000/s")
    )
    target = await announced(capsys)
    asked = [(query, legend) for _, query, legend in queries_of_a_batch() if not query.endswith(" or vector(0)")]
    missing = [query for query, _ in asked]
    while missing and not running.done():
        scrape = scrape_of(await asyncio.to_thread(fetched, f"http://{target}/metrics"))
        missing = [query for query, legend in asked if unanswered(scrape, query, legend)]
    simulator.finish("T1")
    await running
    assert missing == []


PROMETHEUS = shutil.which("prometheus")


async def answers_of(server: str, query: str) -> list[float]:
    """The values that Prometheus has for this query now."""
    url = f"{server}/api/v1/query?query={quote(grafana_would_ask(query))}"
    found = json.loads(await asyncio.to_thread(fetched, url))
    assert found["status"] == "success", (query, found)
    return [float(series["value"][1]) for series in found["data"]["result"]]


@contextlib.asynccontextmanager
async def prometheus(target: str, folder: Path) -> AsyncIterator[str]:
    """The URL of a Prometheus that scrapes this target each second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = folder / "prometheus.yml"
    scrape = {"job_name": "pollwise", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    configuration.write_text(json.dumps({"scrape_configs": [scrape]}))  # YAML has all of JSON
    process = await asyncio.create_subprocess_exec(
        str(PROMETHEUS),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.slow
@pytest.mark.skipif(PROMETHEUS is None, reason="needs the program prometheus, such as Debian's package of that name")
async def test_prometheus_answers_every_query_of_the_dashboard(
    simulator: Simulator,
    environment: pytest.MonkeyPatch,
    command: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Each query of it has a finite number, after scrapes of a batch with successes, failures and retries."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    for n in range(40):
        simulator.add_delete(f"T{n}", duration_s=n / 2, outcome="failed" if n % 5 == 0 else "succeeded")
    simulator.refuse(10, of=40, status=503)
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("".join(f'{{"endpoint": "document360", "task_id": "T{n}"}}\n' for n in range(40)))
    running = asyncio.create_task(
        command("batch", str(jobs), "--metrics-port", "0", "--timeout", "90", "--interval", "0.25", "--rate", "1000/s")
    )
    target = await announced(capsys)
    missing = {query for _, query, _ in queries_of_a_batch()}
    async with prometheus(target, tmp_path) as server:
        while missing and not running.done():
            with contextlib.suppress(OSError):  # it is not up yet
                missing = {query for query in missing if not any(map(math.isfinite, await answers_of(server, query)))}
            await asyncio.sleep(0.25)
        await running
    assert missing == set()


async def test_a_port_that_is_in_use_is_a_usage_error() -> None:
    """No request was sent, and the message says what to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="choose another --metrics-port"):
            async with metrics_served(taken.getsockname()[1], "127.0.0.1"):
                pass


@pytest.mark.parametrize(
    ("port", "host", "said"), [(None, "192.0.2.1", "needs --metrics-port"), (0, "no such host", "at")]
)
async def test_an_address_that_cannot_be_is_a_usage_error(port: int | None, host: str, said: str) -> None:
    """An option that would do nothing is one, too."""
    with pytest.raises(UsageError, match=said):
        async with metrics_served(port, host):
            pass


async def test_a_missing_package_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"pip install 'pollwise\[prometheus\]'"):
        async with metrics_served(0, "127.0.0.1"):
            pass
