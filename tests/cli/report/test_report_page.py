from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pollwise.cli.event_text import appearance_of
from pollwise.cli.ledger_entries import LedgerEntry, to_entry
from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report import write_report
from pollwise.cli.report.page import render

Page = Callable[..., str]
SCRIPT = """<script>document.title='pwned'</script>'"><img src=x onerror="document.title='pwned'">{{ 7 * 7 }}</style>"""
CSS = Path(render.__code__.co_filename).with_name("page.css").read_text(encoding="utf-8")


class Shape(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("first_seen", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
@pytest.mark.parametrize("elapsed_s", [None, -1e12, 0.0, 100.0, 1e12, 1e18, 1e300])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_page_of_odd_times_is_drawn(first_seen: str, elapsed_s: float | None, count: int) -> None:
    """A wall clock that jumped leaves any time and any duration in a ledger."""
    summary = LedgerSummary()
    for number in range(count):
        began, took = (first_seen, elapsed_s) if number % 2 == 0 else ("2026-11-23T18:00:00+00:00", 9.0)
        entry = {
            "outcome": None if took is None else "succeeded",
            "endpoint": "document360",
            "job": {"task_id": str(number)},
            "phase": "running" if took is None else "succeeded",
            "first_seen": began,
            "elapsed_s": took,
            "detected_within_s": took,
            "polls": 1,
            "failures": 0,
            "error": None,
            "acknowledged": False,
        }
        summary.add([to_entry(entry)])
    assert "</html>" in render(summary, name="odd", now=datetime(2026, 11, 23, 20, 0, tzinfo=UTC), version="1")


def test_a_page_loads_nothing(page: Page) -> None:
    """The page has no URL, no script and no event handler, and its policy forbids them."""
    html = page(300)
    assert "default-src 'none'" in html
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:", html)
    shape = Shape(html)
    assert not {tag for tag, *_ in shape.tags} & {"script", "img", "link", "iframe", "object", "embed", "a", "form"}
    names = {name for _, *attributes in shape.tags for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"src", "href", "srcset"}]


@pytest.mark.parametrize("count", [1, 30, 120, 300])
def test_hostile_texts_add_no_tags(count: int, page: Page) -> None:
    """A page with hostile names and messages has the same tags as one with harmless texts."""
    harmless, hostile = Shape(page(count)), Shape(page(count, text=SCRIPT, name=SCRIPT))
    assert hostile.tags == harmless.tags
    assert "pwned" in hostile.text
    assert "{{ 7 * 7 }}" in hostile.text


def test_hostile_characters(page: Page, hostile: str) -> None:
    """The page has no escape codes and no characters that reorder text."""
    html = page(30, text=hostile, name=hostile)
    assert not [character for character in html if not character.isprintable() and character != "\n"]


@pytest.mark.parametrize(
    ("count", "options", "headline"),
    [(0, {}, "No jobs yet"), (50, {"still_open": 1.0}, "0 of 50 are over")],
)
def test_the_headline(count: int, options: dict[str, float], headline: str, page: Page) -> None:
    """The headline counts the jobs that are over."""
    assert f">{headline}<" in page(count, **options)


def test_the_headline_of_a_finished_batch() -> None:
    """The headline of a finished batch says that all jobs succeeded, or how many did."""
    success = LedgerEntry(
        endpoint="e", keys=("k",), state="succeeded", first_seen=1.0, elapsed_s=1.0, polls=1, reason=""
    )
    summary, now = LedgerSummary(), datetime(2026, 1, 1, tzinfo=UTC)
    summary.add([success])
    assert ">It succeeded<" in render(summary, name="x", now=now, version="1")
    summary.add([success, success])
    assert "All 3 succeeded" in render(summary, name="x", now=now, version="1")
    summary.add(
        [LedgerEntry(endpoint="e", keys=("k",), state="failed", first_seen=1.0, elapsed_s=1.0, polls=1, reason="why")]
    )
    html = render(summary, name="x", now=now, version="1")
    assert "3 of 4 succeeded" in html
    assert "What went wrong" in html
    assert "1 January 1970, 00:00 to 00:00 UTC" in html


def test_the_table_is_bounded(page: Page) -> None:
    """A page lists at most a thousand jobs. It says so, and names the command that exports all of them."""
    html = page(1500)
    assert html.count("<tr><td><small>") == 1000
    assert "1,000 of 1,500" in html
    assert "pollwise ledger export" in html
    assert html.count("<tr><td><small>") < 1500 < len(html) < 600_000
    assert "of 200 jobs:" not in page(200)


def test_reasons_are_bounded() -> None:
    """A page lists the commonest reasons and counts the others."""
    summary = LedgerSummary()
    for number in range(1100):
        seen = {"endpoint": "e", "keys": ("k",), "first_seen": 1.0, "elapsed_s": 1.0, "polls": 1}
        summary.add([LedgerEntry(state="failed", reason=f"why {number}", **seen)])  # type: ignore[arg-type]  # as above
    html = render(summary, name="x", now=datetime(2026, 1, 1, tzinfo=UTC), version="1")
    assert html.count('class="count"') == 25
    assert "There are 975 more reasons, and 100 jobs with reasons beyond those that were kept." in html


def test_an_open_batch(page: Page) -> None:
    """A page with open jobs says how many are still open."""
    html = page(100, still_open=0.5)
    assert "still open. This page shows the state at the time when it was made." in html
    assert "still open" not in page(100).replace("still open,", "")


def test_the_file(tmp_path: Path) -> None:
    """The page is written whole, in UTF-8."""
    write_report(tmp_path / "page.html", LedgerSummary(), "jobs ä.jsonl")
    assert "jobs ä.jsonl" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1


# --- colours ------------------------------------------------------------------------------------


def schemes() -> Iterator[dict[str, str]]:
    """The colours by name, light and dark."""
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL):
        yield dict(re.findall(r"--(\w+): (#\w{6})", block))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2, 1.4.3."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_both_schemes_have_enough_contrast() -> None:
    """In light and in dark, text has a contrast of 4.5. The colours of states have enough contrast to the card, too."""
    found = list(schemes())
    assert len(found) == 2
    for colours in found:
        for surface in ("page", "card"):
            assert contrast(colours["ink"], colours[surface]) > 7
            assert contrast(colours["soft"], colours[surface]) > 4.5
        for state in ("succeeded", "failed", "cancelled", "running"):
            assert contrast(colours[state], colours["card"]) > 3
        assert appearance_of("abandoned").symbol
        assert contrast(colours["abandoned"], colours["card"]) > 2.4


def test_every_state_has_its_colour() -> None:
    """Each state has a colour in both schemes, and a CSS class."""
    light, dark = schemes()
    assert light.keys() == dark.keys()
    for state in STATES:
        assert state in light
        assert f".{state} {{ --word: var(--{state}); }}" in CSS
