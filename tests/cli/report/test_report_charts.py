from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from pollwise.cli.ledger_entries import Entry
from pollwise.cli.ledger_summary import WORDS, Tally
from pollwise.cli.report.charts import Chart, Shape, delays, durations, flow, lanes, polls

Make = Callable[..., Tally]
NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC).timestamp()


def entry(**more: Any) -> Entry:
    usual = {"endpoint": "e", "keys": ("k",), "word": "succeeded", "first_seen": NOW - 60, "elapsed_s": 30.0}
    return Entry(**{**usual, "polls": 3, "reason": "", **more})


def tally(*entries: Entry) -> Tally:
    made = Tally()
    made.add(entries)
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
    """Whether all that is drawn is inside the plot."""
    places = [place for shape in chart.shapes for place in corners(shape)]
    return all(
        chart.left - 0.2 <= x <= chart.width + 0.2 and chart.top - 0.2 <= y <= chart.bottom + 0.2 for x, y in places
    )


@pytest.mark.parametrize("count", [1, 2, 40, 41, 200])
def test_a_lane_for_each_job(count: int, drawn: Make) -> None:
    """Every job is a bar in the colour of its end; few jobs have room for their names."""
    chart = lanes(drawn(count, still_open=0.2).rows, NOW)
    assert len(chart.shapes) == count
    assert len(chart.up) == (count if count <= 40 else 0)
    assert stays_inside(chart)
    assert {shape.word for shape in chart.shapes} <= set(WORDS)


def test_a_lane_is_as_long_as_its_job() -> None:
    """From its beginning to its end; an open one reaches to now; a moment can still be seen."""
    entries = [entry(), entry(word="running", elapsed_s=None), entry(elapsed_s=0.0, first_seen=NOW)]
    first, second, third = lanes(entries, NOW).shapes
    assert first.x == second.x
    assert first.width == pytest.approx(second.width / 2, abs=0.2)
    assert third.width == 2.0
    assert third.x + third.width <= 1000.0
    assert first.title == "k: succeeded, after 30.0 s"
    assert second.title == "k: running, still open"


@pytest.mark.parametrize("count", [1, 300, 5000])
def test_many_jobs_as_a_flow(count: int, drawn: Make) -> None:
    """However many there are, there is one area for each way to end, and one for what was open."""
    made = drawn(count, still_open=0.3)
    chart = flow(made, NOW)
    assert len(chart.shapes) <= 5
    assert stays_inside(chart)
    areas = {shape.word: list(corners(shape)) for shape in chart.shapes}
    scale = (chart.bottom - chart.top) / count
    for word in ("succeeded", "failed"):
        if made.words[word]:
            high, low = areas[word][160], areas[word][161]
            assert (low[1] - high[1]) / scale == pytest.approx(made.words[word], abs=0.2 / scale)


def test_a_flow_of_jobs_that_took_no_time() -> None:
    """One moment is a span of time as well; a clock that jumped back draws nothing outside."""
    assert stays_inside(flow(tally(entry(elapsed_s=0.0), entry(elapsed_s=0.0)), NOW))
    assert stays_inside(flow(tally(entry(elapsed_s=-1000.0), entry()), NOW))
    assert stays_inside(lanes([entry(elapsed_s=-1000.0), entry()], NOW))


@pytest.mark.parametrize("draw", [durations, delays, polls])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_bars_hold_every_job(draw: Callable[[Tally], Chart | None], count: int, drawn: Make) -> None:
    """The bars together are as high as there are jobs, and none leaves the plot."""
    made = drawn(count)
    chart = draw(made)
    assert chart is not None
    assert stays_inside(chart)
    said = sum(int(shape.title.rpartition(": ")[2].split()[0].replace(",", "")) for shape in chart.shapes)
    assert said == made.ended - (made.words["abandoned"] if draw is delays else 0)
    assert len(chart.shapes) <= 4 * 60
    assert len(chart.across) <= 5


def test_bars_of_nothing() -> None:
    """Where nothing has ended, or nothing is there, nothing is drawn."""
    assert durations(tally(entry(word="running", elapsed_s=None))) is None
    assert delays(tally(entry())) is None
    assert polls(tally()) is None


def test_names_under_bars_do_not_touch(drawn: Make) -> None:
    """The last one stands at the edge, so the one before it keeps its distance."""
    for count in (3, 10, 30, 100, 1000):
        for seed in range(8):
            for draw in (durations, delays, polls):
                chart = draw(drawn(count, seed=seed))
                assert chart is not None
                places = [label.at for label in chart.across]
                widest = max(len(label.text) for label in chart.across)
                assert all(high - low > 6.5 * widest for low, high in pairwise(places))


def test_how_a_bar_is_called() -> None:
    """What a bar says when it is pointed at: what it holds and how many."""
    made = durations(tally(entry(), entry(elapsed_s=31.0), entry(word="failed", elapsed_s=500.0)))
    assert made is not None
    assert [shape.title for shape in made.shapes] == ["30 s to 45 s: 2 succeeded", "7 min to 10 min: 1 failed"]
    counted = polls(tally(entry(polls=1), entry(polls=9)))
    assert counted is not None
    assert [shape.title for shape in counted.shapes] == ["1 request: 1 succeeded", "8-10 requests: 1 succeeded"]
