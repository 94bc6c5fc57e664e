"""Limits that are stated."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pollwise.errors import ConfigurationError
from pollwise.model.limits import RateLimit


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
