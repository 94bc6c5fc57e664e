"""The page in a real browser. Without Chromium these tests are skipped; `.ci/run` installs it if possible."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape, unescape
from pathlib import Path

import attrs
import pytest

from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.page import render
from pollwise.cli.run_times import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # so that the browser's own requests reach no server
)
HOSTILE = """<script>document.title='pwned'</script>'"><img src=x onerror="document.title='pwned'"><h1 style='width:9999px'>"""
PWN = "<script>document.title = 'pwned'</script><img src=http://example.com/x>"
MEASURE = """<script>
const wide = [...document.querySelectorAll("main *")].filter(it => !it.closest(".scroll"))
  .filter(it => it.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
const measured = {page: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
  wide: wide.map(it => it.outerHTML.slice(0, 80)), background: getComputedStyle(document.body).backgroundColor};
document.title = JSON.stringify(measured);
</script>"""

PHONE = """<!doctype html><title>phone</title><iframe srcdoc="{page}" style="width:390px;height:844px;border:0"></iframe>
<script>
onload = async () => {{
  const view = document.querySelector("iframe").contentWindow, page = view.document;
  const all = selector => [...page.querySelectorAll(selector)];
  const rows = () => all("#jobs tbody tr").filter(row => row.getClientRects().length).length;
  const wide = all("body *").filter(it => !it.closest(".scroll") && it.getClientRects().length)
    .filter(it => it.getBoundingClientRect().right > view.innerWidth);
  const lines = all("h1, p, code, small, .reason, .badge, dd, li").filter(it => it.getClientRects().length)
    .map(it => it.getBoundingClientRect()).filter(it => it.width < 40 && it.height > 60);
  const letters = all("svg[role=img] text").filter(it => it.getClientRects().length)
    .map(it => parseFloat(view.getComputedStyle(it).fontSize) * it.getScreenCTM().a);
  const find = async (text, state) => {{
    page.getElementById("text").value = text;
    page.getElementById("text").dispatchEvent(new view.Event("input"));
    page.getElementById("state").value = state;
    page.getElementById("state").dispatchEvent(new view.Event("change"));
    await new Promise(done => setTimeout(done, 200));
    return [rows(), page.getElementById("found").textContent, !page.getElementById("none").hidden];
  }};
  const seen = {{scroll: page.documentElement.scrollWidth, width: view.innerWidth, wide: wide.length, lines: lines.length,
    letters: Math.min(...letters), all: await find("", ""), failed: await find("", "failed"),
    one: await find("WORD-7 oracle", ""), none: await find("no such job", "")}};
  page.getElementById("text").dispatchEvent(new view.KeyboardEvent("keydown", {{key: "Escape"}}));
  seen.escaped = rows();
  all("button[data-state]")[0].click();
  seen.shown = [rows(), page.activeElement.id, page.getElementById("state").value];
  document.title = JSON.stringify(seen);
}};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
Page = Callable[..., str]


@attrs.frozen
class Seen:
    """A page in the browser: its HTML, its title, and the URLs that it requested."""

    html: str
    title: str
    requested: list[str]


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., Seen]:
    """Opens a page in a new browser process."""

    def open_page(html: str, *options: str, width: int = 1200) -> Seen:
        assert CHROMIUM is not None
        path, log = tmp_path / "page.html", tmp_path / "network.json"
        path.write_text(html, encoding="utf-8")
        own = (f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", f"--window-size={width},900")
        command = [CHROMIUM, *FLAGS, *own, *options, "--dump-dom", path.as_uri()]
        found = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=120).stdout
        title = re.search(r"<title>(.*?)</title>", found, re.DOTALL)
        assert title is not None
        network = log.read_text(encoding="utf-8", errors="replace")
        requested = re.findall(r'"network_isolation_key":"file:[^\n]*?"url":"([^"]*)"', network)
        return Seen(found, unescape(title[1]), requested)

    return open_page


Browse = Callable[..., Seen]


def without_policy(html: str) -> str:
    """The page without its Content-Security-Policy."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)


def test_hostile_names_and_messages_do_nothing(browse: Browse, page: Page) -> None:
    """Scripts in a job's key, a vendor's message or the page's name are shown as text; nothing runs or is loaded."""
    seen = browse(page(120, text=HOSTILE, name=HOSTILE))
    assert seen.title.startswith("<script>document.title='pwned'")
    assert not re.search(r"<(img|iframe|object)|<h1 style", seen.html)
    assert (seen.html.count("<script"), seen.html.count("<h1")) == (1, 1)
    assert seen.requested == []


def test_the_policy_stops_an_unescaped_script(browse: Browse, page: Page) -> None:
    """If a text were not escaped, the page's policy would still forbid its scripts and requests."""
    broken = page(1).replace("<main>", f"<main>{PWN}")
    seen = browse(broken)
    assert "<img" in seen.html
    assert (seen.title, seen.requested) == ("jobs.jsonl - pollwise", [])
    seen = browse(without_policy(broken))  # the same page without the policy
    assert (seen.title, seen.requested) == ("pwned", ["http://example.com/x"])


@pytest.mark.parametrize(("width", "text"), [(500, HOSTILE), (1200, "W" * 400)])
def test_no_text_breaks_the_layout(width: int, text: str, browse: Browse, page: Page) -> None:
    """With long texts nothing is wider than the window. Tables and charts scroll in their own boxes."""
    html = page(300, text=text, name=text, still_open=0.1)
    measured = json.loads(browse(without_policy(html).replace("</body>", f"{MEASURE}</body>"), width=width).title)
    assert measured["page"] <= measured["window"]
    assert measured["wide"] == []
    assert measured["background"] == "rgb(246, 246, 243)"


def test_a_dark_page(browse: Browse, page: Page) -> None:
    """The page is dark if the browser prefers a dark colour scheme."""
    html = without_policy(page(1)).replace("</body>", f"{MEASURE}</body>")
    measured = json.loads(browse(html, "--blink-settings=preferredColorScheme=0").title)
    assert measured["background"] == "rgb(16, 18, 22)"


def test_a_phone_and_the_filter(browse: Browse, drawn: Callable[..., LedgerSummary]) -> None:
    """At 390 pixels nothing is wider than the page or one letter narrow, charts can be read, and jobs can be found."""
    summary = drawn(300, text="word", still_open=0.1)
    states, endpoints = Counter(row.state for row in summary.rows), [row.endpoint for row in summary.rows]
    runs = [Run(NOW.timestamp() - 7200, NOW.timestamp() - 7000), Run(NOW.timestamp() - 6900, NOW.timestamp())]
    html = render(summary, name="W" * 90, now=NOW, version="1.2.3", runs=runs)
    seen = json.loads(browse(PHONE.format(page=escape(html)), "--virtual-time-budget=5000").title)
    assert (seen["scroll"], seen["width"], seen["wide"], seen["lines"]) == (390, 390, 0, 0)
    assert seen["letters"] >= 11
    assert seen["all"] == [300, "", False]
    assert seen["failed"] == [states["failed"], f"{states['failed']} of the 300 listed jobs match.", False]
    assert 0 < seen["one"][0] < endpoints.count("oracle-content")
    assert seen["none"] == [0, "0 of the 300 listed jobs match.", True]
    assert seen["escaped"] == 300
    reason = summary.reasons[0]
    listed = [row for row in summary.rows if row.state == reason.state]
    assert seen["shown"] == [len(listed), "text", reason.state]
