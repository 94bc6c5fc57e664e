"""What endpoints take from a server's replies: URLs, header fields, and JSON that may have been cut.

Rule: nothing here says where a request may go. That is decided in `core/url_rules.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs
import orjson
from yarl import URL

from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.model.messages import Reply

__all__ = [
    "absolute_url",
    "checked_url",
    "field_of",
    "is_surely_whole",
    "is_web_page",
    "json_or_none",
    "located_at",
    "of_reply",
    "shown_url",
    "url_in",
    "whole_body",
    "without_query",
]

T = TypeVar("T")

_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]").search
_LONGEST_URL: Final = 8_192  # characters, as in core/url_rules.py
_IS_PAGE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:html|!doctype\s+html)\b", re.IGNORECASE
).match
_SHORT: Final = 1_024  # bytes of JSON; of a list that was cut, a thousand items are left
_SHALLOW: Final = 64  # brackets; what was cut for its depth has a hundred


def url_in(value: object, base: URL | None) -> URL | None:
    """The URL in a value of a server's, resolved against another one, or None if it is none."""
    if not isinstance(value, str) or _UNSAFE(value):
        return None
    try:
        url = URL(value, encoded=value.isascii())
        url = url if base is None else base.join(url)
        str(url)  # a port that is none is found here
    except ValueError:
        return None
    return url


def absolute_url(value: object, reply: Reply) -> str | None:
    """The absolute URL in a value of a reply, or None. A relative one is relative to the URL of the request."""
    url = url_in(value, None if reply.request is None else reply.request.url)
    return None if url is None or not url.absolute else str(url)


def checked_url(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    """The attrs validator of a URL that a job keeps. The error has no part of it, because its query may have a signature."""
    kept = isinstance(value, str) and value.isascii() and len(value) <= _LONGEST_URL
    url = url_in(value, None) if kept else None
    if url is None or url.scheme not in {"http", "https"} or not url.raw_host or "@" in url.raw_authority:
        raise ConfigurationError(
            f"{field.name} must be an absolute http or https URL, percent-encoded, without a user name, and of at most"
            f" {_LONGEST_URL:,} characters"
        )


def shown_url(url: str) -> str:
    """A URL without its query, which may have a signature, for a text."""
    return str(URL(url, encoded=True).with_user(None).with_query(None).with_fragment(None))


def without_query(url: object) -> str:
    """The same for the `repr` of a field, whatever it holds."""
    return repr(re.sub("//[^/?#]*@", "//", url.partition("?")[0])) if isinstance(url, str) else repr(url)


def field_of(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a header field, whatever the letter case, or None if it is missing or empty."""
    found = headers.get(name)
    if found is None:  # a caller's own reply may have a dict
        found = next((value for key, value in headers.items() if key.lower() == name.lower()), None)
    return found or None


def of_reply(reply: Reply, make: Callable[..., T], **fields: Any) -> T:
    """What a reply names, made. Raises MalformedReply in place of ConfigurationError, because the caller is not to blame."""
    try:
        return make(**fields)
    except ConfigurationError as exc:
        why = str(exc)
    raise reply.malformed(f"what it names cannot be followed: {why}")


def located_at(reply: Reply, name: str, base: URL | None = None) -> str | None:
    """The absolute URL in a header field, or None if there is no such field.

    Args:
        reply: The reply.
        name: The header field, such as `Location`.
        base: What a relative URL is relative to. None for the URL of the request (RFC 9110, 10.2.2).

    Raises:
        MalformedReply: The field has no URL.
    """
    found = field_of(reply.headers, name)
    if found is None:
        return None
    if base is None and reply.request is not None:
        base = reply.request.url
    url = url_in(found, base)
    if url is None or not url.absolute:
        raise reply.malformed(f"its header field {name} is no URL")
    return str(url)


def json_or_none(reply: Reply) -> Any:
    """The JSON in a reply, or None if it has no body or another one."""
    try:
        return reply.json() if reply.body else None
    except MalformedReply:
        return None


def is_web_page(reply: Reply) -> bool:
    """Whether the body is a web page, as of a proxy or a sign-in. Look for JSON first: it may have a page's content type."""
    return bool(reply.body) and (reply.content_type == "text/html" or _IS_PAGE(reply.body) is not None)


def whole_body(reply: Reply) -> Any:
    """The JSON in a reply, its bytes if it is no JSON, or None if it is empty. Raises MalformedReply for a web page."""
    try:
        return reply.json() if reply.body else None
    except MalformedReply:
        if not is_web_page(reply):
            return reply.body
    raise reply.malformed("it is a web page, as of a proxy or a sign-in")


def is_surely_whole(data: Any) -> bool:
    """Whether nothing can have been cut from this JSON by the default limits, or by higher ones."""
    try:
        text = orjson.dumps(data)
    except TypeError:  # it is nested deeper than orjson writes
        return False
    return len(text) <= _SHORT and text.count(b"[") + text.count(b"{") < _SHALLOW
