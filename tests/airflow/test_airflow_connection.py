"""Credentials from an Airflow connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pollwise import ConfigurationError
from pollwise.airflow.connection import credentials_of

SECRET = "t0ken-of-a-test"


def connection(**fields: Any) -> Any:
    empty = dict.fromkeys(("host", "schema", "port", "login", "password"))
    return SimpleNamespace(**{"conn_id": "acme", **empty, **fields})


@pytest.mark.parametrize(
    ("fields", "extra", "sent"),
    [
        ({"password": SECRET}, {}, {"Authorization": f"Bearer {SECRET}"}),
        ({"login": "u", "password": "pw-of-a-test"}, {}, {"Authorization": "Basic dTpwdy1vZi1hLXRlc3Q="}),
        ({"password": SECRET}, {"header": "X-Api-Key"}, {"X-Api-Key": SECRET}),
    ],
)
def test_the_fields_become_credentials(fields: dict[str, Any], extra: dict[str, Any], sent: dict[str, str]) -> None:
    """A password is a bearer token, with a login Basic, and with a header that header's value."""
    auth = credentials_of(connection(**fields), extra).auth
    assert auth is not None
    assert dict(auth.headers(0.0) or {}) == sent


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, None),
        ({"host": "api.example.com"}, "https://api.example.com"),
        ({"host": "api.example.com", "schema": "http", "port": 8080}, "http://api.example.com:8080"),
        ({"host": "https://api.example.com/v1"}, "https://api.example.com/v1"),
    ],
)
def test_the_host_becomes_the_base_url(fields: dict[str, Any], url: str | None) -> None:
    """Without a scheme the host gets https. Without a host the endpoint has its own base URL."""
    made = credentials_of(connection(**fields), {"account": "eu"})
    assert (made.base_url, made.auth, made.account) == (url, None, "eu")


@pytest.mark.parametrize(
    ("fields", "extra"),
    [
        ({"login": "u"}, {}),
        ({"password": SECRET, "login": "u"}, {"header": "X-Api-Key"}),
        ({"password": SECRET}, {"header": 7}),
        ({"password": f"{SECRET}\n"}, {}),
        ({"password": SECRET}, {"account": 7}),
        ({"password": SECRET, "host": "x", "schema": "ftp"}, {}),
    ],
)
def test_a_connection_that_cannot_be_right_is_named(fields: dict[str, Any], extra: dict[str, Any]) -> None:
    """The error names the connection, and shows no secret."""
    with pytest.raises(ConfigurationError, match="the Airflow connection 'acme'") as caught:
        credentials_of(connection(**fields), extra)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(credentials_of(connection(password=SECRET), {}))
