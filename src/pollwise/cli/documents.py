"""The JSON documents on stdout: as they are, as `--query` selects them, or as a table.

Rule 1: a line of JSON is pure ASCII, so no text of a vendor acts on a terminal. A cell of a table is safe to print.
Rule 2: in a stream (a line for each event, job or step) a document of which the query gives null has no line. The only document
of a command has one.
Rule 3: if an expression does not fit a document of a stream, stderr has the reason, and the command continues. For the only
document of a command it is a usage error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pollwise.cli.exit_status import UsageError
from pollwise.cli.query import Query, QueryFailed
from pollwise.cli.stdout import StdoutWriter
from pollwise.cli.streams import print_error
from pollwise.cli.tables import StreamTable, table_lines

__all__ = ["DocumentWriter", "Documents"]

_LARGE = "status"  # the field of an event that no table has room for; --query selects parts of it


class Documents:
    """Makes lines of JSON documents.

    Args:
        query: Is applied to each document.
        table: Make a table.
        stream: There is a document for each event, job or step.
    """

    def __init__(self, query: Query | None = None, *, table: bool = False, stream: bool = True) -> None:
        self._query, self._stream = query, stream
        self._rows = StreamTable() if table and stream else None
        self._table = table
        self._failures: set[str] = set()

    @property
    def plain(self) -> bool:
        """Whether the lines are the documents."""
        return self._query is None and not self._table

    def lines(self, document: str) -> Iterable[str]:
        """The lines of a document.

        Raises:
            UsageError: The query does not fit the only document.
        """
        if self.plain:
            return [document]
        value = json.loads(document)
        if self._query is not None:
            try:
                value = self._query.of(value)
            except QueryFailed as failure:
                return self._failed(str(failure))
            if value is None and self._stream:
                return []
        elif self._stream and isinstance(value, Mapping):
            value = {name: field for name, field in value.items() if name != _LARGE}
        if self._rows is not None:
            return self._rows.lines(value)
        return table_lines(value) if self._table else [_json(value)]

    def _failed(self, why: str) -> Iterable[str]:
        if not self._stream:
            raise UsageError(why)
        if why not in self._failures:
            self._failures.add(why)
            print_error(why)
        return []


class DocumentWriter(StdoutWriter):
    """Writes documents to stdout. A line is the JSON of one."""

    def __init__(self, documents: Documents) -> None:
        super().__init__()
        self._documents = documents

    async def line(self, text: str) -> None:
        """Write the lines of a document. Raises what `StdoutWriter.line` and `Documents.lines` raise."""
        for line in self._documents.lines(text):
            await super().line(line)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
