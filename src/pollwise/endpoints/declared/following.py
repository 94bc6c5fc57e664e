"""The next URL of a status call, as the word `next` says where a reply has it.

Rule 1: a reply without a next URL leaves the URL before in force.
Rule 2: a URL relative to that of the request is resolved (RFC 3986, section 5). Where it may lead is decided in `core/url_rules.py`.
Rule 3: what is no URL makes a reply malformed. To poll the URL before would hide it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from pollwise.endpoints._server_values import url_in
from pollwise.endpoints.declared.expressions import Expression, compiled
from pollwise.errors import ConfigurationError
from pollwise.http.credentials import is_field_name
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply

__all__ = ["NextUrl"]


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

    def cursor(self, reply: Reply, body: Callable[[Reply], Any], before: Cursor) -> Cursor:
        """The next URL, or the one before. Raises MalformedReply."""
        found = reply.headers.get(self.header or "") if self._expression is None else self._expression(body(reply))
        if found is None or found == "":
            return before
        url = url_in(found, None if reply.request is None else reply.request.url)
        if url is None:
            raise reply.malformed("what the declaration calls next is no URL")
        return str(url)
