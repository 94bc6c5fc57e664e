from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
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
from pollwise.cli.run_times import Run

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
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
    """The page has no URL and no event handler, and one script and one style, which its policy names by their hashes."""
    html = page(300)
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:|eval|innerHTML", html)
    shape = Shape(html)
    tags = Counter(tag for tag, *_ in shape.tags)
    assert not tags.keys() & {"img", "link", "iframe", "object", "embed", "a", "form"}
    assert (tags["script"], tags["style"]) == (1, 1)
    names = {name for _, *attributes in shape.tags for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"src", "href", "srcset", "style"}]
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    hashes = {tag: allowed(html, tag) for tag in ("style", "script")}
    assert policy == (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; base-uri 'none'; form-action 'none'"
    )


def allowed(html: str, tag: str) -> str:
    """The hash of what stands between the tags, as a policy names it."""
    (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


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
    [
        (0, {}, "No jobs yet"),
        (1, {"still_open": 1.0}, "It is still open"),
        (50, {"still_open": 1.0}, "0 of 50 are over"),
    ],
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
    assert html.count("<tr data-state=") == 1000
    assert "1,000 of 1,500 jobs" in html
    assert "500 are not listed." in html
    assert "<code>pollwise ledger export LEDGER --include-open</code>" in html
    assert 1500 < len(html) < 600_000
    assert "not listed" not in page(200)


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
    ledger = tmp_path / "jobs.ledger"
    write_report(tmp_path / "page.html", LedgerSummary(), "jobs ä.jsonl", ledger)
    assert "<title>jobs ä.jsonl - pollwise</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1
    write_report(tmp_path / "page.html", LedgerSummary(), "-", ledger)
    assert "<title>jobs.ledger - pollwise</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_list_can_be_read_by_a_screen_reader(page: Page) -> None:
    """Tables have captions, and their heads say whether they are of a row or a column. Each input has a label."""
    html = page(30)
    assert '<html lang="en">' in html
    shape = Shape(html)
    tags = Counter(tag for tag, *_ in shape.tags)
    assert tags["table"] == tags["caption"] == 2
    assert all("scope" in attributes for tag, *attributes in shape.tags if tag == "th")
    assert tags["label"] == tags["input"] + tags["select"] == 3
    assert tags["svg"] - 1 == html.count('role="img"')  # the bar of the states repeats the words beside it


def test_nothing_is_said_with_the_script_alone(page: Page) -> None:
    """Without its script the page lacks its filter, and nothing else: what is hidden are the controls of the filter."""
    hidden = re.findall(r"<(\w+)[^>]* hidden", page(300))
    assert set(hidden) == {"div", "button", "p"}
    assert (hidden.count("div"), hidden.count("p")) == (1, 1)


def test_what_went_wrong_comes_first(page: Page) -> None:
    """The reasons stand before the figures, the charts and the list."""
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page(300))
    assert headings[:3] == ["What went wrong", "Figures", "Timeline"]
    assert headings[-1] == "Jobs"


def test_numbers_of_jobs_agree(page: Page) -> None:
    """The states above the list are those of all jobs, and those in the filter are of the jobs that are listed."""
    html = page(1500)
    legend = dict(re.findall(r"<b>([\d,]+)</b> (\w+) <small>", html))
    assert sum(int(count.replace(",", "")) for count in legend) == 1500
    listed = re.findall(r'<option value="\w+">\w+ \(([\d,]+)\)', html)
    assert sum(int(count.replace(",", "")) for count in listed) == 1000
    wrong = re.search(r"([\d,]+) of 1,500 jobs did not succeed", html)
    assert wrong is not None
    assert int(wrong[1]) == sum(int(count) for count in re.findall(r'class="count">(\d+)<', html))


def test_a_restart_is_marked() -> None:
    """The time between two runs is shaded and written below the chart, and the times of the page say what it was."""
    summary, last = LedgerSummary(), NOW.timestamp()
    seen = {"endpoint": "e", "keys": ("k",), "state": "succeeded", "polls": 1, "reason": ""}
    times = {"first_seen": last - 200, "elapsed_s": 200.0, "detected_within_s": 150.0}
    summary.add([LedgerEntry(**seen, **times)])  # type: ignore[arg-type]  # as above
    runs = [Run(last - 200, last - 100), Run(last - 1, last + 5)]
    html = render(summary, name="x", now=NOW, version="1", runs=runs)
    assert len(re.findall(r'<rect class="gap"[^>]*><title>nothing ran for 1 min 39 s</title>', html)) == 2
    assert re.search(r"<li>Nothing ran from 23 November, [\d:]+ to [\d:]+ \(1 min 39 s\)\.</li>", html)
    assert "(3 min 20 s; nothing ran for 1 min 39 s of that)" in html
    assert "1 of the jobs may have ended in a gap." in html


def test_the_bar_of_states_shows_the_rarest_one() -> None:
    """One job of a hundred thousand is still seen in the bar of all states."""
    summary = LedgerSummary()
    seen = {"endpoint": "e", "keys": ("k",), "first_seen": 1.0, "elapsed_s": 1.0, "polls": 1}
    one = LedgerEntry(state="succeeded", reason="", **seen)  # type: ignore[arg-type]  # as above
    summary.add([one] * 5_000)
    summary.add([LedgerEntry(state="failed", reason="why", **seen)])  # type: ignore[arg-type]
    html = render(summary, name="x", now=datetime(2026, 1, 1, tzinfo=UTC), version="1")
    (stack,) = re.findall(r'class="stack".*?</svg>', html)
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="18"', stack)]
    assert sum(widths) == pytest.approx(1000)
    assert min(widths) > 4


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
            assert contrast(colours["edge"], colours[surface]) > 3
            assert contrast(colours["focus"], colours[surface]) > 3
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
