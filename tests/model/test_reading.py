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


@pytest.mark.parametrize(
    ("made", "fields"),
    [
        (Reading.queued("s"), {"phase": Phase.QUEUED}),
        (Reading.running("s", fraction=0.5), {"phase": Phase.RUNNING, "fraction": 0.5}),
        (Reading.running("s", unknown="state=odd"), {"phase": Phase.RUNNING, "unknown": "state=odd"}),
        (Reading.waiting_for_input("s"), {"phase": Phase.WAITING_FOR_INPUT}),
        (Reading.succeeded("s"), {"phase": Phase.SUCCEEDED, "final": True}),
        (Reading.failed("s", reason="no disk"), {"phase": Phase.FAILED, "final": True, "reason": "no disk"}),
        (Reading.cancelled("s"), {"phase": Phase.CANCELLED, "final": True}),
        (Reading.unconfirmed_end(Phase.FAILED, "s"), {"phase": Phase.FAILED, "unconfirmed": True}),
        (Reading.unknown_end("s", unknown="a=b"), {"phase": Phase.RUNNING, "final": True, "unknown": "a=b"}),
        (
            Reading.unknown_end("s", unknown="a=b", final=False),
            {"phase": Phase.RUNNING, "unconfirmed": True, "unknown": "a=b"},
        ),
    ],
    ids=str,
)
def test_a_constructor_sets_what_its_name_says(made: Reading[str], fields: dict[str, Any]) -> None:
    """`final` and `unconfirmed` need not be given."""
    assert made == Reading(status="s", **fields)


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.RUNNING])
def test_an_unconfirmed_end_is_an_end(phase: Phase) -> None:
    """A phase in which a job goes on is refused."""
    with pytest.raises(ConfigurationError, match="must show how the job ended"):
        Reading.unconfirmed_end(phase, "s")


def test_an_unknown_end_says_what_is_unknown() -> None:
    """An empty text would hide it."""
    with pytest.raises(ConfigurationError, match="unknown="):
        Reading.unknown_end("s", unknown="")
