"""Builds the URL of a job from a base URL and IDs.

Rule 1: an ID becomes exactly one path segment, percent-encoded. A slash in it is `%2F`, which is no slash of the path
(RFC 3986, 2.2). So `../../x` is sent as `..%2F..%2Fx`, and `%2e%2e` as `%252e%252e`.
An ID that no encoding makes one segment is refused when the job is constructed: an empty one, and `.` and `..`, which are
equal to `%2E` and `%2E%2E` (RFC 3986, 6.2.2.2) and which clients and servers resolve to another path.
Rule 2: a base URL is checked once, when the endpoint is constructed. No error shows it, because it may have a password.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import attrs
from yarl import URL

from pollwise.endpoints._strict import shown
from pollwise.errors import ConfigurationError

__all__ = ["ApiRoot", "checked_id", "id_tuple", "one_segment", "path_segment", "segment", "some_ids"]

_MAX_ID = 1024
_SAFE = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


def one_segment(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    """The attrs validator of an ID, see `checked_id`."""
    checked_id(field.name, value)


def id_tuple(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    """The attrs validator of a tuple of IDs, see `checked_id`. A single text is refused, because it is a sequence, too."""
    if type(value) is not tuple:
        raise ConfigurationError(f"{field.name} must be a tuple of IDs, got {type(value).__name__}")
    for one in value:
        checked_id(f"an ID of {field.name}", one)


def some_ids(instance: object, field: attrs.Attribute[Any], value: object) -> None:
    """The same for a tuple that must have at least one ID."""
    id_tuple(instance, field, value)
    if not value:
        raise ConfigurationError(f"{field.name} must have at least one ID")


def checked_id(name: str, value: object) -> str:
    """Return the ID if it can be one segment of a path. Else raise ConfigurationError.

    Refused are: other types than str, empty texts and those of more than 1,024 characters, control characters, line
    separators and lone surrogates. `.` and `..` are refused too, see rule 1. Everything else is sent to the letter.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, got {type(value).__name__}")
    if not 0 < len(value) <= _MAX_ID:
        raise ConfigurationError(f"{name} must have 1 to {_MAX_ID} characters, got {len(value)}")
    if value in {".", ".."}:
        raise ConfigurationError(f"{name} must not be {value!r}, which means another path")
    if _UNSAFE(value):
        raise ConfigurationError(f"{name} must not hold control characters or lone surrogates: {shown(value)}")
    return value


def path_segment(value: str, name: str = "the ID") -> str:
    """An ID as one percent-encoded segment of a path, for the URL in `Endpoint.request`.

        URL(f"https://api.example.com/jobs/{path_segment(job.id)}", encoded=True)

    Every character but letters, digits and `_.~-` is encoded, slashes included: `a/b` becomes `a%2Fb`, and `../../x` becomes
    `..%2F..%2Fx`. The server gets the ID to the letter, spaces and non-ASCII characters (as UTF-8) included.

    Args:
        value: The ID, of 1 to 1,024 characters.
        name: What the error calls it.

    Raises:
        ConfigurationError: It cannot be one segment: it is no text, empty or too long, has control characters, line
            separators or lone surrogates, or is `.` or `..`, which mean another path however they are encoded.
    """
    return segment(checked_id(name, value))


def segment(name: str) -> str:
    """A checked ID as one percent-encoded path segment."""
    return name if _SAFE(name) else quote(name, safe="")


@attrs.frozen
class ApiRoot:
    """The base URL of an API: its origin, and the prefix of all its paths."""

    origin: URL
    prefix: str

    @classmethod
    def parse(cls, base_url: str) -> ApiRoot:
        """Parse `base_url`: http or https, a host, optionally a port and a path. Raises ConfigurationError."""
        wrong = _wrong_with(base_url)
        if wrong is not None:
            raise ConfigurationError(f"base_url {wrong}; it should look like https://api.example.com")
        url = URL(base_url)
        return cls(url.origin(), url.raw_path.rstrip("/"))

    def url(self, path: str) -> URL:
        """The URL of a path. The path begins with a slash and is percent-encoded already."""
        return self.origin.with_path(self.prefix + path, encoded=True)

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"


def _wrong_with(base_url: object) -> str | None:
    """Why the value is not a base URL, or None. The text does not quote it, because it may have a password."""
    if not isinstance(base_url, str):
        return "must be a str"
    if re.search(r"[\s\\]", base_url) or _UNSAFE(base_url):
        return "must not hold spaces, backslashes or control characters"
    try:
        url = URL(base_url)
        absolute = url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        return "is not a valid URL"
    faults = {
        "must be an absolute http or https URL with a host": not absolute,
        "must not hold credentials, which go into auth=": "@" in base_url.partition("//")[2].partition("/")[0],
        "must not have a query or a fragment": "?" in base_url or "#" in base_url,
    }
    return next((why for why, found in faults.items() if found), None)
