"""What went wrong in PostgreSQL, as an error of a ledger.

Rule 1: an error is mapped once, by its SQLSTATE (the manual's appendix A), never by its English text.
Rule 2: each error says what to do next. No message has a password: those of the server have none, and a URL is shown without
its credentials.
Rule 3: a foreign error about a malformed URL is not quoted, because it may quote a part of the password.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg

from pollwise.errors import ConfigurationError, PollwiseError
from pollwise.ledger.errors import (
    LedgerError,
    LedgerFailed,
    LedgerFull,
    LedgerReadOnly,
    LedgerRefused,
    LedgerUnreachable,
)

__all__ = ["OLDEST_SERVER", "error_of", "is_deadlock", "is_loss", "server_too_old"]

_Maker: TypeAlias = Callable[[str, str], LedgerError]

OLDEST_SERVER = 14
"""The statements need 12 (MATERIALIZED), and asyncpg supports no server before 14 in full. Tested with 18."""

_DEADLOCKS = frozenset({"40001", "40P01"})
# The server shut down, crashed or is starting, or the connection was idle for too long.
_LOSSES = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})


def _refused(advice: str) -> _Maker:
    return lambda where, detail: LedgerRefused(where, detail, advice)


_LOGIN = _refused(
    "Check the role, and its password: in PGPASSWORD, in the file of PGPASSFILE, or in the URL with special characters"
    " percent-encoded"
)
_ACCESS = _refused(
    "Let this role in by a line of the server's pg_hba.conf; where that asks for TLS, add ?sslmode=require to the URL"
)
_DATABASE = _refused("Check the name of the database in the URL, or make it with createdb")
_RIGHTS = (
    "As the owner of the schema, run: GRANT USAGE ON SCHEMA {0} TO <role>; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN"
    " SCHEMA {0} TO <role>. To migrate, the role needs: GRANT CREATE ON DATABASE <database> TO <role>"
)
_TABLES = _refused("Run `pollwise ledger migrate LEDGER`; the tables were changed or removed while they were in use")
_CONNECTIONS = _refused(
    "Close other connections, lower `connections=`, or raise max_connections of the server or CONNECTION LIMIT of the role"
)
_CERTIFICATE = _refused(
    "Name the authority of the server's certificate with ?sslrootcert=FILE, or correct the host in the URL"
)
_NO_TLS = _refused("Turn on ssl in the server's configuration, or remove sslmode from the URL")
_PARAMETER = _refused(
    "Correct or remove that parameter of the URL: what asyncpg does not know, such as connect_timeout or channel_binding, goes to"
    " the server as a setting of the session"
)
_POOLER = _refused(
    "A pooler such as PgBouncer in transaction mode loses prepared statements: give PostgresLedger a pool of asyncpg that was made"
    " with statement_cache_size=0, or connect to the server itself"
)

_BY_STATE: Mapping[str, _Maker] = {
    "22023": _PARAMETER,
    "25006": LedgerReadOnly,
    "26000": _POOLER,
    "28000": _ACCESS,
    "28P01": _LOGIN,
    "3D000": _DATABASE,
    "3F000": _TABLES,
    "42601": _PARAMETER,  # of the parameter `options`; no statement of this package has a syntax error
    "42703": _TABLES,
    "42704": _PARAMETER,
    "42P01": _TABLES,
    "42P05": _POOLER,
    "53100": LedgerFull,
    "53300": _CONNECTIONS,
    "53400": LedgerFull,
}
_INTERRUPTED = "Look at statement_timeout and lock_timeout of the role, then call again"
_DEFAULT = "Look into the server's log, then call again"


def error_of(exc: BaseException, where: str, schema: str = "pollwise") -> Exception:
    """The error of a ledger at `where` for what asyncpg or the network raised. An error of pollwise stays as it is."""
    if isinstance(exc, asyncpg.InsufficientPrivilegeError):
        return LedgerRefused(where, str(exc), _RIGHTS.format(schema))
    if isinstance(exc, PollwiseError):
        return exc
    for kind, made in _BY_TYPE:
        if isinstance(exc, kind):
            return made(exc, where)
    return LedgerFailed(where, f"{type(exc).__name__}: {exc}", _DEFAULT)


def _of_network(exc: OSError, where: str) -> Exception:
    if type(exc) is ConnectionError and "SSL" in str(exc):  # asyncpg's own, which has no other mark
        return _NO_TLS(where, "the server has no TLS, and sslmode asks for it")
    detail = exc.strerror or str(exc) or type(exc).__name__
    if isinstance(exc, (FileNotFoundError, PermissionError)):  # neither asyncpg nor ssl says which file
        detail += " (the server's socket, or a file of sslrootcert, sslcert or sslkey in the URL)"
    return LedgerUnreachable(where, detail)


def _of_server(exc: asyncpg.PostgresError, where: str) -> Exception:
    state = exc.sqlstate or ""
    detail = getattr(exc, "message", None) or str(exc) or type(exc).__name__
    if state in _BY_STATE:
        return _BY_STATE[state](where, detail)
    if is_loss(exc):
        return LedgerUnreachable(where, detail)
    if state.startswith("22"):
        return ConfigurationError(f"a value cannot be kept: {detail}")
    advice = _INTERRUPTED if state == "57014" else _DEFAULT
    return LedgerFailed(where, f"{detail} (SQLSTATE {state})", advice)


# The first class that fits counts: ssl.SSLError and TimeoutError are OSErrors, and the errors of asyncpg have several parents.
_BY_TYPE: Sequence[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any, str], Exception]]] = (
    (asyncpg.PostgresError, _of_server),
    (ssl.SSLError, lambda exc, where: _CERTIFICATE(where, f"TLS failed: {exc.reason or type(exc).__name__}")),
    (TimeoutError, lambda _, where: LedgerUnreachable(where, "there was no answer in time")),
    (OSError, _of_network),
    (
        asyncpg.exceptions.TargetServerAttributeNotMatched,
        lambda _, where: LedgerReadOnly(where, "none of the servers is as target_session_attrs asks"),
    ),
    (
        asyncpg.exceptions.ClientConfigurationError,
        lambda _, where: ConfigurationError(
            f"the URL of the database at {where} cannot be used; see docs/postgres.md for its form"
        ),
    ),
    (
        (asyncpg.InterfaceError, asyncpg.InternalClientError),
        lambda _, where: LedgerUnreachable(where, "the connection is closed"),
    ),
)


def is_loss(exc: BaseException) -> bool:
    """Whether the connection is lost, so that the statement may or may not have been carried out."""
    if isinstance(exc, asyncpg.PostgresError):
        state = exc.sqlstate or ""
        return state.startswith("08") or state in _LOSSES
    # InternalClientError: a server that shuts down says so on an idle connection, and asyncpg's state is wrong from then on.
    return isinstance(exc, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError))


def is_deadlock(exc: BaseException) -> bool:
    """Whether the server has ended the statement because another one waited for it. Nothing of it was kept."""
    return isinstance(exc, asyncpg.PostgresError) and exc.sqlstate in _DEADLOCKS


def server_too_old(where: str, version: str) -> LedgerRefused:
    """The server is of this version, such as "9.6"."""
    return LedgerRefused(
        where,
        f"the server is PostgreSQL {version}",
        f"Use PostgreSQL {OLDEST_SERVER} or newer, which has what the ledger needs",
    )
