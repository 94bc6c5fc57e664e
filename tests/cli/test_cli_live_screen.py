from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from pollwise.cli.live_screen import LiveScreen
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import JobFailed, ServerUnavailable
from pollwise.model.events import Failed, Progressed, Retrying, Succeeded
from pollwise.model.reading import Phase


def terminal(*, width: int = 80, height: int = 40, encoding: str = "utf-8", **options: Any) -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, force_terminal=True, width=width, height=height, **options)


def written(console: Console) -> str:
    console.file.flush()
    assert isinstance(console.file, io.TextIOWrapper)
    assert isinstance(console.file.buffer, io.BytesIO)
    return console.file.buffer.getvalue().decode(console.encoding)


def frame(screen: LiveScreen, *, width: int = 80, height: int = 40, encoding: str = "utf-8") -> list[str]:
    """The current rows without their colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, color_system=None)
    screen._console = console
    console.print(screen._frame())
    return [row.rstrip() for row in written(console).splitlines()]


def progressed(job: Any, status: Any, **more: Any) -> Any:
    usual = {"phase": Phase.RUNNING, "fraction": 0.5, "eta_s": 65.0, "elapsed_s": 3.0, "polls": 2}
    return Progressed(job=job, status=status, **{**usual, **more})


@pytest.mark.looptime
async def test_a_row_shows_the_state_of_a_job(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """A row has the state, the job's keys, a bar, the share done, the time left and the polls."""
    screen = LiveScreen(terminal())
    screen.add_job(extractions, extract_job)
    assert frame(screen)[1].split() == ["·", "waiting", "D1", "/", "ZX-1", "0:00", "0"]
    await screen.show(extractions, progressed(extract_job, extraction_status(message="Mugs.jpg")))
    head, row = frame(screen)
    assert head.split() == ["oracle-content", "job", "done", "time", "polls"]
    assert row.split() == ["▸", "running", "D1", "/", "ZX-1", "━━━━━", "50%", "1:05", "left", "2", "Mugs.jpg"]


@pytest.mark.looptime
async def test_a_retry_keeps_the_progress(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """A failed poll changes the state and the note, and keeps the share done."""
    screen = LiveScreen(terminal())
    await screen.show(extractions, progressed(extract_job, extraction_status()))
    retrying: Any = Retrying(
        job=extract_job, error=ServerUnavailable(503), failures=1, delay_s=1, elapsed_s=4.0, polls=3
    )
    await screen.show(extractions, retrying)
    assert frame(screen)[1].split()[1:] == [
        "retrying",
        "D1",
        "/",
        "ZX-1",
        "━━━━━",
        "50%",
        "1:05",
        "left",
        "3",
        "HTTP",
        "503",
    ]


@pytest.mark.looptime
async def test_a_frame_fits_its_terminal(
    extractions: ExtractionEndpoint,
    deletions: DeleteFileEndpoint,
    extraction_status: Callable[..., Any],
    hostile: str,
) -> None:
    """With long keys and hostile texts, each row is one line and not wider than the terminal."""
    for width in (40, 80, 200):
        screen = LiveScreen(terminal())
        no_fraction = progressed(DeleteFileJob("u"), object(), fraction=None, eta_s=None)
        await screen.show(deletions, no_fraction)
        for number in range(5):
            job = ExtractionJob("D" * 40 + str(number), f"[bold]\u202e日本{number}")
            await screen.show(extractions, progressed(job, extraction_status(message=hostile * 9)))
        screen.add_job(deletions, DeleteFileJob("t" * 900))
        rows = frame(screen, width=width)
        assert len(rows) == 2 + 7 + 1
        assert all(row.isprintable() and len(row) <= width for row in rows)
        if width == 200:
            assert "[bold]" in "".join(rows)


@pytest.mark.looptime
async def test_the_screen_never_overflows(
    extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]
) -> None:
    """If not all jobs fit, open jobs are shown first, then the latest finished ones. The counts include all."""
    screen = LiveScreen(terminal())
    for number in range(60):
        job = ExtractionJob("F", f"done-{number}")
        await screen.show(extractions, Succeeded(job=job, status=extraction_status(), elapsed_s=1.0, polls=2))
    for number in range(8):
        await screen.show(extractions, progressed(ExtractionJob("F", f"busy-{number}"), extraction_status()))
    rows = frame(screen, height=24)
    assert len(rows) <= 24
    assert sum("busy-" in row for row in rows) == 8
    assert "done-59" in "".join(rows)
    assert "done-0 " not in "".join(rows)
    assert rows[-1].startswith("60 succeeded, 8 running  (")
    assert len(frame(screen, height=500)) <= 52


@pytest.mark.looptime
async def test_symbols_and_bars_on_a_terminal_that_only_knows_ascii(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """An ASCII terminal gets ASCII symbols and bars, and the same words."""
    screen = LiveScreen(terminal())
    await screen.show(extractions, progressed(extract_job, extraction_status(message="x")))
    rows = frame(screen, encoding="ascii")
    assert "".join(rows).isascii()
    assert "> running" in rows[1]
    status = extraction_status()
    failed = Failed(job=extract_job, status=status, error=JobFailed(extract_job, status), elapsed_s=1.0, polls=1)
    await screen.show(extractions, failed)
    assert "x failed" in frame(screen, encoding="ascii")[1]


@pytest.mark.looptime
async def test_the_terminal_is_left_as_it_was(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """When the screen closes, the rows are removed and the cursor is shown again."""
    console = terminal()
    async with LiveScreen(console) as screen:
        assert not screen.persistent
        await screen.show(extractions, progressed(extract_job, extraction_status()))
        await asyncio.sleep(1.0)
        await screen.print_text(Text("above the rows"))
    output = written(console)
    assert "▸ running" in output
    assert "above the rows" in output
    assert output.index("\x1b[?25l") < output.rindex("\x1b[?25h")
    assert output.endswith("\x1b[2K")


@pytest.mark.looptime
async def test_an_error_keeps_the_last_rows(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """After an error or Ctrl-C the last rows stay, because no summary follows. The cursor is shown again, too."""
    console = terminal()

    async def show_and_break() -> None:
        async with LiveScreen(console) as screen:
            await screen.show(extractions, progressed(extract_job, extraction_status()))
            raise KeyError

    with pytest.raises(KeyError):
        await show_and_break()
    output = written(console)
    assert "▸ running" in output.rpartition("\x1b[2K")[2]
    assert output.rindex("\x1b[?25l") < output.rindex("\x1b[?25h")


@pytest.mark.looptime
async def test_no_colour_with_no_color(
    extractions: ExtractionEndpoint,
    extract_job: ExtractionJob,
    extraction_status: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With NO_COLOR the live rows are the same, without colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    console = terminal()
    async with LiveScreen(console) as screen:
        await screen.show(extractions, progressed(extract_job, extraction_status()))
        await asyncio.sleep(1.0)
    output = written(console)
    assert "▸ running" in output
    assert "\x1b[3" not in output


@pytest.mark.looptime
async def test_a_terminal_that_cannot_be_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while drawing is raised, and the cursor is shown again."""
    console = terminal()

    def broken(_live: object) -> None:
        raise OSError("gone")

    async def draw() -> None:
        async with LiveScreen(console):
            monkeypatch.setattr("rich.live.Live.refresh", broken)
            await asyncio.sleep(1.0)

    with pytest.raises(OSError, match="gone"):
        await draw()
    assert written(console).endswith("\x1b[?25h")
