"""Bars that tqdm draws, in a terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from pollwise.errors import ConfigurationError
from pollwise.progress.bars import Bar, Bars

__all__ = ["TqdmBars"]

# The share that is done has no unit, and tqdm's own estimate takes the pace of the past for that of the future.
_SHARE = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
_UNKNOWN = "{desc}: {elapsed}{postfix}"


class TqdmBars(Bars):
    """Bars that tqdm draws.

    Args:
        tqdm: The class of a bar. By default `tqdm.auto.tqdm`, which fits a terminal and a notebook.
        options: Arguments for each bar, such as `file` or `leave`.

    Raises:
        ConfigurationError: tqdm is not installed.
    """

    def __init__(self, tqdm: Callable[..., Any] | None = None, **options: Any) -> None:
        self._tqdm = _auto() if tqdm is None else tqdm
        self._options = options
        self._bars: list[_TqdmBar] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        bars, self._bars = self._bars, []
        for bar in bars:
            bar.close()

    def add(self, label: str, *, total: int | None, is_share: bool) -> Bar:
        """A new bar."""
        formatted = {"bar_format": _UNKNOWN} if is_share else {"unit": " jobs"}
        bar = self._tqdm(desc=label, total=total, **{**formatted, **self._options})
        made = _TqdmBar(bar, is_share=is_share, is_formatted=is_share and "bar_format" not in self._options)
        self._bars.append(made)
        return made


class _TqdmBar:
    def __init__(self, bar: Any, *, is_share: bool, is_formatted: bool) -> None:
        self._bar = bar
        self._is_share = is_share
        self._is_formatted = is_formatted

    def show(self, *, done: float | None, text: str) -> None:
        bar = self._bar
        bar.set_postfix_str(text, refresh=False)
        if done is None:
            bar.refresh()
        elif self._is_share:
            if self._is_formatted:
                bar.bar_format = _SHARE
            bar.n = done
            bar.refresh()
        else:
            bar.update(int(done) - bar.n)  # draws ten times a second at most

    def end(self, *, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


def _auto() -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = import_module("tqdm.auto").tqdm
    except ImportError as exc:
        raise ConfigurationError("TqdmBars needs tqdm, which is not installed: pip install 'pollwise[tqdm]'") from exc
    return found
