"""`pollwise batch --metrics-port`."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from dashboard import queries, scrape_of, unanswered
from pollwise.cli.exit_status import UsageError
from pollwise.cli.metrics_server import metrics_served
from pollwise.simulator import Simulator


def fetched(url: str) -> str:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # of this test's own server
        text: str = answer.read().decode()
    return text


async def test_a_running_batch_can_be_scraped(
    simulator: Simulator,
    environment: pytest.MonkeyPatch,
    command: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Stderr says where. Every query of the dashboard has an answer."""
    environment.setenv("DOCUMENT360_BASE_URL", simulator.document360_url)
    simulator.add_delete("T1", duration_s=3600.0)
    simulator.add_delete("T2", duration_s=0.0)
    simulator.add_delete("T3", duration_s=0.2, outcome="failed")
    simulator.refuse(2, of=4, status=503)
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("".join(f'{{"endpoint": "document360", "task_id": "T{n}"}}\n' for n in (1, 2, 3)))
    said = ""
    running = asyncio.create_task(
        command("batch", str(jobs), "--metrics-port", "0", "--timeout", "60", "--interval", "0.05", "--rate", "1000/s")
    )
    while (found := re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", said)) is None:
        await asyncio.sleep(0.01)
        said += capsys.readouterr().err
    asked = [(query, legend) for _, query, legend in queries() if not query.endswith(" or vector(0)")]
    missing = [query for query, _ in asked]
    while missing and not running.done():
        scrape = scrape_of(await asyncio.to_thread(fetched, found[1]))
        missing = [query for query, legend in asked if unanswered(scrape, query, legend)]
    simulator.finish("T1")
    await running
    assert missing == []


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
