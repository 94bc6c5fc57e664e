"""Bars that rich draws. Text is passed as plain text, so its markup is not interpreted."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from pollwise.errors import ConfigurationError
from pollwise.progress.bars import Bar, Bars

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["RichBars"]


class RichBars(Bars):
    """Bars that rich draws.

    Args:
        progress: Your own `rich.progress.Progress`, such as with other columns or a console. It is not started or stopped
            here. The text of a bar is in its field `text`. By default one is made.

    Raises:
        ConfigurationError: rich is not installed.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._is_own = progress is None
        self._progress = _made() if progress is None else progress

    def __enter__(self) -> Self:
        if self._is_own:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_own:
            self._progress.stop()
        else:
            self._progress.refresh()

    def add(self, label: str, *, total: int | None, is_share: bool) -> Bar:
        """A new row. It pulses until a share is known."""
        from rich.markup import escape  # noqa: PLC0415  # an extra

        # a Progress of the caller's may read its description as markup; the own one does not
        description = label if self._is_own else escape(label)
        task = self._progress.add_task(description, total=None if is_share else total, text="")
        return _RichBar(self._progress, task, total)


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID, total: int | None) -> None:
        self._progress = progress
        self._task = task
        self._total = total

    def show(self, *, done: float | None, text: str) -> None:
        if done is not None:  # without a total, rich draws a pulse
            self._progress.update(self._task, completed=done, total=self._total, text=text)
        else:
            self._progress.update(self._task, text=text)

    def end(self, *, text: str) -> None:
        self._progress.update(self._task, text=text)
        self._progress.stop_task(self._task)


def _made() -> Progress:
    try:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    except ImportError as exc:
        raise ConfigurationError("RichBars needs rich, which is not installed: pip install 'pollwise[rich]'") from exc
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
