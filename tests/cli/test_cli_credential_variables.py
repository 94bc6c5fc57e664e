"""Which environment variables have the credentials of an endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise.cli.credential_variables import credential_variables
from pollwise.cli.vendors import MAKERS
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint
from pollwise.endpoints.http_async import HttpAsyncEndpoint
from pollwise.http import BasicAuth, BearerAuth


def declared(auth: dict[str, Any] | None) -> DeclaredEndpoint[Any]:
    declaration = Declaration(
        name="exports", base="https://a.example", job=["id"], poll="GET /{id}", state="s", succeeded=["x"], auth=auth
    )
    return DeclaredEndpoint(declaration)


@pytest.mark.parametrize("name", MAKERS)
def test_the_variables_of_the_vendors(name: str, environment: pytest.MonkeyPatch) -> None:
    """All of them, for each of their calls."""
    found = credential_variables([MAKERS[name]("https://a.example", "")])
    assert found >= {"DOCUMENT360_API_TOKEN", "ORACLE_CONTENT_TOKEN", "ORACLE_CONTENT_USER", "ORACLE_CONTENT_PASSWORD"}


@pytest.mark.parametrize(
    ("auth", "names"),
    [
        (None, set()),
        ({"bearer": "ONE"}, {"ONE"}),
        ({"basic": ["ONE", "TWO"]}, {"ONE", "TWO"}),
        ({"key": "TWO", "header": "X-Key"}, {"TWO"}),
    ],
)
def test_the_variables_of_a_declaration(
    auth: dict[str, Any] | None, names: set[str], environment: pytest.MonkeyPatch
) -> None:
    """Those that its word `auth` names."""
    environment.setenv("ONE", "first-secret")
    environment.setenv("TWO", "second-secret")
    assert credential_variables([declared(None), declared(auth)]) == names


def test_the_variables_of_a_class_are_found_by_their_values(environment: pytest.MonkeyPatch) -> None:
    """A class of a package does not say where it takes its credentials from."""
    for name, value in (("A", "a-token"), ("B", "user"), ("C", "password"), ("D", "other")):
        environment.setenv(name, value)
    assert credential_variables([HttpAsyncEndpoint("https://a.example", auth=BearerAuth("a-token"))]) == {"A"}
    assert credential_variables([HttpAsyncEndpoint("https://a.example", auth=BasicAuth("user", "password"))]) == {"C"}


def test_an_auth_that_does_not_say_has_no_variables() -> None:
    """Before its first renewal, or if it fails."""

    class Later:
        def headers(self, _now: float, /) -> None:
            return None

    class Broken:
        def headers(self, _now: float, /) -> None:
            raise RuntimeError

    for auth in (Later(), Broken()):
        endpoint = HttpAsyncEndpoint("https://a.example", auth=BearerAuth("a-token"))
        endpoint.auth = auth  # type: ignore[assignment]  # an auth of a package
        assert credential_variables([endpoint]) == frozenset()
