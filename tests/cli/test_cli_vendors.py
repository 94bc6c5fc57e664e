from __future__ import annotations

import base64

import pytest

from pollwise.cli import vendors
from pollwise.cli.exit_status import UsageError
from pollwise.errors import ConfigurationError

URL = "https://example.com"
SECRETS = (
    "DOCUMENT360_API_TOKEN",
    "ORACLE_CONTENT_TOKEN",
    "ORACLE_CONTENT_USER",
    "ORACLE_CONTENT_PASSWORD",
)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)


def test_the_api_token_is_sent_in_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Document360's key comes from the environment and goes into the header that the vendor asks for."""
    monkeypatch.setenv("DOCUMENT360_API_TOKEN", "key-1")
    auth = vendors.document360(URL).auth
    assert auth is not None
    assert dict(auth.headers(0.0) or {}) == {"api_token": "key-1"}


def test_a_bearer_token_or_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either credential is enough. With both set, the token is used, not user and password."""
    monkeypatch.setenv("ORACLE_CONTENT_USER", "me")
    monkeypatch.setenv("ORACLE_CONTENT_PASSWORD", "pass:word")
    auth = vendors.oracle_content(URL).auth
    assert auth is not None
    basic = base64.b64encode(b"me:pass:word").decode()
    assert dict(auth.headers(0.0) or {}) == {"Authorization": f"Basic {basic}"}
    monkeypatch.setenv("ORACLE_CONTENT_TOKEN", "tok")
    auth = vendors.oracle_content(URL).auth
    assert auth is not None
    assert dict(auth.headers(0.0) or {}) == {"Authorization": "Bearer tok"}


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable to set. An empty variable counts as missing."""
    monkeypatch.setenv("DOCUMENT360_API_TOKEN", "")
    with pytest.raises(UsageError, match="DOCUMENT360_API_TOKEN"):
        vendors.document360(URL)
    with pytest.raises(UsageError, match="ORACLE_CONTENT_TOKEN, or ORACLE_CONTENT_USER and ORACLE_CONTENT_PASSWORD"):
        vendors.oracle_content(URL)
    monkeypatch.setenv("ORACLE_CONTENT_USER", "me")
    with pytest.raises(UsageError, match="ORACLE_CONTENT_PASSWORD"):
        vendors.oracle_content(URL)


@pytest.mark.parametrize("secret", ["line\nbreak-s3cret", "s3cret token", "s3crét"])
def test_a_secret_that_cannot_be_sent_is_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is not valid in a header is refused, and no part of it is shown."""
    monkeypatch.setenv("ORACLE_CONTENT_TOKEN", secret)
    with pytest.raises(ConfigurationError) as refused:
        vendors.oracle_content(URL)
    assert "s3cr" not in str(refused.value)
