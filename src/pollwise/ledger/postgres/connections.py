"""The connections of a ledger to PostgreSQL.

Rule 1: a statement waits for at most `timeout_s`. After a time-out, a cancellation or a loss its connection is closed and not
used again, so no later statement can get its answer.
Rule 2: only asyncpg gets the credentials. No text of this package has them, and `where` is the URL without them.
Rule 3: a pool that was passed in is used and never closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, quote, unquote, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import LedgerClosed, LedgerError, LedgerReadOnly
from pollwise.ledger.postgres.faults import OLDEST_SERVER, error_of, is_deadlock, is_loss, server_too_old
from pollwise.model.log_fields import log_fields

__all__ = ["AnyConnection", "Connections", "checked_schema", "is_postgres_url", "url_without_credentials"]

if TYPE_CHECKING:
    AnyConnection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:  # asyncpg has the parameters in its stubs alone
    AnyConnection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
    Pool: TypeAlias = asyncpg.Pool

_SCHEMES = ("postgresql://", "postgres://")
_NO_LIMIT: Any = None  # asyncpg takes it, its stubs do not
_LARGEST_PORT = 65_535
_CLOSE_S = 5.0
_DEADLOCKS = 5  # repeats
_ROW_S = 0.001
# A second try at once would fail in the same way. After a time-out it would double the wait.
_NOT_NOW = (
    TimeoutError,
    ConnectionRefusedError,
    FileNotFoundError,
    socket.gaierror,
    asyncpg.exceptions.CannotConnectNowError,
)
_IDLE_S = 300.0  # seconds until a connection that is not used is closed
_SETTINGS: Mapping[str, str] = {
    "application_name": "pollwise",
    "jit": "off",  # its compilation takes longer than these statements
    "plan_cache_mode": "force_custom_plan",  # a plan for an empty table or a single row is slow for many
    "timezone": "UTC",
    # The server ends the connection of a client that is frozen or gone, and so the locks of its statement.
    "idle_in_transaction_session_timeout": "10s",
    "tcp_user_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
}
_STATE = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery()"
_PLACE = "SELECT host(inet_server_addr()), inet_server_port(), current_database(), current_setting('plan_cache_mode')"

_log = logging.getLogger(__name__)


def is_postgres_url(text: object) -> bool:
    """Whether the text begins as the URL of a PostgreSQL database does."""
    return isinstance(text, str) and text.startswith(_SCHEMES)


def checked_schema(schema: object) -> str:
    """The name of a schema that needs no escapes. Raises ConfigurationError for another one."""
    if not (isinstance(schema, str) and re.fullmatch(r"[a-z_][a-z0-9_]{0,47}", schema)) or schema.startswith("pg_"):
        raise ConfigurationError(
            f"schema must be a name of at most 48 of a-z, 0-9 and _, such as 'pollwise', and not begin with pg_; got {schema!r}"
        )
    return schema


def url_without_credentials(dsn: str) -> str:
    """Such as `postgresql://db.example:5432/jobs`. Raises ConfigurationError, without the text, for a malformed URL.

    A host that the URL does not have is that of PGHOST. Several hosts are all shown. Query parameters are left out.
    """
    try:
        url = urlsplit(dsn)
        asked = parse_qs(url.query, strict_parsing=bool(url.query))
        hosts = url.netloc.rpartition("@")[2] or asked.get("host", [os.environ.get("PGHOST", "localhost")])[0]
        port = asked.get("port", [os.environ.get("PGPORT", "5432")])[0]
        shown = ",".join(_place(place, port) for place in hosts.split(","))
    except ValueError:
        raise _malformed() from None  # its text may quote a part of the password
    # An @ that follows is of a password with a slash or a question mark, whose first part would be taken for a port.
    is_cut = "@" in url.path or ("@" in url.query and "@" not in url.netloc)
    if not is_postgres_url(dsn) or url.fragment or "/" in url.path[1:] or is_cut:
        raise _malformed()
    named = unquote(url.path[1:]) or asked.get("dbname", asked.get("database", [""]))[0]
    return f"postgresql://{shown}/{quote(named or os.environ.get('PGDATABASE', ''))}"


def _place(place: str, port: str) -> str:
    """Host and port. Raises ValueError for a port that is no number from 1 to 65535; a larger one would be cut to another one."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?", unquote(place))
    if found is None or not (port.isdecimal() and 0 < int(found[2] or port) <= _LARGEST_PORT):
        raise ValueError("no host and port")
    return f"{quote(found[1] or 'localhost', safe='[]:%')}:{found[2] or port}"


