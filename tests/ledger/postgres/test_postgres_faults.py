"""What goes wrong in PostgreSQL reaches the caller as a typed error that says what to do. Each comes from a real server."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import attrs
import pytest
from ledger_values import change, new

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerReadOnly,
    LedgerRefused,
    LedgerUnreachable,
    LedgerUnwritable,
)
from pollwise.ledger.postgres import PostgresLedger, migrate
from pollwise.ledger.postgres.faults import error_of, is_loss, server_too_old
from real_postgres import needs_own_server, needs_postgres, run, schema_of, url
from stalling_proxy import stalling_proxy

pytestmark = needs_postgres

SECRET = "hunter2%2Fx"  # a password with a slash, as a URL has it
HERE = "postgresql://db.example:5432/jobs"


async def refused(dsn: str, **options: Any) -> Exception:
    """The error of opening this ledger, after a look for the password in all that it shows."""
    ledger = PostgresLedger(dsn, **options)
    with pytest.raises((LedgerError, ConfigurationError)) as caught:
        await ledger.__aenter__()
    shown = f"{caught.value!s} {caught.value!r} {''.join(traceback.format_exception(caught.value))} {ledger!r}"
    assert "hunter2" not in shown
    return caught.value


def as_role(role: str) -> str:
    """The URL of the test's database for another role with a password."""
    return url().replace("postgres:@", f"{role}:{SECRET}@")


async def test_a_server_that_does_not_run_is_unreachable() -> None:
    """A refused connection says that the server should be checked."""
    error = await refused(f"postgresql://user:{SECRET}@127.0.0.1:1/jobs")
    assert isinstance(error, LedgerUnreachable)
    assert error.where == "postgresql://127.0.0.1:1/jobs"
    assert "Check that the server runs" in str(error)


async def test_a_missing_file_of_the_url_is_named() -> None:
    """A certificate that is not there looks as a socket that is not there, so the message names both."""
    error = await refused(f"postgresql://user:{SECRET}@127.0.0.1:1/jobs?sslmode=verify-full&sslrootcert=/no/such/file")
    assert isinstance(error, LedgerUnreachable)
    assert "sslrootcert" in error.detail


async def test_a_folder_without_a_socket_is_unreachable(tmp_path: Path) -> None:
    """A Unix socket that is not there is as a server that does not run."""
    assert isinstance(await refused(f"postgresql://user@/jobs?host={tmp_path}"), LedgerUnreachable)


@needs_own_server
async def test_a_wrong_password_is_refused() -> None:
    """The message names the places of a password, and shows none."""
    await run("DROP ROLE IF EXISTS pollwise_password", "CREATE ROLE pollwise_password LOGIN PASSWORD 'other'")
    error = await refused(as_role("pollwise_password"))
    assert isinstance(error, LedgerRefused)
    assert "PGPASSWORD" in error.advice


@needs_own_server
async def test_a_role_without_a_line_in_pg_hba_is_refused() -> None:
    """A connection that pg_hba.conf does not allow, for want of TLS perhaps, names both."""
    await run("DROP ROLE IF EXISTS pollwise_nowhere", "CREATE ROLE pollwise_nowhere LOGIN")
    error = await refused(as_role("pollwise_nowhere"))
    assert isinstance(error, LedgerRefused)
    assert "pg_hba.conf" in error.advice
    assert "sslmode=require" in error.advice


@needs_own_server
async def test_a_server_without_tls_is_refused_where_the_url_asks_for_it() -> None:
    """sslmode=require never falls back to plain text."""
    async with stalling_proxy() as proxy:
        error = await refused(f"{proxy.url}?sslmode=require")
    assert isinstance(error, LedgerRefused)
    assert "no TLS" in error.detail


