"""What a watcher is made with."""

from __future__ import annotations

import inspect
import logging

import pytest

from pollwise.runtime.options import WatcherOptions, fraction_warning
from pollwise.watcher import JobWatcher
from toy import RUNNING, SUCCEEDED, ToyJob, watching

pytestmark = pytest.mark.looptime


def test_a_fraction_that_is_no_share_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first one, with the endpoint's name; the others are not logged."""
    warn, other = fraction_warning("toy"), fraction_warning("other")
    for fraction in (25.0, 50.0, float("nan")):
        warn(fraction)
    other(-1.0)
    assert [record.message.partition(" is ")[0] for record in caplog.records] == [
        "toy: fraction 25.0",
        "other: fraction -1.0",
    ]


async def test_a_percentage_as_fraction_shows_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The watches of one watcher log it once. Each of them goes on without a fraction."""
    percentages = [{"state": "running", "done": done, "of": 1} for done in (25, 50, 75)]
    async with watching([RUNNING, *percentages, SUCCEEDED]) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
        assert (await watcher.watch(ToyJob("b"))).state == "succeeded"
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("toy: fraction 25.0 is no share")


def test_the_options_of_the_overloads_are_those_of_a_watcher() -> None:
    """A type checker knows each of them."""
    taken = [name for name in inspect.signature(JobWatcher).parameters if name != "endpoint"]
    assert list(WatcherOptions.__annotations__) == taken
