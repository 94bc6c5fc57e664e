"""`pollwise ledger`: look at a ledger, also while another process writes it.

Rule 1: it is opened read-only; whatever is wrong with it, it stays as it was.
Rule 2: damaged rows are left out. stderr says how many and which, and the exit status is 1.
Rule 3: a ledger that grows while it is read is shown as it was at some moment of the reading, or as far as that.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.text import Text

from pollwise.cli.atomic_file import atomic_write, check_distinct, check_writable
from pollwise.cli.error_text import error_text
from pollwise.cli.event_text import appearance_of, counts_line
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.ledger_entries import read_entries
from pollwise.cli.ledger_place import Place, file_of, open_place
from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.options import CommonOptions
from pollwise.cli.report import write_report
from pollwise.cli.safe_text import counted, safe
from pollwise.cli.screen import open_screen
from pollwise.cli.stdout import StdoutWriter
from pollwise.cli.stored_error import StoredError
from pollwise.ledger import Ledger, LedgerCorrupt
from pollwise.ledger.errors import row_names

__all__ = ["ascii_json", "export_ledger", "reason_texts", "show_ledger", "summarize"]

_MOST_REASONS = 10
_MOST_KEYS = 10
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_HAS_ERROR = b'"error":{"type":'


async def show_ledger(path: Place, *, options: CommonOptions, report: Path | None) -> ExitStatus:
    """Tell what the ledger holds, in numbers.

    Raises:
        UsageError: The report would be written over the ledger.
        LedgerError: It cannot be read.
        OSError: The report cannot be written.
    """
    check_distinct({"LEDGER": file_of(path), "--report": report}, ledger=file_of(path))
    if report is not None:
        check_writable(report)
    async with open_place(path, read_only=True) as ledger:
        summary = await summarize(ledger)
        damaged = [row.id for row in ledger.damaged]
        unfinished = await _unfinished_starts(ledger)
    if report is not None:
        write_report(report, summary, path.name, path, damaged=len(damaged), unfinished=len(unfinished or ()))
    if options.writes_documents:
        fields = {**_summary_fields(path, summary), "damaged": damaged, "unfinished_starts": unfinished}
        await options.writer(stream=False).line(json.dumps(fields, ensure_ascii=True))
    else:
        screen = open_screen(json=False)
        for text in _summary_texts(path, summary):
            await screen.print_text(text)
        if unfinished:
            await screen.print_text(Text(_unfinished_text(unfinished)))
    return ExitStatus.FAILED if unfinished is None else _status(path, damaged)


async def _unfinished_starts(ledger: Ledger) -> list[str] | None:
    """The keys of the starts of which it is not known whether there is a job. None if they cannot be read."""
    try:
        return [intent.key for intent in await ledger.unfinished_submits()]
    except LedgerCorrupt as exc:
        print(f"pollwise: {safe(error_text(exc))}", file=sys.stderr, flush=True)
        return None


def _unfinished_text(keys: Sequence[str]) -> str:
    named = ", ".join(map(safe, keys[:_MOST_KEYS]))
    more = f" and {len(keys) - _MOST_KEYS:,} more" if len(keys) > _MOST_KEYS else ""
    starts = counted(len(keys), "start has", "starts have")
    return f"{starts} no known job, so it may or may not have been started: {named}{more}"


async def export_ledger(path: Place, *, options: CommonOptions, out: Path | None, include_open: bool) -> ExitStatus:
    """Write all watches with an outcome, or simply all, as JSON lines.

    Raises:
        UsageError: The output would be written over the ledger.
        LedgerError: It cannot be read.
        OSError: The output cannot be written.
    """
    check_distinct({"LEDGER": file_of(path), "--out": out}, ledger=file_of(path))
    output, documents = StdoutWriter(), options.documents()
    with ExitStack() as stack:
        write = None if out is None else stack.enter_context(atomic_write(out))
        async with open_place(path, read_only=True) as ledger:
            async for lines in ledger.export(include_open=include_open):
                text = ascii_json(b"\n".join(map(_with_error_text, lines.splitlines())))
                if not documents.plain:
                    text = "\n".join(made for line in text.splitlines() for made in documents.lines(line))
                    if not text:
                        continue
                if write is None:
                    await output.line(text)
                else:
                    write(f"{text}\n".encode())
            damaged = [row.id for row in ledger.damaged]
    return _status(path, damaged)


def _status(path: Place, damaged: Sequence[int]) -> ExitStatus:
    """The exit status. If rows were left out, say on stderr how many, and which."""
    if not damaged:
        return ExitStatus.SUCCEEDED
    left_out = counted(len(damaged), "row is damaged and was", "rows are damaged and were")
    print(
        f"pollwise: {left_out} left out: {row_names(damaged)}."
        f" `pollwise ledger check {shlex.quote(safe(path))}` lists what is wrong, and the jobs.",
        file=sys.stderr,
        flush=True,
    )
    return ExitStatus.FAILED


async def summarize(ledger: Ledger) -> LedgerSummary:
    """The whole ledger in numbers."""
    summary = LedgerSummary()
    async for page in read_entries(ledger):
        summary.add(page)
    return summary


def ascii_json(lines: bytes) -> str:
    """The same JSON in ASCII: what is not stands inside texts, and no character of it can act on a terminal."""
    if lines.isascii():
        return lines.decode("ascii")
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], lines.decode("utf-8"))


def _with_error_text(line: bytes) -> bytes:
    """The exported line, with the command's sentence for its error."""
    if _HAS_ERROR not in line:
        return line
    exported = orjson.loads(line)
    error = StoredError.of_export(exported)
    if error is None:
        return line
    return orjson.dumps({**exported, "error": {"type": error.kind, "message": error.text() or None}})


