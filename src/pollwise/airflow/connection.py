"""Credentials from an Airflow connection.

    login and password          Basic
    password                    Bearer
    password, extra "header"    the password in that header field
    host, schema, port          the base URL: `host` if it begins with http:// or https://, else schema://host:port, where
                                schema is https by default
    extra "account"             the account

Rule 1: a connection is read in the process that sends the requests. Nothing of it is kept in a DAG, a trigger or an event.
Rule 2: what cannot be right is refused with the connection's name, never with a value of it.

The fields are those of Airflow's `Connection`, and the address is made of them as its HTTP hook does, except that the
hook's default schema is http.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from pollwise.airflow.reference import Credentials
from pollwise.errors import ConfigurationError
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth
from pollwise.model.protocols import Auth

__all__ = ["ConnectionFields", "credentials_of"]

_SCHEMES: Final = ("http", "https")


class ConnectionFields(Protocol):
    """What is read of a connection."""

    conn_id: Any
    host: Any
    schema: Any
    port: Any
    login: Any
    password: Any


def credentials_of(connection: ConnectionFields, extra: Mapping[str, Any]) -> Credentials:
    """The credentials, base URL and account of a connection.

    Args:
        connection: The connection.
        extra: Its field `extra`, as a mapping.

    Raises:
        ConfigurationError: The fields do not fit together.
    """
    where = f"the Airflow connection {connection.conn_id!r}"
    account = extra.get("account", "")
    if not isinstance(account, str):
        raise ConfigurationError(f"{where}: account in its extra must be a text")
    try:
        auth = _auth(connection, extra.get("header"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return Credentials(auth=auth, base_url=_base_url(connection, where), account=account)


def _auth(connection: ConnectionFields, header: object) -> Auth | None:
    login, password = connection.login, connection.password
    if header is not None:
        if not isinstance(header, str) or not password or login:
            raise ConfigurationError("header in its extra must be a text, beside a password and no login")
        return ApiKeyAuth(password, header=header)
    if login and not password:
        raise ConfigurationError("it has a login and no password")
    if login:
        return BasicAuth(login, password)
    return BearerAuth(password) if password else None


def _base_url(connection: ConnectionFields, where: str) -> str | None:
    host, scheme = connection.host, connection.schema or "https"
    if not host:
        return None
    if "://" in host:
        return str(host)
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"{where}: its schema must be http or https")
    return f"{scheme}://{host}{f':{connection.port}' if connection.port else ''}"
