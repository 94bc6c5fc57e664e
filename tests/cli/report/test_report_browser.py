"""The page in a real browser. These tests are left out where there is no Chromium; `.ci/run` installs one if it can."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
HOSTILE = """<script>document.title='pwned'</script>'"><img src=x onerror="document.title='pwned'"><h1 style='width:9999px'>"""
PWN = "<script>document.title = 'pwned'</script><img src=x onerror=\"document.title = 'pwned'\">"
MEASURE = """<script>
const wide = [...document.querySelectorAll("main *")].filter(it => !it.closest(".scroll"))
  .filter(it => it.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
const said = {page: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
  wide: wide.map(it => it.outerHTML.slice(0, 80)), background: getComputedStyle(document.body).backgroundColor};
document.title = JSON.stringify(said);
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
Browse = Callable[..., str]
Page = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Opens a page in a browser of its own; what the page has become, as HTML."""

    def dump(html: str, *options: str, width: int = 1200) -> str:
        assert CHROMIUM is not None
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [CHROMIUM, *FLAGS, profile, f"--window-size={width},900", *options, "--dump-dom", path.as_uri()]
        return subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=120).stdout

    return dump


def title(html: str) -> str:
    found = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    assert found is not None
    return found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def measured(html: str) -> str:
    """The page with a ruler in it, which its own policy would not allow."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</body>", f"{MEASURE}</body>")


def test_hostile_names_and_messages_run_nothing(browse: Browse, page: Page) -> None:
    """A job's name, a vendor's message and the name of a file that hold scripts are shown as they are, and do nothing."""
    found = browse(page(120, words=HOSTILE, name=HOSTILE))
    assert "jobs" in found
    assert title(found).startswith("<script>document.title='pwned'")
    assert not re.search(r"<(script|img|iframe|object|h1 style)", found)
    assert found.count("<h1") == 1


def test_the_policy_would_stop_a_script_that_slipped_in(browse: Browse, page: Page, tmp_path: Path) -> None:
    """Should a text ever get in unescaped, the page's policy still runs no script and loads nothing: a second lock."""
    log = tmp_path / "net.json"
    found = browse(page(30).replace("<main>", f"<main>{PWN}"), f"--log-net-log={log}")
    assert "<script>" in found
    assert title(found) == "jobs.jsonl – pollwise"
    assert title(browse(page(1).replace("default-src 'none'", "default-src * 'unsafe-inline'").replace("<main>", f"<main>{PWN}"))) == "pwned"


def test_the_page_asks_for_nothing(browse: Browse, page: Page, tmp_path: Path) -> None:
    """The browser's own log of the network has no address in it but the page's."""
    log = tmp_path / "net.json"
    browse(page(300), f"--log-net-log={log}")
    asked = set(re.findall(r'"url":"(\w+:[^"]*)"', log.read_text(encoding="utf-8", errors="replace")))
    own = (tmp_path / "page.html").as_uri()
    assert {url for url in asked if not url.startswith(("chrome", "data:"))} <= {own}


@pytest.mark.parametrize("width", [500, 1200])
@pytest.mark.parametrize("words", ["a word", HOSTILE, "W" * 400])
def test_no_text_breaks_the_layout(width: int, words: str, browse: Browse, page: Page) -> None:
    """However long and unbreakable, nothing is wider than the window; tables and drawings scroll in their own place."""
    said = json.loads(title(browse(measured(page(300, words=words, name=words, still_open=0.1)), width=width)))
    assert said["page"] <= said["window"]
    assert said["wide"] == []


def test_light_and_dark(browse: Browse, page: Page) -> None:
    """The page follows the reader's setting."""
    light = json.loads(title(browse(measured(page(1)))))["background"]
    dark = json.loads(title(browse(measured(page(1)), "--blink-settings=preferredColorScheme=0")))["background"]
    assert (light, dark) == ("rgb(246, 246, 243)", "rgb(16, 18, 22)")
