"""Where the ledger of a command is: a file, or a PostgreSQL database.

Rule 1: a database is shown by its host, port and name. Its URL, which may have a password, goes to the ledger and nowhere else.
Rule 2: this file imports asyncpg only if a database is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs
from cyclopts import Parameter, Token

from pollwise.cli.exit_status import UsageError

if TYPE_CHECKING:
    from pollwise.ledger import SqliteLedger
    from pollwise.ledger.postgres import PostgresLedger

__all__ = [
    "POSTGRES_SCHEMES",
    "DatabaseUrl",
    "LedgerPlace",
    "OpenLedger",
    "Place",
    "file_of",
    "in_database",
    "open_place",
    "to_place",
]

OpenLedger: TypeAlias = "SqliteLedger | PostgresLedger"
POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")
"""How the URL of a database begins."""


@attrs.frozen
class DatabaseUrl:
    """The URL of a database. Its text has no credentials."""

    dsn: str = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """As the name of a file: what a page or a message calls the ledger."""
        return str(self)

    def __str__(self) -> str:
        return str(in_database().url_without_credentials(self.dsn))


Place: TypeAlias = Path | DatabaseUrl


def to_place(text: str) -> Place:
    """The place of this argument. A URL is not checked before the database is opened.

    Raises:
        UsageError: It is the address of a database in another form.
    """
    if text.startswith(POSTGRES_SCHEMES):
        return DatabaseUrl(text)
    if ":" in text or "=" in text:
        from pollwise.errors import ConfigurationError  # noqa: PLC0415  few names need the check
        from pollwise.ledger.file_safety import refuse_database  # noqa: PLC0415

        try:
            refuse_database(text)  # before `Path`, which shortens it
        except ConfigurationError as error:
            raise UsageError(str(error)) from None
    return Path(text)


def _convert(_type: object, tokens: Sequence[Token]) -> Place:
    return to_place(tokens[0].value)


LedgerPlace = Annotated[Path | DatabaseUrl, Parameter(converter=_convert, n_tokens=1, accepts_keys=False)]
"""The argument of a command: a path, or a URL such as postgresql://user@host:5432/database."""


def file_of(place: Place | None) -> Path | None:
    """The file of this ledger, or None for a database."""
    return place if isinstance(place, Path) else None


def in_database() -> Any:
    """The package of the ledger in PostgreSQL.

    Raises:
        UsageError: The extra `postgres` is not installed.
    """
    try:
        from pollwise.ledger import postgres  # noqa: PLC0415  rule 2
    except ModuleNotFoundError as exc:
        if exc.name != "asyncpg":
            raise
        raise UsageError("a ledger in PostgreSQL needs asyncpg: pip install 'pollwise[postgres]'") from exc
    return postgres


def open_place(place: Place, *, read_only: bool = False) -> OpenLedger:
    """The ledger at this place, to be used as `async with`.

    Raises:
        UsageError: The extra `postgres` is not installed.
        ConfigurationError: The URL is malformed.
    """
    if isinstance(place, DatabaseUrl):
        ledger: PostgresLedger = in_database().PostgresLedger(place.dsn, read_only=read_only)
        return ledger
    from pollwise.ledger import SqliteLedger  # noqa: PLC0415  `--help` imports no engine

    return SqliteLedger(place, read_only=read_only)
