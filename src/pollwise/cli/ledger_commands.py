"""`pollwise ledger`: look at a ledger, also while another process writes it.

Rule 1: it is opened read-only; whatever is wrong with it, it stays as it was.
Rule 2: a ledger that grows while it is read is shown as it was at some moment of the reading, or as far as that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from pollwise.cli.atomic_file import check_apart, probe, whole_file
from pollwise.cli.event_text import look
from pollwise.cli.exit_status import Exit
from pollwise.cli.ledger_entries import entries
from pollwise.cli.ledger_summary import WORDS, Tally
from pollwise.cli.report import write_report
from pollwise.cli.safe_text import safe
from pollwise.cli.screen import open_screen
from pollwise.cli.stdout import Output
from pollwise.ledger import Ledger, SqliteLedger

__all__ = ["ascii_json", "export_ledger", "reason_texts", "show_ledger", "tally_of"]

_MOST_REASONS = 10
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


async def show_ledger(path: Path, *, json_wanted: bool, report: Path | None) -> Exit:
    """Tell what the ledger holds, in numbers.

    Raises:
        UsageError: The report would be written over the ledger.
        LedgerError: It cannot be read.
        OSError: The report cannot be written.
    """
    check_apart({"LEDGER": path, "--report": report}, ledger=path)
    if report is not None:
        probe(report)
    async with SqliteLedger(path, read_only=True) as ledger:
        tally = await tally_of(ledger)
    if report is not None:
        write_report(report, tally, path.name)
    if json_wanted:
        await Output().line(json.dumps(_facts(path, tally), ensure_ascii=True))
        return Exit.SUCCEEDED
    screen = open_screen(json=False)
    for text in _told(path, tally):
        await screen.say(text)
    return Exit.SUCCEEDED


async def export_ledger(path: Path, *, out: Path | None, include_open: bool) -> Exit:
    """Write all watches with an outcome, or simply all, as JSON lines.

    Raises:
        UsageError: The output would be written over the ledger.
        LedgerError: It cannot be read.
        OSError: The output cannot be written.
    """
    check_apart({"LEDGER": path, "--out": out}, ledger=path)
    output = Output()
    with ExitStack() as stack:
        write = None if out is None else stack.enter_context(whole_file(out))
        async with SqliteLedger(path, read_only=True) as ledger:
            async for lines in ledger.export(include_open=include_open):
                if write is None:
                    await output.line(ascii_json(lines.removesuffix(b"\n")))
                else:
                    write(ascii_json(lines).encode("ascii"))
    return Exit.SUCCEEDED


async def tally_of(ledger: Ledger) -> Tally:
    """The whole ledger in numbers."""
    tally = Tally()
    async for page in entries(ledger):
        tally.add(page)
    return tally


def ascii_json(lines: bytes) -> str:
    """The same JSON in ASCII: what is not stands inside texts, and no character of it can act on a terminal."""
    if lines.isascii():
        return lines.decode("ascii")
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], lines.decode("utf-8"))


def _facts(path: Path, tally: Tally) -> dict[str, Any]:
    return {
        "ledger": str(path),
        "watches": tally.total,
        "open": tally.total - tally.ended,
        "unacknowledged": tally.unacknowledged,
        "polls": tally.polls,
        "first_seen": datetime.fromtimestamp(min(tally.began), UTC).isoformat() if tally.began else None,
        "phases": {word: tally.words[word] for word in WORDS},
        "endpoints": {name: {word: words[word] for word in WORDS} for name, words in tally.endpoints.items()},
        **({"accounts": _accounts(tally)} if any(account for _, account in tally.accounts) else {}),
        "reasons": [
            {
                "count": reason.count,
                "event": reason.word,
                "endpoint": reason.endpoint,
                **({"account": reason.account} if reason.account else {}),
                "reason": reason.text,
                "examples": reason.examples,
            }
            for reason in tally.reasons[:_MOST_REASONS]
        ],
    }


def _accounts(tally: Tally) -> list[dict[str, Any]]:
    return [
        {"endpoint": endpoint, "account": account, "phases": {word: words[word] for word in WORDS}}
        for (endpoint, account), words in tally.accounts.items()
    ]


def _told(path: Path, tally: Tally) -> Iterator[Text]:
    yield Text(safe(path), style="bold")
    if not tally.total:
        yield Text("no watches yet")
        return
    since = datetime.fromtimestamp(min(tally.began), UTC)
    open_ = tally.total - tally.ended
    yield Text(
        f"{tally.total:,} watches since {since:%Y-%m-%d %H:%M:%S} UTC, {open_:,} of them open;"
        f" {tally.unacknowledged:,} outcomes not acknowledged; {tally.polls:,} requests"
    )
    for name, words in tally.owners.items():
        counts = (Text(f"{words[word]:,} {word}", style=look(word).style) for word in WORDS if words[word])
        yield Text(f"{name}: ") + Text(", ").join(counts)
    yield from reason_texts(tally, _MOST_REASONS)


def reason_texts(tally: Tally, most: int) -> Iterator[Text]:
    """Why jobs did not succeed, the commonest reasons first."""
    reasons = tally.reasons
    for reason in reasons[:most]:
        told = Text(f"{reason.count:,} {reason.word}", style=look(reason.word).style)
        yield told.append(f" {reason.owner}: {reason.text}", style="").append(f" ({reason.examples[0]})", style="dim")
    if len(reasons) > most:
        yield Text(f"and {len(reasons) - most:,} more reasons", style="dim")
