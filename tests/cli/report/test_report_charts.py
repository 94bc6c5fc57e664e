from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report.charts import NARROW, Chart, Shape, counts_over_time, delays, durations, job_bars, polls
from pollwise.cli.report.gaps import Cause, Gap, Gaps

Make = Callable[..., LedgerSummary]
NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC).timestamp()


def entry(**more: Any) -> LedgerEntry:
    usual = {"endpoint": "e", "keys": ("k",), "state": "succeeded", "first_seen": NOW - 60, "elapsed_s": 30.0}
    return LedgerEntry(**{**usual, "polls": 3, "reason": "", **more})


def summary(*read_entries: LedgerEntry) -> LedgerSummary:
    made = LedgerSummary()
    made.add(read_entries)
    return made


def corners(shape: Shape) -> Iterator[tuple[float, float]]:
    if shape.points:
        for point in shape.points.split():
            x, y = point.split(",")
            yield float(x), float(y)
    else:
        yield shape.x, shape.y
        yield shape.x + shape.width, shape.y + shape.height


def stays_inside(chart: Chart) -> bool:
    """True if all shapes are inside the plot."""
    places = [place for shape in chart.shapes for place in corners(shape)]
    return all(
        chart.left - 0.2 <= x <= chart.width + 0.2 and chart.top - 0.2 <= y <= chart.bottom + 0.2 for x, y in places
    )


@pytest.mark.parametrize("count", [1, 2, 40, 41, 200])
def test_a_bar_for_each_job(count: int, drawn: Make) -> None:
    """Every job is a bar in the colour of its state. Up to 40 jobs have their names beside them."""
    chart = job_bars(drawn(count, still_open=0.2).rows, NOW)
    assert len(chart.shapes) == count
    assert len(chart.y_labels) == (count if count <= 40 else 0)
    assert stays_inside(chart)
    assert {shape.state for shape in chart.shapes} <= set(STATES)


def test_a_bar_is_as_long_as_its_job() -> None:
    """A bar reaches from the beginning of its job to its end, or to now if it is open. It is at least 2 wide."""
    read_entries = [entry(), entry(state="running", elapsed_s=None), entry(elapsed_s=0.0, first_seen=NOW)]
    first, second, third = job_bars(read_entries, NOW).shapes
    assert first.x == second.x
    assert first.width == pytest.approx(second.width / 2, abs=0.2)
    assert third.width == 2.0
    assert third.x + third.width <= 1000.0
    assert first.title == "k: succeeded, after 30.0 s"
    assert second.title == "k: running, still open"


@pytest.mark.parametrize("count", [1, 300, 5000])
def test_many_jobs_as_areas(count: int, drawn: Make) -> None:
    """Any number of jobs gives one area for each outcome, and one for open jobs."""
    made = drawn(count, still_open=0.3)
    chart = counts_over_time(made, NOW)
    assert len(chart.shapes) <= 5
    assert stays_inside(chart)
    areas = {shape.state: list(corners(shape)) for shape in chart.shapes}
    scale = (chart.bottom - chart.top) / count
    for state in ("succeeded", "failed"):
        if made.states[state]:
            high, low = areas[state][160], areas[state][161]
            assert (low[1] - high[1]) / scale == pytest.approx(made.states[state], abs=0.2 / scale)


def test_areas_of_jobs_that_took_no_time() -> None:
    """Durations of zero, and negative ones after the clock jumped back, draw nothing outside the plot."""
    assert stays_inside(counts_over_time(summary(entry(elapsed_s=0.0), entry(elapsed_s=0.0)), NOW))
    assert stays_inside(counts_over_time(summary(entry(elapsed_s=-1000.0), entry()), NOW))
    assert stays_inside(job_bars([entry(elapsed_s=-1000.0), entry()], NOW))


