"""What may stand in a header as a credential.

Rule 1: what could never be sent is refused when it is given, not when it is first used.
Rule 2: a refusal says what is wrong with a secret, and never shows it.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping

import attrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from pollwise.errors import ConfigurationError

__all__ = ["Credential", "basic", "bearer", "header_fields", "printable"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2, token
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # RFC 9110 5.5, without the bytes whose alphabet nobody agrees on
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # RFC 7617 2, and what UTF-8 cannot say


def header_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    """The fields, checked and unchangeable, in the form that costs aiohttp least: no copy, no new names."""
    made: CIMultiDict[str] = CIMultiDict()
    for name, value in fields.items():
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(f"{name!a} is no name of a header field")
        if _VALUE.fullmatch(_text(name, value)) is None:
            raise ConfigurationError(
                f"{name} must be printable ASCII without spaces around it; a secret read from a file often ends in"
                " a line break"
            )
        made[istr(name)] = value
    if not made:
        raise ConfigurationError("credentials without a header field would change nothing")
    return CIMultiDictProxy(made)


def printable(what: str, value: str) -> str:
    """The text, if UTF-8 can say it and no control character is in it."""
    if _CONTROL.search(_text(what, value)):
        raise ConfigurationError(f"{what} holds a control character, perhaps a line break at its end")
    return value


def basic(user: str, password: str) -> str:
    """The value of `Authorization` for these (RFC 7617), in UTF-8."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def bearer(token: str) -> str:
    """The value of `Authorization` for this token (RFC 6750)."""
    if " " in _text("the bearer token", token):
        raise ConfigurationError("the bearer token holds a space; give it without the word Bearer")
    return f"Bearer {token}"


def _text(what: str, value: str) -> str:
    if not isinstance(value, str):  # often the None of an environment variable that is not set
        raise ConfigurationError(f"{what} must be a str, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{what} is empty")
    return value


def _is_a_life(_credential: Credential, _field: attrs.Attribute[float | None], value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ConfigurationError(f"expires_in_s must be a number of seconds above 0, or None, not {value!r}")


@attrs.frozen
class Credential:
    """Fresh credentials, as a renewal brings them.

    Attributes:
        headers: The header fields to send: at least one, in printable ASCII. Not in the `repr`.
        expires_in_s: Seconds that they are good for, counted from when they were asked for; None if nobody knows.

    Raises:
        ConfigurationError: They could not be sent, or are no good from the start. No value is shown.
    """

    headers: Mapping[str, str] = attrs.field(repr=False, converter=header_fields)
    expires_in_s: float | None = attrs.field(default=None, validator=_is_a_life)
