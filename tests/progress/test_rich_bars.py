"""Bars that rich draws."""

from __future__ import annotations

import io
import sys

import pytest

rich_progress = pytest.importorskip("rich.progress")

from rich.console import Console  # noqa: E402  # after the check that there is rich

from pollwise import ConfigurationError  # noqa: E402
from pollwise.progress import RichBars  # noqa: E402


def drawn(bars_of: object = None) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    progress = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.TaskProgressColumn(),
        rich_progress.TextColumn("{task.fields[text]}"),
        console=console,
        auto_refresh=False,
    )
    with progress, RichBars(progress) as bars:
        one = bars.add("[bold]job", total=1, is_share=True)
        one.show(done=None, text="queued")
        one.show(done=0.25, text="running")
        many = bars.add("jobs", total=8, is_share=False)
        many.show(done=6.0, text="1 failed")
        many.end(text="2 failed")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_your_own_progress_is_used() -> None:
    """Its columns show shares, counts and texts, and a label is no markup."""
    text = drawn()
    assert "[bold]job" in text
    assert "25%" in text
    assert "running" in text
    assert "75%" in text
    assert "2 failed" in text


def test_by_default_it_draws_from_the_first_bar_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """The `with` starts the display and stops it."""
    with RichBars() as bars:
        bars.add("[bold]job", total=1, is_share=True).show(done=0.5, text="running")
    shown = capsys.readouterr().out
    assert "[bold]job" in shown
    assert "50%" in shown


def test_without_rich_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pollwise\[rich\]'"):
        RichBars()
