"""Unknown enum values are logged once each, and not without bound."""

from __future__ import annotations

import pytest

from pollwise.runtime.unknown_values import UnknownValues


def test_each_value_is_logged_once_and_a_thousand_at_most(caplog: pytest.LogCaptureFixture) -> None:
    """A server that invents values does not fill the log or the memory."""
    values = UnknownValues("toy")
    for _ in range(2):
        for n in range(1_500):
            values.log_once(f"state={n}")
    assert len(caplog.records) == 1_000
    assert caplog.records[0].getMessage() == "toy: unknown value 'state=0'"


def test_a_value_is_logged_short_and_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """The server's text reaches no terminal as it is."""
    UnknownValues("toy").log_once("state=\x1b" + "x" * 1_000)
    assert "\\x1b" in caplog.text
    assert len(caplog.records[0].getMessage()) < 250
