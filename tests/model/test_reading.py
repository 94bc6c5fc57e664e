"""A reading cannot contradict itself."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise import ConfigurationError, Phase, Reading


@pytest.mark.parametrize(
    "fields",
    [
        {"phase": Phase.SUCCEEDED},
        {"phase": Phase.FAILED},
        {"phase": Phase.CANCELLED, "unknown": "state=odd"},
        {"phase": Phase.RUNNING, "final": True},
        {"phase": Phase.RUNNING, "unconfirmed": True},
        {"phase": Phase.QUEUED, "final": True, "unknown": "state=odd"},
        {"phase": Phase.SUCCEEDED, "final": True, "unconfirmed": True},
    ],
)
def test_a_reading_that_would_never_end_a_watch_is_refused_where_it_is_made(fields: dict[str, Any]) -> None:
    """A terminal phase needs `final` or `unconfirmed`, and the other way round; not both."""
    with pytest.raises(ConfigurationError, match="reading"):
        Reading(status="s", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"phase": Phase.RUNNING, "unknown": "state=odd"},
        {"phase": Phase.RUNNING, "final": True, "unknown": "state=odd"},
        {"phase": Phase.RUNNING, "unconfirmed": True, "unknown": "state=odd"},
        {"phase": Phase.FAILED, "unconfirmed": True},
        {"phase": Phase.SUCCEEDED, "final": True, "unknown": "detail=odd"},
    ],
)
def test_an_end_of_unknown_kind_can_be_read(fields: dict[str, Any]) -> None:
    """RUNNING with an unknown value may be over."""
    assert Reading(status="s", **fields).status == "s"