def _summary_fields(path: Place, summary: LedgerSummary) -> dict[str, Any]:
    return {
        "ledger": str(path),
        "watches": summary.total,
        "open": summary.total - summary.ended,
        "unacknowledged": summary.unacknowledged,
        "polls": summary.polls,
        "first_seen": datetime.fromtimestamp(min(summary.began), UTC).isoformat() if summary.began else None,
        "phases": {state: summary.states[state] for state in STATES},
        "endpoints": {name: {state: states[state] for state in STATES} for name, states in summary.endpoints.items()},
        **({"accounts": _accounts(summary)} if any(account for _, account in summary.accounts) else {}),
        "reasons": [
            {
                "count": reason.count,
                "event": reason.state,
                "endpoint": reason.endpoint,
                **({"account": reason.account} if reason.account else {}),
                "reason": reason.text,
                "examples": reason.examples,
            }
            for reason in summary.reasons[:_MOST_REASONS]
        ],
    }


def _accounts(summary: LedgerSummary) -> list[dict[str, Any]]:
    return [
        {"endpoint": endpoint, "account": account, "phases": {state: states[state] for state in STATES}}
        for (endpoint, account), states in summary.accounts.items()
    ]


def _summary_texts(path: Place, summary: LedgerSummary) -> Iterator[Text]:
    yield Text(safe(path), style="bold")
    if not summary.total:
        yield Text("no watches yet")
        return
    since = datetime.fromtimestamp(min(summary.began), UTC)
    open_ = summary.total - summary.ended
    yield Text(
        f"{counted(summary.total, 'watch', 'watches')} since {since:%Y-%m-%d %H:%M:%S} UTC, {open_:,} of them open;"
        f" {counted(summary.unacknowledged, 'outcome')} not acknowledged; {counted(summary.polls, 'request')}"
    )
    for name, states in summary.states_by_label.items():
        yield Text(f"{name}: ") + counts_line(states)
    yield from reason_texts(summary, _MOST_REASONS)


def reason_texts(summary: LedgerSummary, most: int) -> Iterator[Text]:
    """Why jobs did not succeed, the commonest reasons first."""
    reasons = summary.reasons
    for reason in reasons[:most]:
        texts = Text(f"{reason.count:,} {reason.state}", style=appearance_of(reason.state).style)
        yield texts.append(f" {reason.endpoint_label}: {reason.text}", style="").append(
            f" ({reason.examples[0]})", style="dim"
        )
    if len(reasons) > most:
        yield Text(f"and {counted(len(reasons) - most, 'more reason')}", style="dim")