def _malformed() -> ConfigurationError:
    return ConfigurationError(
        "the URL of the database is malformed; it must be such as postgresql://user@host:5432/database. Percent-encode special"
        " characters of the password (%2F for /, %40 for @), or leave it out and set PGPASSWORD"
    )


class _Connection(asyncpg.Connection):
    """A connection on which only statements of this package run, so there is nothing to reset after each of them."""

    def get_reset_query(self) -> str:
        return ""


def _is_worth_repeating(cause: BaseException) -> bool:
    return is_loss(cause) and not isinstance(cause, _NOT_NOW)


class Connections:
    """Lends connections for one statement each.

    Args:
        dsn_or_pool: The URL of the database, or a pool of asyncpg.
        schema: The name of the schema.
        timeout_s: Max seconds that a connection is waited for, and lent. None: no limit.
        size: Max open connections.

    Attributes:
        where: The database, as a URL without credentials.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(self, dsn_or_pool: object, *, schema: str, timeout_s: float | None, size: int) -> None:
        self.schema = schema
        self.timeout_s = timeout_s
        self._size = size
        self._dsn = dsn_or_pool if isinstance(dsn_or_pool, str) else ""
        self._given: Pool | None = None
        self._settings: dict[str, str] = {}
        if isinstance(dsn_or_pool, str):
            self.where = url_without_credentials(self._dsn)
            asked = parse_qs(urlsplit(self._dsn).query)  # a setting of the URL wins
            self._settings = {name: value for name, value in _SETTINGS.items() if name not in asked}
        elif isinstance(dsn_or_pool, asyncpg.Pool):
            self._given = dsn_or_pool
            self.where = "postgresql://"  # until the server has said its place
        else:
            raise ConfigurationError(
                "the database must be a URL such as postgresql://user@host:5432/database, or a pool of asyncpg; got"
                f" {type(dsn_or_pool).__name__}"
            )
        self._pool = self._given
        self._closed = False

    async def fetch(self, sql: str, *values: object, rows: int = 0) -> Sequence[asyncpg.Record]:
        """The rows of one statement, which changes nothing if it is repeated.

        It is repeated at once, on another connection, if its own is lost, or if the server ends it because of a deadlock.

        Args:
            sql: The statement.
            values: Its parameters.
            rows: How many rows it writes. Its limit is longer by a millisecond for each.

        Raises:
            LedgerError: It failed.
            ConfigurationError: A value cannot be kept.
        """
        repeated = 0
        while True:
            try:
                async with self.use(rows=rows) as connection:
                    return await connection.fetch(sql, *values)
            except LedgerError as exc:
                cause = exc.__cause__ or exc
                # After a restart of the server each connection of the pool is lost, and says so when it is used.
                often = _DEADLOCKS if is_deadlock(cause) else self._size if _is_worth_repeating(cause) else 0
                if repeated >= often:
                    raise
                repeated += 1

    @asynccontextmanager
    async def use(self, *, rows: int = 0) -> AsyncIterator[AnyConnection]:
        """Lend a connection. `rows` as for `fetch`.

        Raises:
            LedgerError: In place of what asyncpg or the network raised in the block.
        """
        limit_s = None if self.timeout_s is None else self.timeout_s + rows * _ROW_S
        try:
            async with asyncio.timeout(limit_s), self._lent() as connection:
                yield connection
        except Exception as exc:
            error = error_of(exc, self.where, self.schema)
            if error is exc:
                raise
            raise error from (None if isinstance(error, ConfigurationError) else exc)

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AnyConnection]:
        pool = await self._opened()
        connection = await pool.acquire()
        try:
            yield connection
        except asyncpg.PostgresError as exc:
            if is_loss(exc):
                connection.terminate()
            raise
        except BaseException:  # a time-out or a cancellation: a later statement must not get this answer
            connection.terminate()
            raise
        finally:
            with suppress(Exception):  # asyncpg has closed the connection then, and the statement has its result
                await asyncio.shield(pool.release(connection, timeout=_CLOSE_S))

    async def _opened(self) -> Pool:
        self._check_open()
        if self._pool is None:  # it opens no connection before one is asked for
            self._pool = asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._size,
                connection_class=_Connection,
                timeout=_NO_LIMIT,  # of `connect`; `use` has the limit
                max_inactive_connection_lifetime=0 if self.timeout_s is None else _IDLE_S,
                server_settings=self._settings,
            )
            await self._pool
        return self._pool

    async def keep(self, prepare: Callable[[AnyConnection], Awaitable[object]]) -> AnyConnection:
        """A connection that the caller keeps until `give_back`, for an advisory lock or for notifications.

        Args:
            prepare: Takes the lock, or begins to listen. If it fails, the connection is closed.

        Raises:
            LedgerError: There is no connection, or it could not be prepared.
        """
        self._check_open()
        connection: AnyConnection | None = None
        try:
            async with asyncio.timeout(self.timeout_s):
                if self._given is not None:
                    connection = await self._given.acquire()
                else:
                    connection = await asyncpg.connect(self._dsn, timeout=_NO_LIMIT, server_settings=self._settings)
            async with asyncio.timeout(self.timeout_s):
                await prepare(connection)
        except BaseException as exc:
            if connection is not None:
                connection.terminate()
                await self.give_back(connection)
            if isinstance(exc, Exception):
                raise error_of(exc, self.where, self.schema) from exc
            raise
        return connection

    async def give_back(self, connection: AnyConnection) -> None:
        """End what `keep` returned. Its locks are gone then."""
        with suppress(Exception):  # asyncpg has ended it by force then
            if self._given is not None and isinstance(connection, PoolConnectionProxy):
                await self._given.release(connection, timeout=_CLOSE_S)
            else:
                await connection.close(timeout=_CLOSE_S)

    async def check_server(self, connection: AnyConnection, *, writes: bool) -> None:
        """Raises LedgerRefused for a server that is too old, and LedgerReadOnly for one that takes no writes."""
        if self._given is not None:
            host, port, database, plans = await connection.fetchrow(_PLACE) or (None, None, "", "")
            self.where = f"postgresql://{host or 'localhost'}:{port or 5432}/{quote(database)}"
            if plans != _SETTINGS["plan_cache_mode"]:
                _log.warning(
                    "the pool for %s should have the setting plan_cache_mode=%s, because a plan that was made for few rows"
                    " is slow for many; pass it to create_pool as server_settings, or set it for the role",
                    self.where,
                    _SETTINGS["plan_cache_mode"],
                    extra=log_fields(path=self.where),
                )
        number, version, in_recovery = await connection.fetchrow(_STATE) or (0, "", False)
        if number < OLDEST_SERVER * 10_000:
            raise server_too_old(self.where, version)
        if writes and in_recovery:
            raise LedgerReadOnly(self.where, "the server is a standby in recovery")

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerClosed(self.where, "it was closed")

    async def aclose(self) -> None:
        """Close the pool, unless it was passed in. Later calls raise LedgerClosed."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None or pool is self._given:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S if self.timeout_s is None else min(_CLOSE_S, self.timeout_s)):
                await pool.close()
                return
        pool.terminate()
