"""The page in a real browser. These tests are left out where there is no Chromium; `.ci/run` installs one if it can."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

import attrs
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # its own errands are none of this test's
)
HOSTILE = """<script>document.title='pwned'</script>'"><img src=x onerror="document.title='pwned'"><h1 style='width:9999px'>"""
PWN = "<script>document.title = 'pwned'</script><img src=http://example.com/x>"
MEASURE = """<script>
const wide = [...document.querySelectorAll("main *")].filter(it => !it.closest(".scroll"))
  .filter(it => it.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
const said = {page: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
  wide: wide.map(it => it.outerHTML.slice(0, 80)), background: getComputedStyle(document.body).backgroundColor};
document.title = JSON.stringify(said);
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
Page = Callable[..., str]


@attrs.frozen
class Seen:
    """What a page has become in a browser: its HTML, its title, and the addresses that it asked for."""

    html: str
    title: str
    job_table: list[str]


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., Seen]:
    """Opens a page in a browser of its own."""

    def appearance_of(html: str, *options: str, width: int = 1200) -> Seen:
        assert CHROMIUM is not None
        path, log = tmp_path / "page.html", tmp_path / "network.json"
        path.write_text(html, encoding="utf-8")
        own = (f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", f"--window-size={width},900")
        command = [CHROMIUM, *FLAGS, *own, *options, "--dump-dom", path.as_uri()]
        found = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=120).stdout
        title = re.search(r"<title>(.*?)</title>", found, re.DOTALL)
        assert title is not None
        network = log.read_text(encoding="utf-8", errors="replace")
        job_table = re.findall(r'"network_isolation_key":"file:[^\n]*?"url":"([^"]*)"', network)
        return Seen(found, unescape(title[1]), job_table)

    return appearance_of


Browse = Callable[..., Seen]


def unruly(html: str) -> str:
    """The page without its policy."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)


def test_hostile_names_and_messages_do_nothing(browse: Browse, page: Page) -> None:
    """A job's name, a vendor's message and the name of a file that hold scripts are shown as they are; nothing is loaded."""
    seen = browse(page(120, states=HOSTILE, name=HOSTILE))
    assert seen.title.startswith("<script>document.title='pwned'")
    assert not re.search(r"<(script|img|iframe|object)|<h1 style", seen.html)
    assert seen.html.count("<h1") == 1
    assert seen.job_table == []


def test_the_policy_is_a_second_lock(browse: Browse, page: Page) -> None:
    """Should a text ever get in unescaped, the page's policy still runs no script and loads nothing."""
    broken = page(1).replace("<main>", f"<main>{PWN}")
    seen = browse(broken)
    assert "<img" in seen.html
    assert (seen.title, seen.job_table) == ("jobs.jsonl - pollwise", [])
    seen = browse(unruly(broken))  # what it would have done
    assert (seen.title, seen.job_table) == ("pwned", ["http://example.com/x"])


@pytest.mark.parametrize(("width", "states"), [(500, HOSTILE), (1200, "W" * 400)])
def test_no_text_breaks_the_layout(width: int, states: str, browse: Browse, page: Page) -> None:
    """However long and unbreakable, nothing is wider than the window; tables and drawings scroll in their own place."""
    html = page(300, states=states, name=states, still_open=0.1)
    said = json.loads(browse(unruly(html).replace("</body>", f"{MEASURE}</body>"), width=width).title)
    assert said["page"] <= said["window"]
    assert said["wide"] == []
    assert said["background"] == "rgb(246, 246, 243)"


def test_a_dark_page(browse: Browse, page: Page) -> None:
    """The page follows its reader's setting."""
    html = unruly(page(1)).replace("</body>", f"{MEASURE}</body>")
    said = json.loads(browse(html, "--blink-settings=preferredColorScheme=0").title)
    assert said["background"] == "rgb(16, 18, 22)"
