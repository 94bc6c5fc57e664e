"""How an ID and a base URL become the URL of a job.

Rule 1: an ID becomes exactly one path segment, whatever is in it; one that never could is refused when the job is made.
Rule 2: a base URL is looked at once, when the endpoint is made, and is never shown: it may hold a password.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import attrs
from yarl import URL

from pollwise.endpoints._strict import shown
from pollwise.errors import ConfigurationError

__all__ = ["ApiRoot", "checked_id", "one_segment", "segment"]

_MAX_ID = 1024
_SAFE = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


def one_segment(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    """The attrs validator of an ID, see `checked_id`."""
    checked_id(field.name, value)


def checked_id(name: str, value: object) -> str:
    """The ID, if it can be one segment of a path. Raises ConfigurationError.

    Refused are: what is no text, empty, too long, `.` and `..` (which name another path, and which clients and
    servers resolve even where they are percent-encoded), control characters, line separators and lone surrogates.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, got {type(value).__name__}")
    if not 0 < len(value) <= _MAX_ID:
        raise ConfigurationError(f"{name} must have 1 to {_MAX_ID} characters, got {len(value)}")
    if value in {".", ".."}:
        raise ConfigurationError(f"{name} must not be {value!r}, which would name another path")
    if _UNSPEAKABLE(value):
        raise ConfigurationError(f"{name} must not hold control characters or lone surrogates: {shown(value)}")
    return value


def segment(name: str) -> str:
    """The ID as one percent-encoded path segment."""
    return name if _SAFE(name) else quote(name, safe="")


@attrs.frozen
class ApiRoot:
    """Where an API is: the origin, and the path that everything of it is under."""

    origin: URL
    prefix: str

    @classmethod
    def parse(cls, base_url: str) -> ApiRoot:
        """The root at `base_url`: http or https, a host, maybe a port and a path. Raises ConfigurationError."""
        wrong = _wrong_with(base_url)
        if wrong is not None:
            raise ConfigurationError(f"base_url {wrong}; it should look like https://api.example.com")
        url = URL(base_url)
        return cls(url.origin(), url.raw_path.rstrip("/"))

    def url(self, path: str) -> URL:
        """The URL of a path that begins with a slash and is percent-encoded already."""
        return self.origin.with_path(self.prefix + path, encoded=True)

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"


def _wrong_with(base_url: object) -> str | None:
    """What keeps the text from being a base URL, without a word of it: it may hold a password."""
    if not isinstance(base_url, str):
        return "must be a str"
    if re.search(r"[\s\\]", base_url) or _UNSPEAKABLE(base_url):
        return "must not hold spaces, backslashes or control characters"
    try:
        url = URL(base_url)
        absolute = url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        return "is no valid URL"
    faults = {
        "must be an absolute http or https URL with a host": not absolute,
        "must not hold credentials, which go into auth=": "@" in base_url.partition("//")[2].partition("/")[0],
        "must not have a query or a fragment": "?" in base_url or "#" in base_url,
    }
    return next((why for why, found in faults.items() if found), None)
