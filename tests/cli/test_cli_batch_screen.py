from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from drawn_terminal import Window
from pollwise.cli import batch_screen
from pollwise.cli.batch_progress import BatchProgress
from pollwise.cli.batch_screen import LiveBatch, PlainBatch, open_batch_screen, progress_text
from pollwise.cli.screen import JsonScreen
from pollwise.core.host_health import HostState
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.errors import ConnectFailed
from pollwise.ledger import Conclusion, OutcomeKind
from pollwise.model.events import Succeeded
from pollwise.model.reading import Phase

BUDGETS = {"document360": RateBudget(60, per_s=60.0), "oracle-content": RateBudget()}


def broken(message: str) -> Conclusion:
    return Conclusion(
        id=1,
        outcome=OutcomeKind.FAILED,
        phase=Phase.FAILED,
        polls=5,
        status=None,
        elapsed_s=1.0,
        error_type="X",
        error_message=message,
    )


def busy(total: int, now: float, text: str = "task") -> BatchProgress:
    """The progress of a running batch: a third of the jobs is over, and some of these failed."""
    progress = BatchProgress(total, BUDGETS, now - 300)
    for number in range(total * 2 // 3):
        endpoint = "document360" if number % 2 else "oracle-content"
        progress.add_open(number, endpoint, {"task_id": f"{text}-{number}"}, "waiting", now - 290 + number / total, 0)
        progress.changed(number, "running" if number % 3 else "retrying", 2, now - 100)
        progress.request_counters[endpoint].add(now - 30 + 20 * number / total)
    for number in range(total // 3):
        failed = number % 20 == 0
        progress.conclude_job(
            number,
            "failed" if failed else "succeeded",
            5,
            broken(f"why {text}") if failed else None,
            now - 60 + number / total * 50,
        )
    return progress


def frame(progress: BatchProgress, *, width: int = 80, height: int = 24, encoding: str = "utf-8") -> list[str]:
    window = Window(width, height, encoding)
    return window.frame(LiveBatch(progress, BUDGETS, window.console)._frame)


async def test_a_frame_fits_one_screen() -> None:
    """A frame of ten thousand jobs fits 80 columns and 24 lines. It has counts of all, and a few by name."""
    rows = frame(busy(10_000, asyncio.get_running_loop().time()))
    assert len(rows) <= 24
    assert max(map(len, rows)) <= 80
    assert rows[0].startswith("3,333 of 10,000 over")
    assert " left" in rows[0]
    assert "3,166 succeeded, 167 failed" in rows[2]
    assert "waiting" in rows[3]
    text = "\n".join(rows)
    assert "document360" in text
    assert "of 60" in text
    assert "no limit known" in text
    assert "…" not in rows[4] + rows[5]
    for title in ("longest", "latest", "not well"):
        assert title in text
    assert "why task" in text


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("height", [10, 24, 60])
async def test_it_fits_any_terminal(width: int, height: int, hostile: str) -> None:
    """With hostile texts and on a small terminal, no row is wider than its line, and the number of lines is bounded."""
    rows = frame(busy(300, asyncio.get_running_loop().time(), hostile * 3), width=width, height=height)
    assert all(row.isprintable() and len(row) <= width for row in rows)
    assert len(rows) <= height


async def test_a_small_terminal_keeps_the_unsuccessful_jobs_longest() -> None:
    """If not all tables fit, that of the jobs watched longest is left out first, then that of the last changes."""
    progress = busy(300, asyncio.get_running_loop().time())
    titles = ("longest", "latest", "not well")
    for height, shown in ((24, titles), (13, titles[1:]), (10, titles[2:]), (7, ())):
        rows = frame(progress, height=height)
        assert tuple(title for title in titles if any(row.startswith(title) for row in rows)) == shown


async def test_numbers_are_below_each_other() -> None:
    """The numbers of all endpoints end in the same columns, and a name never touches them."""
    progress = busy(300, asyncio.get_running_loop().time())
    for width in (40, 80, 200):
        one, two = [row for row in frame(progress, width=width) if row.startswith(("document360", "oracle-content"))]
        assert one.index(" in ") == two.index(" in ")
        assert one.rindex("refused") == two.rindex("refused")
        assert "  " in one


async def test_several_endpoints_have_times_of_their_own() -> None:
    """The line of an endpoint says how long its jobs take. With one endpoint the first line of the screen says it."""
    now = asyncio.get_running_loop().time()
    for jobs, said in (({"document360": 1}, False), ({"document360": 1, "oracle-content": 0}, True)):
        progress = BatchProgress(1, jobs, now, jobs=jobs)
        window = Window(100, 24)
        budgets = {name: RateBudget() for name in jobs}
        rows = window.frame(LiveBatch(progress, budgets, window.console)._frame)
        assert any(row.startswith("document360") and row.endswith("time left unknown") for row in rows) is said
        assert any(row.startswith("oracle-content") and row.endswith("all over") for row in rows) is said


async def test_many_endpoints_leave_room_for_the_jobs() -> None:
    """Of many endpoints those with the most requests have a line, and the others are counted."""
    now = asyncio.get_running_loop().time()
    names = [f"endpoint-{number:02}" for number in range(30)]
    progress = BatchProgress(1, names, now)
    progress.add_open(1, names[0], {"id": "7"}, "running", now, 1)
    for name in (names[7], names[29]):
        progress.request_counters[name].add(now)
    window = Window(80, 16)
    budgets = {name: RateBudget() for name in names}
    rows = window.frame(LiveBatch(progress, budgets, window.console)._frame)
    assert [row.split()[0] for row in rows if row.startswith("endpoint-")] == ["endpoint-00", *names[7:30:22]]
    assert "and 27 endpoints more" in rows
    assert any(row.startswith("▸ running") for row in rows)


async def test_a_long_reason_is_wrapped_where_there_is_room() -> None:
    """The reason of a failed job has a second line on a terminal with spare lines, and ends in an ellipsis otherwise."""
    now = asyncio.get_running_loop().time()
    progress = BatchProgress(1, [], now)
    progress.add_open(1, "document360", {"id": "7"}, "running", now, 1)
    progress.conclude_job(1, "failed", 5, broken("words " * 30), now)
    *_, first, second = frame(progress, height=24)
    assert first.startswith("✗ failed")
    assert first.count("words") > 5
    assert second.split()[0] == "words"
    assert second.endswith("…")


async def test_one_job_and_one_request() -> None:
    """One is not a plural."""
    now = asyncio.get_running_loop().time()
    progress = BatchProgress(1, ["document360"], now)
    assert "0 requests in the last minute" in progress_text(progress, now)
    progress.request_counters["document360"].add(now - 59)
    assert "1 request in the last minute" in progress_text(progress, now)


async def test_a_job_that_waits_for_input() -> None:
    """A long word for a state is whole where the terminal has the room."""
    now = asyncio.get_running_loop().time()
    progress = BatchProgress(1, [], now)
    progress.add_open(1, "mcp", {"id": "7"}, "waiting_for_input", now, 1)
    assert frame(progress)[-1] == "◆ waiting_for_input   0:00  7"


async def test_an_ascii_terminal() -> None:
    """An ASCII terminal gets ASCII symbols before the same words."""
    rows = frame(busy(300, asyncio.get_running_loop().time()), encoding="ascii")
    assert "x failed" in "\n".join(rows)


async def test_a_batch_without_outcomes() -> None:
    """An empty batch, and one that has just begun, have a frame as well."""
    now = asyncio.get_running_loop().time()
    assert frame(BatchProgress(0, [], now))[0].startswith("0 of 0 over")
    assert "3 waiting" in "\n".join(frame(BatchProgress(3, ["document360"], now)))


async def test_outcomes_of_an_earlier_run() -> None:
    """Outcomes of an earlier run count as over, and are also shown as a separate number."""
    progress = BatchProgress(10, [], asyncio.get_running_loop().time())
    for _ in range(4):
        progress.add_known("succeeded")
    assert frame(progress)[0].startswith("4 of 10 over, 4 of them in earlier runs")


@pytest.mark.looptime
async def test_the_progress_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe, stderr gets a line with the progress every 30 seconds."""
    async with PlainBatch(busy(300, asyncio.get_running_loop().time())):
        await asyncio.sleep(65)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("pollwise: 100 of 300 over (33 %); 95 succeeded, 5 failed, ")
    assert "requests in the last minute" in lines[0]


@pytest.mark.looptime
async def test_a_closed_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stderr does not end the batch."""

    class ClosedStream(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", ClosedStream())
    async with PlainBatch(busy(30, asyncio.get_running_loop().time())):
        await asyncio.sleep(65)


async def test_a_line_for_each_outcome(
    deletions: DeleteFileEndpoint, deletion_status: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a pipe, each outcome is the same line as with `pollwise watch`."""
    screen = PlainBatch(BatchProgress(1, ["document360"], 0.0))
    await screen.show(deletions, Succeeded(job=DeleteFileJob("a"), status=deletion_status(), elapsed_s=1.0, polls=2))
    assert capsys.readouterr().out == "document360 a succeeded (2 polls, 1.0 s)\n"


async def test_the_progress_in_one_line() -> None:
    """The line has the counts and the rate, and the time left once there is an estimate."""
    now = asyncio.get_running_loop().time()
    assert progress_text(BatchProgress(5, [], now), now) == (
        "0 of 5 over (0 %); 5 waiting; 0 requests in the last minute; time left unknown"
    )
    assert "left" in progress_text(busy(300, now), now)


def test_open_batch_screen_chooses_by_json_and_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """`json=True` gives JSON lines, a pipe gets plain lines, a terminal the live progress."""
    progress = BatchProgress(1, [], 0.0)
    assert isinstance(open_batch_screen(progress, {}, json=True), JsonScreen)
    assert isinstance(open_batch_screen(progress, {}, json=False), PlainBatch)
    monkeypatch.setattr(batch_screen, "open_screen", lambda **_: None)
    assert isinstance(open_batch_screen(progress, {}, json=False), LiveBatch)


@pytest.mark.looptime
async def test_an_event_draws_nothing(deletions: DeleteFileEndpoint, deletion_status: Callable[..., Any]) -> None:
    """On a terminal the frames show the progress; an outcome by itself draws nothing."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = Console(file=file, force_terminal=True, width=80, height=24)
    async with LiveBatch(busy(30, asyncio.get_running_loop().time()), BUDGETS, console) as screen:
        screen.add_job(deletions, DeleteFileJob("a"))
        await screen.show(
            deletions, Succeeded(job=DeleteFileJob("a"), status=deletion_status(), elapsed_s=1.0, polls=2)
        )
        await asyncio.sleep(1)
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    assert "10 of 30 over" in file.buffer.getvalue().decode()


@pytest.mark.looptime
async def test_a_host_that_fails_for_every_job_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says since when, why, how many jobs wait and when it is asked next, and the frame still fits."""
    budget = RateBudget()
    monkeypatch.setitem(BUDGETS, "oracle-content", budget)
    host = engine_of(budget).hosts.needed("https://content.example.com", 0.0)
    host.state, host.error = (
        HostState.DOWN,
        ConnectFailed("cannot connect to content.example.com:443: Connection refused"),
    )
    host.since, host.waiting, host.probe_at = 0.0, 1_000, 0.0
    lines = frame(busy(30, 1_000.0))
    text = " ".join(line.strip() for line in lines)
    assert "content.example.com has not answered since" in text
    assert "(Connection refused); 1,000 jobs wait; next try in 0 s" in text
    assert len(lines) <= 24
