"""`pollwise version`."""

from __future__ import annotations

import io
import sys
from importlib import metadata

import pytest

from pollwise.cli import main


@pytest.mark.parametrize("arguments", ["version", "--version"])
def test_the_version(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways print the installed version."""
    assert main([arguments]) == 0
    assert capsys.readouterr() == (f"pollwise {metadata.version('pollwise')}\n", "")


def test_the_version_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The version is shown even if the packages of the command line are not installed."""
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pollwise ")


def test_the_version_without_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pollwise --version | true` ends without a traceback, and with the status of a closed pipe."""

    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert main(["--version"]) == 141
