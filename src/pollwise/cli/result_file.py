"""The result file of a batch: a line for each row of JOBS, in their order.

Rule 1: a line has the keys of `--json` (jsonlines.py), then two more: `line` is the line of its row in JOBS, and `row` has
the other fields of that row. If two rows name the same job, both get its outcome.
Rule 2: a line is pure ASCII. The same outcome gives the same line, in any run of the batch.
Rule 3: the file is only written after every row has its outcome. Then these outcomes are acknowledged.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pollwise.cli.atomic_file import atomic_write
from pollwise.cli.job_table import JobTable, TableRow
from pollwise.cli.jsonlines import milliseconds
from pollwise.cli.stored_error import StoredError
from pollwise.ledger import Acknowledgement, Concluded, Ledger, NewWatch, OutcomeKind

__all__ = ["result_line", "write_results"]

_PAGE = 1_000


async def write_results(
    path: Path, job_table: JobTable, ledger: Ledger, accounts: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the file, whole or not at all. `accounts` has the account of each endpoint by its name.

    Raises:
        OSError: It cannot be written.
        LedgerError: The ledger cannot be read.
    """
    numbers, generations = array("q"), array("q")
    with atomic_write(path) as write:
        async for page in _outcomes(job_table, ledger, accounts):
            write(b"".join(result_line(row, known).encode("ascii") + b"\n" for row, known in page))
            numbers.extend(known.id for _, known in page)
            generations.extend(known.generation for _, known in page)
    for first in range(0, len(numbers), _PAGE):
        part = slice(first, first + _PAGE)
        pairs = zip(numbers[part], generations[part], strict=True)
        await ledger.acknowledge([Acknowledgement(id=number, generation=generation) for number, generation in pairs])


async def _outcomes(
    job_table: JobTable, ledger: Ledger, accounts: Mapping[str, str]
) -> AsyncIterator[list[tuple[TableRow, Concluded]]]:
    now = datetime.now(UTC)
    for rows in job_table.rows_in_order():
        # `record` returns the known rows. It writes nothing, because every job has a row.
        wanted = [
            NewWatch(
                endpoint=row.endpoint,
                account=accounts.get(row.endpoint, ""),
                keys=dict(row.keys),
                first_seen=now,
                deadline=now,
            )
            for row in rows
        ]
        page: list[tuple[TableRow, Concluded]] = []
        for row, found in zip(rows, await ledger.record(wanted), strict=True):
            if not isinstance(found.known, Concluded):
                raise AssertionError(f"row {row.line} has no outcome")  # noqa: TRY004  a missing outcome is not a wrong type
            page.append((row, found.known))
        yield page


def result_line(row: TableRow, known: Concluded) -> str:
    """The row's line, without its line end."""
    abandoned = known.outcome is OutcomeKind.ABANDONED
    phase = known.outcome.value if not abandoned else None if known.phase is None else known.phase.value
    error = StoredError.of_row(row.endpoint, row.keys, known)
    fields = {
        "event": known.outcome.value,
        "endpoint": row.endpoint,
        **({"account": known.account} if known.account else {}),
        "job": row.keys,
        "phase": phase,
        "fraction": None,
        "eta_s": None,
        "elapsed_s": milliseconds(known.elapsed_s),
        "detected_within_s": milliseconds(known.detected_within_s),
        "polls": known.polls,
        "status": None if known.status is None else json.loads(known.status),
        "error": None if error is None else {"type": error.kind, "message": error.text()},
        "line": row.line,
    }
    texts = json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
    return f'{texts[:-1]},"row":{row.rest}}}'
