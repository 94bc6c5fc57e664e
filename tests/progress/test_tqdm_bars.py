"""Bars that tqdm draws."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from pollwise import ConfigurationError
from pollwise.progress import TqdmBars


@pytest.fixture
def plain_tqdm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tqdm's bar for terminals, without its monitor thread."""
    tqdm = pytest.importorskip("tqdm").tqdm
    monkeypatch.setattr(tqdm, "monitor_interval", 0)
    return tqdm


def test_shares_counts_and_texts_are_drawn(plain_tqdm: Any) -> None:
    """A share has a percentage once it is known; outcomes are counted."""
    file = io.StringIO()
    with TqdmBars(plain_tqdm, file=file, ncols=80, mininterval=0) as bars:
        one = bars.add("job", total=1, is_share=True)
        one.show(done=None, text="queued")
        assert "%" not in file.getvalue()
        one.show(done=0.25, text="running")
        one.end(text="succeeded")
        many = bars.add("jobs", total=8, is_share=False)
        many.show(done=6.0, text="1 failed")
    shown = file.getvalue()
    assert "job:  25%|" in shown
    assert "succeeded" in shown
    assert "6/8" in shown
    assert "1 failed" in shown


def test_by_default_the_bar_fits_the_place(plain_tqdm: Any) -> None:
    """`tqdm.auto` chooses; leaving the `with` closes every bar."""
    file = io.StringIO()
    with TqdmBars(file=file, bar_format="{desc}={n}") as bars:
        bars.add("job", total=1, is_share=True).show(done=0.5, text="running")
    assert "job=0.5" in file.getvalue()


def test_without_tqdm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pollwise\[tqdm\]'"):
        TqdmBars()
