"""Requests that start jobs, and the IDs of the jobs in their replies.

Rule 1: a reply without an ID is malformed: the job may be running, and nothing says which one it is.
Rule 2: an ID in a URL is taken only from the place that the vendor documents, so that a redirect to a sign-in page gives none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import orjson
from yarl import URL

from pollwise.endpoints._address import checked_id
from pollwise.endpoints._strict import shown
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Reply, Request

__all__ = ["id_after", "json_bytes", "post_request", "started_id"]

_LONGEST: Final = 8_192
_JSON: Final[Mapping[str, str]] = {"Accept": "application/json", "Content-Type": "application/json"}


def json_bytes(value: object, what: str = "the order") -> bytes:
    """The value as JSON, for a body. Raises ConfigurationError, which begins with `what`, if it is none."""
    try:
        return orjson.dumps(value)
    except TypeError as exc:
        why = str(exc)
    raise ConfigurationError(f"{what} has a value that JSON does not have: {why}")


def post_request(
    url: URL, body: Mapping[str, Any], more_headers: Mapping[str, str] | None = None, what: str = "the order"
) -> Request:
    """The POST request with this JSON. Raises ConfigurationError, which begins with `what`, if it is no JSON."""
    headers = _JSON if more_headers is None else {**_JSON, **more_headers}
    return Request(url, headers, method="POST", body=json_bytes(body, what))


def id_after(segment: str, url: object) -> str | None:
    """The path segment behind `/segment/`, at the end of a URL that a server sent. None if there is none."""
    if type(url) is not str or len(url) > _LONGEST:
        return None
    found = re.fullmatch(rf"[^?#]*/{re.escape(segment)}/([^/?#]+)/?(?:[?#].*)?", url.strip(), re.DOTALL)
    return None if found is None else unquote(found[1])


def started_id(reply: Reply, field: str, *found: object) -> str:
    """The first of these values that is the ID of a job.

    Args:
        reply: The reply.
        field: Where the ID should be, for the error.
        found: Values from the reply, the documented one first.

    Raises:
        MalformedReply: None of them is an ID.
    """
    for value in found:
        try:
            return checked_id(field, str(value) if type(value) is int else value)
        except ConfigurationError:
            continue
    raise reply.malformed(
        f"field {field}: expected the ID of the started job, got {shown(found[0] if found else None)}"
    )
