from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from drawn_terminal import Window
from pollwise.cli.live_screen import LiveScreen
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.model.events import Progressed
from pollwise.model.reading import Phase

LONG = "a text that is as long as a line of this terminal, and longer, so that it fills the line to its end"


TEXTS = (
    "words " * 40,
    "日本語" * 40,
    "👩\u200d👩\u200d👧❤️" * 30,
    "שלום " * 40,
    "é\u0301\u0301" * 50,
    "x" * 200,
    "one\ntwo\r\n\tthree",
)
SIZES = [(2, 2), (20, 8), (40, 20), (80, 24), (200, 50)]


@pytest.mark.looptime
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(("columns", "lines"), SIZES)
async def test_no_text_breaks_a_frame(
    columns: int,
    lines: int,
    encoding: str,
    extractions: ExtractionEndpoint,
    extraction_status: Callable[..., Any],
) -> None:
    """Wide characters, emoji, right-to-left text, long texts and line ends stay in their rows, on a terminal of any size."""
    for jobs in (1, 3):
        screen = LiveScreen()
        for number, text in enumerate(TEXTS * jobs):
            job = ExtractionJob(" ".join(text.split())[:100], f"{number % jobs}")
            event = Progressed(
                job=job,
                status=extraction_status(message=text),
                phase=Phase.RUNNING,
                fraction=0.5,
                eta_s=65.0,
                elapsed_s=3.0,
                polls=2,
            )
            await screen.show(extractions, event)
        window = Window(columns, lines, encoding)
        screen._console = window.console
        rows = window.frame(screen._frame)
        assert 0 < len(rows) <= lines
        assert all(cell_len(row) < columns for row in rows)


@pytest.mark.looptime
@pytest.mark.parametrize("keys", ["\x03", "abc", "\x03\x03"])
async def test_keys_that_are_echoed_leave_no_line_twice(extractions: ExtractionEndpoint, keys: str) -> None:
    """The `^C` that a terminal writes where its cursor is does not move the rows, also beside a line that is full."""
    window = Window()

    async def show() -> None:
        async with LiveScreen(window.console) as screen:
            screen.add_job(extractions, ExtractionJob(LONG, LONG))
            await asyncio.sleep(1)
            window.shown.echo(keys)
            await asyncio.sleep(1)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await show()
    assert window.count("oracle-content") == 1
    assert window.count("waiting") == 1
    assert window.shown.cursor
    assert window.shown.place == (len(window.shown.text), 0)


@pytest.mark.looptime
@pytest.mark.parametrize(
    "sizes", [((50, 24),), ((200, 50), (40, 10)), ((30, 6), (80, 24)), ((80, 5), (81, 6), (20, 20))]
)
async def test_a_window_of_another_size_shows_one_frame(
    extractions: ExtractionEndpoint, sizes: tuple[tuple[int, int], ...]
) -> None:
    """A window that is made smaller or larger while the rows are drawn has them once, and what was above them."""
    window = Window()
    window.write("$ pollwise watch\n")

    async def show() -> None:
        async with LiveScreen(window.console) as screen:
            screen.add_job(extractions, ExtractionJob(LONG, LONG))
            await asyncio.sleep(1)
            for columns, lines in sizes:
                window.resize(columns, lines)
                await asyncio.sleep(1)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await show()
    assert window.shown.text[0] == "$ pollwise watch"
    assert window.count("oracle-content") == 1
    assert window.count("waiting") == 1


@pytest.mark.looptime
async def test_what_is_printed_is_above_the_rows(
    extractions: ExtractionEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the log on a terminal is above the rows, and the rows are below it once."""
    window = Window()
    monkeypatch.setattr(window, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", window)
    async with LiveScreen(window.console) as screen:
        screen.add_job(extractions, ExtractionJob("D1", "ZX-1"))
        await asyncio.sleep(1)
        sys.stderr.write("pollwise: warning: a line of the log\n")
        await asyncio.sleep(1)
        await screen.print_text(Text("a text"))
        await asyncio.sleep(1)
        assert [line.split("  ")[0] for line in window.shown.text] == [
            "pollwise: warning: a line of the log",
            "a text",
            "oracle-content",
            "· waiting",
        ]
    assert sys.stderr is window
    assert len(window.shown.text) == 2


@pytest.mark.looptime
async def test_a_command_in_the_background_draws_nothing(
    extractions: ExtractionEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the shell has another command in the foreground the rows stay as they are."""
    window = Window()
    async with LiveScreen(window.console) as screen:
        screen.add_job(extractions, ExtractionJob("D1", "ZX-1"))
        monkeypatch.setattr("pollwise.cli.terminal.RowsTerminal.in_background", True)
        await asyncio.sleep(1)
        assert window.shown.text == []
        await screen.print_text(Text("a text"))
        assert window.shown.text == ["a text"]
        monkeypatch.setattr("pollwise.cli.terminal.RowsTerminal.in_background", False)
        await asyncio.sleep(1)
        assert window.count("· waiting") == 1


@pytest.mark.looptime
async def test_the_end_in_the_background_erases_nothing(
    extractions: ExtractionEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that ends in the background does not erase the line in which a user types."""
    window = Window()
    monkeypatch.setattr("pollwise.cli.terminal.RowsTerminal.in_background", True)
    async with LiveScreen(window.console) as screen:
        screen.add_job(extractions, ExtractionJob("D1", "ZX-1"))
        window.shown.write("$ ls -l")
    assert window.shown.text == ["$ ls -l"]


@pytest.mark.looptime
async def test_no_colour_is_bright_or_blue(
    extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]
) -> None:
    """Colours are readable on a dark and on a light background: green, yellow and red of the palette, bold and dim."""
    window = Window()
    async with LiveScreen(window.console) as screen:
        for number, phase in enumerate(Phase):
            job = ExtractionJob("D1", f"{number}")
            status = extraction_status()
            usual: dict[str, Any] = {"fraction": 0.5, "eta_s": None, "elapsed_s": 3.0, "polls": 2}
            await screen.show(extractions, Progressed(job=job, status=status, phase=phase, **usual))
        await asyncio.sleep(1)
    assert window.shown.styles <= {"0", "1", "2", "31", "32", "33"}
    assert "32" in window.shown.styles
