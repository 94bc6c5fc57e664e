"""Header fields about limits, in all their forms."""

from __future__ import annotations

import email.utils
import re
import time
from datetime import datetime

import pytest

from pollwise.simulator.rate_headers import ResetForm, after_field, reset_text


@pytest.mark.parametrize("seconds", [0.25, 1.0, 59.2, 360.0, 3725.5])
@pytest.mark.parametrize("form", ["epoch", "epoch-ms", "iso", "http-date", "duration"])
def test_a_reset_is_never_announced_too_early(form: ResetForm, seconds: float) -> None:
    """In any form, a reset is the exact time or at most a second later."""
    before = time.time()
    text = reset_text(form, seconds, fractional=False)
    match form:
        case "epoch":
            at = float(text)
        case "epoch-ms":
            at = float(text) / 1000
        case "iso":
            at = datetime.fromisoformat(text).timestamp()
        case "http-date":
            at = email.utils.parsedate_to_datetime(text).timestamp()
        case _:
            found = re.fullmatch(r"(?:(\d+)m(?!s))?(?:([\d.]+)(ms|s))", text)
            assert found
            at = before + 60 * int(found[1] or 0) + float(found[2]) / (1000 if found[3] == "ms" else 1)
    assert before + seconds - 1e-6 <= at <= time.time() + seconds + 1.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.0171, "18ms"), (1.0, "1s"), (7.5, "7.5s"), (360.0, "6m0s"), (3661.0, "61m1s")],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    """A duration has the format of OpenAI's API."""
    assert reset_text("duration", seconds, fractional=False) == text


def test_seconds_are_whole_unless_fractions_are_wanted() -> None:
    """Whole seconds are rounded up and at least 1; fractions have three digits."""
    assert [reset_text("seconds", seconds, fractional=False) for seconds in (0.0, 0.2, 1.0, 1.01)] == list("1112")
    assert reset_text("seconds", 0.2, fractional=True) == "0.200"


def test_the_forms_of_retry_after() -> None:
    """The time is in seconds, a date, or in milliseconds under the names that Azure's services use."""
    assert after_field("seconds", 2.5, fractional=False) == {"Retry-After": "3"}
    assert after_field("retry-after-ms", 2.5, fractional=False) == {"retry-after-ms": "2500"}
    assert after_field("x-ms-retry-after-ms", 0.0001, fractional=False) == {"x-ms-retry-after-ms": "1"}
    assert after_field("date", 2.5, fractional=False)["Retry-After"].endswith(" GMT")