@pytest.mark.parametrize("width", [NARROW, 1000.0])
def test_gaps_are_bands(width: float, drawn: Make) -> None:
    """A gap is a band from its beginning to its end, with a label above the plot. Labels do not touch."""
    began, end = NOW - 7200, NOW
    gaps = Gaps([Gap(began + 100 * n, began + 100 * n + 90, Cause.NOTHING_RAN) for n in range(60)])
    made = drawn(300, still_open=0.5)
    for chart in (counts_over_time(made, end, gaps, width=width), job_bars(made.rows, end, gaps, width=width)):
        assert 0 < len(chart.bands) <= 40
        assert all(chart.left <= band.x and band.x + band.width <= width + 1.0 for band in chart.bands)
        places = [band.label.at for band in chart.bands if band.label is not None]
        assert places
        assert all(41 <= place <= width - 41 for place in places)
        assert all(high - low > 7 * len("nothing ran") for low, high in pairwise(places))
        assert chart.top >= 20
    assert chart.bands[0].title == "nothing ran for 1 min 30 s"


def test_a_chart_without_gaps_has_no_bands(drawn: Make) -> None:
    """Without gaps there is no band, and no room for its label."""
    assert job_bars(drawn(3).rows, NOW).top == 0.0
    assert not counts_over_time(drawn(300), NOW).bands


@pytest.mark.parametrize("count", [3, 40, 300])
def test_a_chart_for_a_phone(count: int, drawn: Make) -> None:
    """A narrow chart has the same shapes as a wide one, names that fit beside its bars, and fewer times."""
    made = drawn(count, still_open=0.2)
    wide, narrow = job_bars(made.rows, NOW), job_bars(made.rows, NOW, width=NARROW)
    assert (narrow.width, len(narrow.shapes), narrow.height) == (NARROW, len(wide.shapes), wide.height)
    assert stays_inside(narrow)
    assert all(7.3 * len(label.text) <= narrow.left for label in narrow.y_labels)
    assert stays_inside(counts_over_time(made, NOW, width=NARROW))
    for chart in (narrow, counts_over_time(made, NOW, width=NARROW)):
        places = [label.at for label in chart.x_labels]
        assert all(
            high - low > 7 * len(label.text)
            for low, high, label in zip(places, places[1:], chart.x_labels[1:], strict=False)
        )


@pytest.mark.parametrize("draw", [durations, delays, polls])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_histograms_count_every_job(draw: Callable[[LedgerSummary], Chart | None], count: int, drawn: Make) -> None:
    """The bars of a histogram count every job once, and no bar is outside the plot."""
    made = drawn(count)
    chart = draw(made)
    assert chart is not None
    assert stays_inside(chart)
    counted = sum(int(shape.title.rpartition(": ")[2].split()[0].replace(",", "")) for shape in chart.shapes)
    assert counted == made.ended - (made.states["abandoned"] if draw is delays else 0)
    assert len(chart.shapes) <= 4 * 60
    assert len(chart.x_labels) <= 5


def test_no_histogram_without_values() -> None:
    """Without ended jobs, without known delays, or without jobs there is no chart."""
    assert durations(summary(entry(state="running", elapsed_s=None))) is None
    assert delays(summary(entry())) is None
    assert polls(summary()) is None


def test_labels_under_bars_do_not_overlap(drawn: Make) -> None:
    """The distance between two labels is larger than the widest label, also at the right edge."""
    for count in (3, 10, 30, 100, 1000):
        for seed in range(8):
            for draw in (durations, delays, polls):
                chart = draw(drawn(count, seed=seed))
                assert chart is not None
                places = [label.at for label in chart.x_labels]
                widest = max(len(label.text) for label in chart.x_labels)
                assert all(high - low > 6.5 * widest for low, high in pairwise(places))


def test_the_tooltip_of_a_bar() -> None:
    """A tooltip has the range of the bar, the number of jobs and their outcome."""
    made = durations(summary(entry(), entry(elapsed_s=31.0), entry(state="failed", elapsed_s=500.0)))
    assert made is not None
    assert [shape.title for shape in made.shapes] == ["30 s to 45 s: 2 succeeded", "7 min to 10 min: 1 failed"]
    counted = polls(summary(entry(polls=1), entry(polls=9)))
    assert counted is not None
    assert [shape.title for shape in counted.shapes] == ["1 request: 1 succeeded", "8-10 requests: 1 succeeded"]
