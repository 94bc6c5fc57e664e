"""An order: the request that starts a job, as the presets take it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._starting import json_bytes
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Request

__all__ = ["Order", "check_method"]

_METHOD: Final = re.compile(r"[A-Z]{1,20}", re.ASCII).fullmatch
_PATH: Final = re.compile(r"/(?!/)[\x21-\x7e]*", re.ASCII).fullmatch
_NO_HEADERS: Final[Mapping[str, str]] = {}


def check_method(_instance: object, _field: attrs.Attribute[Any], method: object) -> None:
    """The attrs validator of a method of HTTP."""
    if not isinstance(method, str) or not _METHOD(method):
        raise ConfigurationError("method must be a method of HTTP in capitals, such as 'POST'")


def _check_path(_order: object, _field: attrs.Attribute[Any], path: object) -> None:
    if not isinstance(path, str) or not _PATH(path) or "#" in path or "\\" in path:
        raise ConfigurationError(
            "path must be a path below the base URL with its query, percent-encoded, such as '/exports?format=csv'; put"
            " IDs into it with `path_segment`"
        )


@attrs.frozen
class Order:
    """The request that starts a job.

    Args:
        method: The HTTP method, such as `POST`.
        path: The path and the query below the base URL of the endpoint, percent-encoded.
        json: The body as JSON values. None for no body.
        headers: Further header fields. They take the place of the usual ones, such as `Accept`. Credentials go into `auth=`
            of the endpoint.

    Raises:
        ConfigurationError: `method` or `path` is invalid.
    """

    method: str = attrs.field(validator=check_method)
    path: str = attrs.field(validator=_check_path)
    json: Any = attrs.field(default=None, repr=False)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False, kw_only=True)

    def request(self, root: ApiRoot, headers: Mapping[str, str] = _NO_HEADERS) -> Request:
        """The request, with these header fields besides those of the order.

        Raises:
            ConfigurationError: `json` has a value that JSON does not have.
        """
        body = None
        fields = {"Accept": "application/json", **headers}
        if self.json is not None:
            body = json_bytes(self.json, "json of the order")
            fields["Content-Type"] = "application/json"
        own = {name.lower() for name in self.headers}
        usual = {name: value for name, value in fields.items() if name.lower() not in own}
        return Request(URL(f"{root}{self.path}", encoded=True), {**usual, **self.headers}, self.method, body)
