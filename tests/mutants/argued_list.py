"""Writes the argued mutants into docs/testing.md, grouped by module and reason.

    python tests/mutants/argued_list.py

Rule: argued.toml is the source. `test_argued_list.py` fails if the page differs from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "testing.md"
HEADING = "### Argued mutants\n"
_LONGEST = 90  # characters of a changed line


def argued() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = tomllib.loads((HERE / "argued.toml").read_text())["argued"]
    return entries


def as_markdown(entries: Sequence[dict[str, str]]) -> str:
    """A list for each module: where the changes are, the first of them, and the reason."""
    lines = [
        f"{len(entries)} mutants. Those with the same reason are listed together, with the first of their changes."
    ]
    for module, of_module in groupby(entries, key=lambda entry: entry["module"]):
        lines += ["", f"`{module}`", ""]
        by_reason: dict[str, list[dict[str, str]]] = {}
        for entry in of_module:
            by_reason.setdefault(entry["why"], []).append(entry)
        for why, same in by_reason.items():
            places = ", ".join(dict.fromkeys(f"`{entry['function']}`" for entry in same))
            times = f" ({len(same)} mutants)" if len(same) > 1 else ""
            lines.append(f"- {places}{times}, such as {_code(same[0]['after'])}: {why}")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"`` {short} ``" if "`" in short else f"`{short}`"


def page(text: str, entries: Sequence[dict[str, Any]]) -> str:
    """The page with the list of these entries at its end."""
    before, heading, _ = text.partition(HEADING)
    return f"{before}{heading}\n{as_markdown(entries)}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), argued()))
