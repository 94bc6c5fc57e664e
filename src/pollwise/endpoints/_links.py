"""A request for the URL that a final status has.

Rule: the URL is asked as it was sent, because it may be signed. Where it may go is decided in `core/url_rules.py`.
"""

from __future__ import annotations

from pollwise.endpoints._server_values import url_in
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Request

__all__ = ["link_request"]


def link_request(url: str | None, field: str) -> Request:
    """The GET request for a URL in a status.

    Raises:
        ConfigurationError: It is None, or no URL. The error does not show it, because it may be signed.
    """
    found = url_in(url or None, None)
    if found is not None:
        return Request(found)
    raise ConfigurationError(
        f"the final status has no URL in {field}, so there is nothing to download; ask the vendor what became of the file"
    )
