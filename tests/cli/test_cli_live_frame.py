from __future__ import annotations

import asyncio

import pytest

from drawn_terminal import Window
from pollwise.cli.live_screen import LiveScreen
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob

LONG = "a text that is as long as a line of this terminal, and longer, so that it fills the line to its end"


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
