"""The next URL of a status call, as the word `next` says where a reply has it.

Rule 1: a reply without a next URL leaves the URL before in force.
Rule 2: a URL relative to that of the request is resolved (RFC 3986, section 5). Where it may lead is decided in `core/url_rules.py`.
Rule 3: what is no URL makes a reply malformed. To poll the URL before would hide it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import attrs

from pollwise.endpoints._server_values import url_in
from pollwise.endpoints.declared.expressions import Expression, compiled
from pollwise.errors import ConfigurationError
from pollwise.http.credentials import is_field_name
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply

__all__ = ["NextUrl"]

_LINKS: Final = re.compile(r"<([^<>]*)>([^<]*)").findall
_RELATION: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE).search


@attrs.frozen(kw_only=True)
class NextUrl:
    """Where a reply has the next URL.

    Attributes:
        header: The header field, or None if it is in the body.
    """

    header: str | None
    _expression: Expression | None = attrs.field(alias="expression")

    @classmethod
    def parse(cls, text: str) -> NextUrl:
        """The meaning of the word: `$Location` is a header field, and everything else an expression.

        Raises:
            ConfigurationError: It is neither.
        """
        if not text.startswith("$"):
            return cls(header=None, expression=compiled(text))
        if not is_field_name(text[1:]):
            raise ConfigurationError(f"write a header field as '$Location', not {text!r}")
        return cls(header=text[1:], expression=None)

    def found(self, reply: Reply, body: Callable[[Reply], Any]) -> Any:
        """What is there, or None. Of a field `Link` it is the target whose relation is `next` (RFC 8288)."""
        if self._expression is not None:
            return self._expression(body(reply))
        value = reply.headers.get(self.header or "")
        return value if value is None or self.header is None or self.header.lower() != "link" else _next_in(value)

    def cursor(self, reply: Reply, body: Callable[[Reply], Any], before: Cursor) -> Cursor:
        """The next URL, or the one before. Raises MalformedReply."""
        found = self.found(reply, body)
        if found is None or found == "":
            return before
        url = url_in(found, None if reply.request is None else reply.request.url)
        if url is None:
            raise reply.malformed("what the declaration calls next is no URL")
        return str(url)


def _next_in(links: str) -> str | None:
    for target, parameters in _LINKS(links):
        relation = _RELATION(parameters)
        if relation is not None and "next" in (relation[1] or relation[2]).lower().split():
            return str(target)
    return None
