"""Limits that are stated."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from pollwise.errors import ConfigurationError
from pollwise.model.limits import Limits, RateLimit, ReplyLimits


def test_a_rate_limit_is_a_value() -> None:
    """It is compared by its numbers."""
    assert RateLimit(60, per_s=60) == RateLimit(60, per_s=60.0)


@pytest.mark.parametrize(
    ("requests", "per_s"),
    [
        (0, 60.0),
        (-1, 60.0),
        (1.5, 60.0),
        (True, 60.0),
        ("60", 60.0),
        (60, 0.0),
        (60, math.inf),
        (60, math.nan),
        (60, "1"),
    ],
)
def test_a_rate_limit_that_cannot_be_is_refused(requests: Any, per_s: Any) -> None:
    """The error shows how to write one."""
    with pytest.raises(ConfigurationError, match=r"RateLimit\(60, per_s=60\.0\)"):
        RateLimit(requests, per_s=per_s)


@pytest.mark.parametrize("name", ["concurrency", "capacity"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "64", True, None])
def test_a_limit_that_is_no_count_is_refused(name: str, value: Any) -> None:
    """The error names it."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number of at least 1"):
        Limits(**{name: value})


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan, "30", True, None])
def test_a_request_timeout_that_is_no_time_is_refused(value: Any) -> None:
    """The error names it."""
    with pytest.raises(ConfigurationError, match="request_timeout_s must be a positive number of seconds"):
        Limits(request_timeout_s=value)


@pytest.mark.parametrize("name", ["items", "values", "depth", "text", "size", "row"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "64", True, None])
def test_a_limit_of_a_reply_that_is_no_count_is_refused(name: str, value: Any) -> None:
    """The error names it."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number of at least 1"):
        ReplyLimits(**{name: value})


def test_a_depth_that_cannot_be_written_again_is_refused() -> None:
    """A ledger could not keep what is nested deeper."""
    with pytest.raises(ConfigurationError, match="depth must be at most 200"):
        ReplyLimits(depth=201)


def test_limits_of_a_reply_are_of_their_class() -> None:
    """The error says what to pass."""
    with pytest.raises(ConfigurationError, match=r"reply must be a ReplyLimits\(items=1000\), got dict"):
        Limits(reply=cast("Any", {"items": 5}))
