"""The pages of a result, as the words `items`, `next` and `query` of a request for a result say.

Rule 1: a page names the next one by its URL, or by a value that a query parameter takes. A page that names none is the last.
Rule 2: what is neither makes a reply malformed. To stop there would take a part for the whole.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import attrs
from yarl import URL

from pollwise.endpoints.declared.expressions import Expression, compiled
from pollwise.endpoints.declared.following import NextUrl
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.vocabulary import Fetch
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.results import ResultPage

__all__ = ["Pages"]


@attrs.frozen(kw_only=True)
class Pages:
    """How a result in pages is asked and read."""

    _next: NextUrl = attrs.field(alias="next")
    _items: Expression | None = attrs.field(alias="items")
    _query: str | None = attrs.field(alias="query")
    _raw: bool = attrs.field(alias="raw")

    def request(self, first: Request, cursor: Cursor) -> Request:
        """The request for the page of the cursor. `first` is that of the first page."""
        if not isinstance(cursor, str):
            return first
        return attrs.evolve(
            first, url=URL(cursor, encoded=True) if self._query is None else self._with_query(first, cursor)
        )

    def page(self, reply: Reply) -> ResultPage[Any]:
        """One page, with the cursor of the next one. Raises MalformedReply."""
        following = self._next.cursor(reply, Reply.json, None) if self._query is None else self._value_in(reply)
        if self._raw:
            return ResultPage(reply.body, following)
        value = reply.json() if self._items is None else self._items(reply.json())
        if value is None and self._items is not None:  # some APIs leave out an empty list
            value = []
        if not isinstance(value, list):
            raise reply.malformed("the items of the page are no list")
        return ResultPage(value, following)

    def _value_in(self, reply: Reply) -> str | None:
        value = self._next.found(reply, Reply.json)
        if value is None or value == "":
            return None
        if type(value) not in {str, int}:
            raise reply.malformed("what the declaration calls next is no text and no whole number")
        return str(value)

    def _with_query(self, first: Request, value: str) -> URL:
        name = quote(str(self._query), safe="~-._")
        pairs = [pair for pair in first.url.raw_query_string.split("&") if pair and pair.partition("=")[0] != name]
        query = "&".join([*pairs, f"{name}={quote(value, safe='~-._')}"])
        return URL(f"{str(first.url).partition('?')[0]}?{query}", encoded=True)

    @classmethod
    def parse(cls, word: str, fetch: Fetch, to: Problems) -> Pages | None:
        """The meaning of the words. None: there are none, or they are wrong."""
        before = len(to.found)
        if fetch.next is None:
            for name in ("items", "query"):
                if getattr(fetch, name) is not None:
                    to.add(f"{word}.{name}", "write next, too: where a page has the next one")
            return None
        following = to.of(f"{word}.next", NextUrl.parse, fetch.next)
        items = None if fetch.items is None else to.of(f"{word}.items", compiled, fetch.items)
        if fetch.query == "":
            to.add(f"{word}.query", "write the name of a query parameter")
        if fetch.raw and fetch.items is not None:
            to.add(f"{word}.items", "raw pages are bytes, which have no items; leave raw or items out")
        if fetch.query is None and (fetch.json is not None or not (fetch.ask or "GET ").startswith("GET ")):
            to.add(f"{word}.next", "the next URL is asked with GET and without a body; name a query parameter in query")
        if following is None or len(to.found) > before:
            return None
        return cls(next=following, items=items, query=fetch.query, raw=fetch.raw)