@pytest.mark.parametrize("parameter", ["channel_binding=require", "jit=maybe", "options=-x"])
async def test_a_parameter_that_the_server_does_not_take_is_refused(parameter: str) -> None:
    """A URL for libpq may have parameters that asyncpg does not know. The message names the parameter or its value."""
    error = await refused(f"{url()}{'&' if '?' in url() else '?'}{parameter}")
    assert isinstance(error, LedgerRefused)
    assert parameter.partition("=")[0] in f"{error.detail} options"
    assert "parameter of the URL" in error.advice


@needs_own_server
async def test_a_pooler_that_loses_prepared_statements_is_named(tmp_path: Path) -> None:
    """Behind a pooler in transaction mode, a statement meets a connection that does not know it."""
    schema = schema_of(tmp_path)
    await migrate(url(), schema=schema)
    async with (
        asyncpg.create_pool(url(), min_size=1, max_size=1, reset=_lose_statements) as pool,
        PostgresLedger(pool, schema=schema) as ledger,
    ):
        with pytest.raises(LedgerRefused, match="statement_cache_size=0"):
            for _ in range(3):
                await ledger.count_unacknowledged("a")


async def _lose_statements(connection: Any) -> None:
    await connection.execute("DEALLOCATE ALL")


async def test_a_database_that_is_not_there_is_refused() -> None:
    """The message names createdb."""
    error = await refused(urlsplit(url())._replace(path="/no_such_database").geturl())
    assert isinstance(error, LedgerRefused)
    assert "createdb" in error.advice


@needs_own_server
async def test_a_role_without_rights_is_told_the_grants(tmp_path: Path) -> None:
    """A role that may log in and nothing else gets the GRANTs to run, and can use the ledger after them."""
    schema = schema_of(tmp_path)
    await migrate(url(), schema=schema)
    await run("DROP ROLE IF EXISTS pollwise_app", "CREATE ROLE pollwise_app LOGIN")
    error = await refused(as_role("pollwise_app"), schema=schema)
    assert isinstance(error, LedgerRefused)
    assert f"GRANT USAGE ON SCHEMA {schema} TO" in error.advice
    await run(
        f"GRANT USAGE ON SCHEMA {schema} TO pollwise_app",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO pollwise_app",
    )
    assert isinstance(await refused(as_role("pollwise_app"), schema=schema), LedgerRefused)
    async with PostgresLedger(as_role("pollwise_app"), schema=schema, read_only=True) as ledger:
        assert [lines async for lines in ledger.export()] == []
    await run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO pollwise_app")
    async with PostgresLedger(as_role("pollwise_app"), schema=schema) as ledger:
        await ledger.record([new(1)])
    await run("DROP OWNED BY pollwise_app", "DROP ROLE pollwise_app")


@needs_own_server
async def test_too_many_connections_are_refused() -> None:
    """The message names the settings that limit them."""
    await run("DROP ROLE IF EXISTS pollwise_none", "CREATE ROLE pollwise_none LOGIN CONNECTION LIMIT 0")
    error = await refused(as_role("pollwise_none"))
    assert isinstance(error, LedgerRefused)
    assert "max_connections" in error.advice


async def test_a_read_only_server_is_named(ledger: PostgresLedger) -> None:
    """A server that takes no writes refuses a ledger that writes, and can be looked at."""
    dsn = f"{url()}{'&' if '?' in url() else '?'}default_transaction_read_only=on"
    error = await refused(dsn, schema=ledger.schema)
    assert isinstance(error, LedgerReadOnly)
    assert "target_session_attrs=read-write" in str(error)
    async with PostgresLedger(dsn, schema=ledger.schema, read_only=True) as seen:
        assert await seen.unfinished_submits() == []
        with pytest.raises(LedgerUnwritable, match="read_only=True"):
            await seen.update([change(1)])


