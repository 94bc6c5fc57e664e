"""Credentials as header fields: checks and encodings.

Rule 1: a value that cannot be sent is refused when it is passed in, not when it is first used.
Rule 2: an error says what is wrong with a secret, and never shows the secret.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from pollwise.errors import ConfigurationError

__all__ = ["CREDENTIAL_FIELDS", "Credential", "basic", "bearer", "checked_text", "header_fields", "is_field_name"]

CREDENTIAL_FIELDS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "api_token"})
"""Header fields, in lower case, that carry credentials and are therefore left to an `Auth`."""

is_field_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110 5.6.2, token
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # RFC 9110 5.5, without bytes above 127: their charset is not defined
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
)  # RFC 7617 2, and lone surrogates, which UTF-8 cannot encode


def header_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    """The checked fields as an immutable mapping. aiohttp sends this type without copying it or its names."""
    made: CIMultiDict[str] = CIMultiDict()
    for name, value in fields.items():
        if is_field_name(name) is None:
            raise ConfigurationError(f"{name!a} is not a valid header field name: pass letters, digits and hyphens")
        if _VALUE.fullmatch(_text(name, value)) is None:
            raise ConfigurationError(
                f"{name} must be printable ASCII without surrounding spaces; a secret read from a file often ends in"
                " a line break, so call .strip() on it"
            )
        made[istr(name)] = value
    if not made:
        raise ConfigurationError("headers is empty: a Credential needs at least one header field")
    return CIMultiDictProxy(made)


def checked_text(what: str, value: str) -> str:
    """Return the text if UTF-8 can encode it and it has no control character. Else raise ConfigurationError."""
    if _CONTROL.search(_text(what, value)):
        raise ConfigurationError(
            f"{what} has a control character, perhaps a line break at its end; call .strip() on it"
        )
    return value


def basic(user: str, password: str) -> str:
    """The value of `Authorization` for Basic authentication (RFC 7617), in UTF-8."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(token: str) -> str:
    """The value of `Authorization` for a bearer token (RFC 6750)."""
    if " " in _text("the bearer token", token):
        raise ConfigurationError("the bearer token has a space; pass it without the word Bearer")
    return f"Bearer {token}"


def _text(what: str, value: str) -> str:
    if not isinstance(value, str):  # often None, from os.environ.get() of a variable that is not set
        raise ConfigurationError(f"{what} must be a str, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{what} is empty; pass the value, and check the variable or file that it comes from")
    return value


def _given_or_none(fields: Mapping[str, str] | None) -> Mapping[str, str]:
    """A new mapping each time, because `is` shows whether credentials were renewed."""
    return MappingProxyType({}) if fields is None else header_fields(fields)


def _check_lifetime(_credential: Credential, _field: attrs.Attribute[float | None], value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ConfigurationError(f"expires_in_s must be a number of seconds above 0, or None, not {value!r}")


@attrs.frozen
class Credential:
    """New credentials, as the `fetch` function of `RenewingAuth` returns them.

    Attributes:
        headers: The header fields to send: at least one, in printable ASCII. Not in the `repr`. None for credentials that are
            in no header field, because a method `sign` uses them; the attribute is an empty mapping then.
        expires_in_s: Lifetime in seconds, counted from the call of `fetch`. None if it is unknown.

    Raises:
        ConfigurationError: A field cannot be sent, or the lifetime is not positive. The message shows no value.
    """

    headers: Mapping[str, str] = attrs.field(repr=False, converter=_given_or_none)
    expires_in_s: float | None = attrs.field(default=None, validator=_check_lifetime)
