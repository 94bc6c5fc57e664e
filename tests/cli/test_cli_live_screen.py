from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from drawn_terminal import Window
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
    window = Window(width, height, encoding)
    screen._console = window.console
    return window.frame(screen._frame)


def progressed(job: Any, status: Any, **more: Any) -> Any:
    usual = {"phase": Phase.RUNNING, "fraction": 0.5, "eta_s": 65.0, "elapsed_s": 3.0, "polls": 2}
    return Progressed(job=job, status=status, **{**usual, **more})


@pytest.mark.looptime
async def test_a_job_alone_has_lines_of_its_own(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """One job has its keys, then the state, a bar, the share done, the time left and the polls, then its message."""
    screen = LiveScreen(terminal())
    screen.add_job(extractions, extract_job)
    assert frame(screen) == ["oracle-content  D1 / ZX-1", "· waiting  0:00  0 polls"]
    await screen.show(extractions, progressed(extract_job, extraction_status(message="Mugs.jpg")))
    head, row, message = frame(screen)
    assert head == "oracle-content  D1 / ZX-1"
    assert row.split() == ["▸", "running", "━" * 21 + "╸" + "─" * 21, "50%", "1:05", "left", "2", "polls"]
    assert len(row) == 79
    assert message == "Mugs.jpg"


@pytest.mark.looptime
@pytest.mark.parametrize("width", [20, 40, 80, 200])
async def test_the_message_of_a_job_alone_has_the_whole_line(
    width: int,
    extractions: ExtractionEndpoint,
    extract_job: ExtractionJob,
    extraction_status: Callable[..., Any],
) -> None:
    """A message of 200 characters is cut at the end of the line while the job runs, and is wrapped when it is over."""
    message = "word " * 40
    screen = LiveScreen(terminal())
    await screen.show(extractions, progressed(extract_job, extraction_status(message=message)))
    rows = frame(screen, width=width)
    assert rows[-1] == message.strip() or (rows[-1].startswith("word word") and rows[-1].endswith("…"))
    assert len(rows[-1]) > min(width, 200) - 6
    status = extraction_status(message=message)
    error = JobFailed(extract_job, status, reason=message)
    failed = Failed(job=extract_job, status=status, error=error, elapsed_s=1.0, polls=1)
    await screen.show(extractions, failed)
    rows = frame(screen, width=width)
    assert all(len(row) < width for row in rows)
    assert " ".join(rows).count("word") > min(width // 5, 39)


@pytest.mark.looptime
async def test_a_row_shows_the_state_of_a_job(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """Of several jobs, each has a row: the state, its keys, the time left, the share done and its message."""
    screen = LiveScreen(terminal())
    screen.add_job(extractions, ExtractionJob("D1", "ZX-2"))
    await screen.show(extractions, progressed(extract_job, extraction_status(message="Mugs.jpg")))
    head, other, row, counts = frame(screen)
    assert head.split() == ["oracle-content", "time"]
    assert other.split() == ["·", "waiting", "D1", "/", "ZX-2", "0:00"]
    assert row.split() == [
        "▸",
        "running",
        "D1",
        "/",
        "ZX-1",
        "1:05",
        "left",
        "50%",
        "━" * 6 + "╸" + "─" * 6,
        "Mugs.jpg",
    ]
    assert counts == "1 running, 1 waiting"


@pytest.mark.looptime
async def test_a_wide_terminal_has_longer_bars_and_messages(
    extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]
) -> None:
    """The columns use the width that there is. In a narrow terminal the less important ones are left out."""
    screen = LiveScreen(terminal())
    for number in range(2):
        job = ExtractionJob("product-photos.zip", f"ZX-{number}")
        await screen.show(extractions, progressed(job, extraction_status(message="word " * 40)))
    seen = {}
    for width in (20, 40, 60, 80, 100, 200):
        row = frame(screen, width=width)[1]
        assert row.startswith("▸ running")
        seen[width] = (row.count("━") + row.count("─"), row.count("word"), "50%" in row, "1:05" in row)
    assert seen[20] == (0, 0, False, False)
    assert seen[40][2:] == (True, False)
    assert seen[60][2:] == (True, True)
    assert seen[80][1] >= 4
    assert seen[200][0] > 30
    assert seen[200][1] > 12


@pytest.mark.looptime
async def test_the_reason_of_a_failure_has_the_place_of_the_bar(
    extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]
) -> None:
    """At 80 columns the reason of a job that is over has at least 30 cells."""
    screen = LiveScreen(terminal())
    for number in range(2):
        job, status = ExtractionJob("product-photos.zip", f"ZX-{number}"), extraction_status()
        error = JobFailed(job, status, reason="the archive is damaged at byte 17 and cannot be read")
        await screen.show(extractions, Failed(job=job, status=status, error=error, elapsed_s=1.0, polls=1))
    assert "the archive is damaged at byte" in frame(screen)[1]


@pytest.mark.looptime
async def test_a_retry_keeps_the_progress(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """A failed poll changes the state and the message, and keeps the share done."""
    screen = LiveScreen(terminal())
    await screen.show(extractions, progressed(extract_job, extraction_status()))
    retrying: Any = Retrying(
        job=extract_job, error=ServerUnavailable(503), failures=1, delay_s=1, elapsed_s=4.0, polls=3
    )
    await screen.show(extractions, retrying)
    _, row, message = frame(screen)
    assert row.split()[1] == "retrying"
    assert row.split()[-5:] == ["50%", "1:05", "left", "3", "polls"]
    assert "HTTP 503" in message


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
    """When the screen closes, the rows are removed and the cursor is shown again. What was printed above them stays."""
    window = Window()
    async with LiveScreen(window.console) as screen:
        assert not screen.persistent
        await screen.show(extractions, progressed(extract_job, extraction_status()))
        await asyncio.sleep(1.0)
        await screen.print_text(Text("above the rows"))
        assert window.shown.text[0] == "above the rows"
        assert "▸ running" in window.shown.text[2]
        assert not window.shown.cursor
    assert window.shown.text == ["above the rows"]
    assert window.shown.place == (1, 0)
    assert window.shown.cursor


@pytest.mark.looptime
async def test_an_error_keeps_the_last_rows(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """After an error or Ctrl-C the last rows stay, because no summary follows. The cursor is shown again, too."""
    window = Window()

    async def show_and_break() -> None:
        async with LiveScreen(window.console) as screen:
            await screen.show(extractions, progressed(extract_job, extraction_status()))
            raise KeyError

    with pytest.raises(KeyError):
        await show_and_break()
    head, row = window.shown.text
    assert head == "oracle-content  D1 / ZX-1"
    assert "▸ running" in row
    assert window.shown.place == (2, 0)
    assert window.shown.cursor


@pytest.mark.looptime
async def test_ctrl_c_while_the_screen_closes(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """Ctrl-C at the last moment, after all jobs are over, keeps the rows, because no summary follows."""
    window = Window()

    async def show() -> None:
        async with LiveScreen(window.console) as screen:
            await screen.show(extractions, progressed(extract_job, extraction_status()))
            await asyncio.sleep(1.0)
            task.cancel()  # arrives in the next wait, which is in __aexit__

    task = asyncio.create_task(show())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert window.count("▸ running") == 1
    assert window.shown.cursor


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
    window = Window()

    async def draw() -> None:
        async with LiveScreen(window.console):
            await asyncio.sleep(1.0)
            window.failures = 1
            await asyncio.sleep(1.0)

    with pytest.raises(OSError, match="gone"):
        await draw()
    assert window.shown.cursor
    window.failures = 1
    with pytest.raises(OSError, match="gone"):
        await draw()
    assert window.shown.cursor