@pytest.mark.parametrize(
    ("state", "kind", "remedy"),
    [
        ("53100", LedgerFull, "Make room"),
        ("57014", LedgerFailed, "statement_timeout"),
        ("53200", LedgerFailed, "server's log"),
        ("57P01", LedgerUnreachable, "call again"),
        ("42501", LedgerRefused, "GRANT"),
        ("22021", ConfigurationError, "cannot be kept"),
    ],
)
async def test_what_the_server_raises_is_mapped_by_its_code(
    ledger: PostgresLedger, state: str, kind: type[Exception], remedy: str
) -> None:
    """Each SQLSTATE of a write has its error, and after it the ledger works."""
    await run(
        f"CREATE FUNCTION {ledger.schema}.fail() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN RAISE 'made up' USING ERRCODE = '{state}'; END$$",
        f"CREATE TRIGGER failing BEFORE INSERT ON {ledger.schema}.watches EXECUTE FUNCTION {ledger.schema}.fail()",
    )
    with pytest.raises(kind, match=remedy):
        await ledger.record([new(1)])
    await run(f"DROP TRIGGER failing ON {ledger.schema}.watches")
    (recorded,) = await ledger.record([new(1)])
    assert recorded.known is None


async def test_a_value_that_the_server_cannot_take_is_named(ledger: PostgresLedger) -> None:
    """What asyncpg cannot encode is a mistake of the caller, and the connection goes on."""
    with pytest.raises(ConfigurationError, match="int64"):
        await ledger._connections.fetch("SELECT $1::bigint", 2**70)
    assert await ledger.origins("oracle-content") == []


async def test_a_removed_table_names_the_command(ledger: PostgresLedger) -> None:
    """A table that was removed while it is used is an error that names the command."""
    await run(f"DROP TABLE {ledger.schema}.watches")
    with pytest.raises(LedgerRefused, match="pollwise ledger migrate"):
        await ledger.record([new(1)])


def test_an_old_server_is_named_with_its_version() -> None:
    """The message says which version is needed."""
    assert "14 or newer" in str(server_too_old(HERE, "9.6"))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (TimeoutError(), LedgerUnreachable),
        (ConnectionResetError(104, "Connection reset by peer"), LedgerUnreachable),
        (asyncpg.ConnectionDoesNotExistError("gone"), LedgerUnreachable),
        (asyncpg.InterfaceError("connection is closed"), LedgerUnreachable),
        (RuntimeError("odd"), LedgerFailed),
        (LedgerFull(HERE, "as it was"), LedgerFull),
    ],
)
def test_what_a_client_meets_is_mapped_by_its_class(raised: Exception, kind: type[LedgerError]) -> None:
    """Errors of asyncpg and of the network become errors of a ledger, and those of a ledger stay."""
    error = error_of(raised, HERE)
    assert type(error) is kind
    assert attrs.asdict(error)["where"] == HERE  # type: ignore[call-overload]


def test_only_a_lost_connection_leaves_a_statement_in_doubt() -> None:
    """What the server has refused was not carried out."""
    assert is_loss(OSError())
    assert is_loss(asyncpg.exceptions.AdminShutdownError())
    assert not is_loss(asyncpg.UniqueViolationError())
    assert not is_loss(asyncpg.DataError())


async def test_a_call_that_never_gets_an_answer_ends(ledger: PostgresLedger) -> None:
    """A network that stalls costs the time-out, and no more: after it the same ledger works."""
    async with (
        stalling_proxy() as proxy,
        PostgresLedger(proxy.url, schema=ledger.schema, timeout_s=30.0, linger_s=0.0) as stalled,
    ):
        (recorded,) = await stalled.record([new(1)])
        stalled._connections.timeout_s = 0.2
        proxy.open.clear()
        began = asyncio.get_running_loop().time()
        with pytest.raises(LedgerUnreachable, match="no answer in time"):
            await stalled.update([change(recorded.id)])
        with pytest.raises(LedgerUnreachable, match="no answer in time"):
            await stalled.origins("oracle-content")
        assert asyncio.get_running_loop().time() - began < 5
        proxy.open.set()
        stalled._connections.timeout_s = 30.0
        await stalled.update([change(recorded.id)])
        stalled._connections.timeout_s = 0.2
        proxy.open.clear()  # closing does not wait for it either
