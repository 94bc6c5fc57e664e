"""The result of a job, as the words `result` and `then` say.

Rule 1: a path is the result itself: a value of the final status. A short status is whole, so nothing is asked. A longer one may
have been cut down to limits or for a ledger, so the status is asked for once more, and read within the limits of results.
Rule 2: a table is a request. Its holes are keys of the job, or else paths into the final status.
Rule 3: a value of a status fills a hole only if a key of a job could. Where the request may go is decided in `core/url_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import attrs

from pollwise.endpoints._server_values import is_surely_whole, url_in
from pollwise.endpoints.declared.expressions import Expression, compiled
from pollwise.endpoints.declared.pages import Pages
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.rules import text_or_none
from pollwise.endpoints.declared.templates import Key, RequestTemplate
from pollwise.endpoints.declared.vocabulary import Call, Declaration, Fetch, hole_names
from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.model.abilities import NEVER_ANSWERS
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading
from pollwise.model.results import ResultPage

__all__ = ["ResultPlan", "result_names"]

_URL: Final = "final.url"  # the hole for the URL of the status; no key of a job has a dot
_Made: TypeAlias = "Request | ResultPage[Any]"


@attrs.frozen(kw_only=True)
class ResultPlan:
    """How the result of a job is had.

    Attributes:
        request: Takes the keys of a job, the JSON of its final status and its status call. Returns the request, or the result
            itself. Raises ConfigurationError if the status does not have what the request needs.
        raw: Whether the result is the bytes of the reply. Otherwise it is its JSON.
        failed: Status codes that say that the job has failed.
        template: The request, or None.
        pages: How further pages are asked and read. None: the result is one page.
    """

    request: Callable[[Mapping[str, Key], Any, Request], _Made]
    raw: bool = False
    failed: frozenset[int] = frozenset()
    template: RequestTemplate | None = None
    pages: Pages | None = None
    _reason: Expression | None = attrs.field(default=None, alias="reason")
    _path: Expression | None = attrs.field(default=None, alias="path")

    def read(self, reply: Reply, /) -> Any:
        """The result in a reply, or the reading of a failure. Raises MalformedReply if it is no JSON and should be."""
        if reply.status in self.failed:
            try:
                data = reply.json()
            except MalformedReply:
                data = None
            return Reading.failed(data, reason=text_or_none(None if self._reason is None else self._reason(data)))
        if self.pages is not None:
            return self.pages.page(reply)
        if self.raw:
            return reply.body
        try:
            document = reply.json()
        except MalformedReply as exc:
            reason = exc.reason
        else:
            return document if self._path is None else self._path(document)
        # Raised out here, so that the error has no context.
        raise reply.malformed(f"the result is no JSON: {reason}; for a result of bytes, write raw = true")

    @classmethod
    def parse(cls, declared: Declaration, to: Problems) -> ResultPlan | None:
        """The meaning of `result` or `then`. None: there is neither, or it is wrong."""
        if declared.result is not None and declared.then is not None:
            to.add("then", "result has the same meaning; write one of the two")
        word, value = ("then", declared.then) if declared.result is None else ("result", declared.result)
        if value is None:
            return None
        if isinstance(value, str):
            path = to.of(word, compiled, value)
            return None if path is None else cls(request=partial(_of_path, path), path=path)
        return _fetched(word, value, declared, to)


def _of_path(path: Expression, _keys: Mapping[str, Key], data: Any, own: Request) -> _Made:
    return ResultPage(path(data)) if is_surely_whole(data) else own


def result_names(declared: Declaration) -> tuple[str, ...]:
    """The expressions of the result, whose values a long status keeps."""
    found = declared.then if declared.result is None else declared.result
    if found is None or isinstance(found, str):
        return () if found is None else (found,)
    if found.ask is None:
        return () if found.url is None else (found.url,)
    return tuple(
        name
        for name in hole_names(Call(ask=found.ask, headers=found.headers, json=found.json))
        if name not in declared.job
    )


def _fetched(word: str, fetch: Fetch, declared: Declaration, to: Problems) -> ResultPlan | None:
    before = len(to.found)
    if any(not 400 <= code <= 599 or code in NEVER_ANSWERS for code in fetch.failed):
        to.add(f"{word}.failed", "write a list of status codes from 400 to 599, without 401 and 429")
    if (fetch.ask is None) == (fetch.url is None):
        to.add(word, "write one of ask and url, such as { ask = 'GET /files/{file}' } or { url = 'links.result' }")
        return None
    call = Call(ask=fetch.ask or f"GET {{+{_URL}}}", headers=fetch.headers, json=fetch.json)
    if fetch.url is not None and fetch.json is not None:
        to.add(word, "a URL of the status is asked with GET and without a body; leave json out")
    paths = set(hole_names(call)) - set(declared.job) if fetch.ask is not None else set()
    keys = {**declared.job, **dict.fromkeys(paths, "str")}
    base: str | None = declared.base
    if fetch.url is not None:
        base, keys = None, {**keys, _URL: "str"}
    template = RequestTemplate.parse(word, call, declared.headers, base, keys, to)
    expressions = {path: compiled(path) for path in sorted(paths)}
    url = None if fetch.url is None else to.of(f"{word}.url", compiled, fetch.url)
    reason = None if declared.reason is None else to.of("reason", compiled, declared.reason)
    pages = Pages.parse(word, fetch, to)
    if template is None or len(to.found) > before:
        return None

    def of_ask(keys: Mapping[str, Key], data: Any, _own: Request) -> _Made:
        values = {path: _value(template, path, expression(data)) for path, expression in expressions.items()}
        return template.request({**values, **keys})

    def of_url(keys: Mapping[str, Key], data: Any, own: Request) -> _Made:
        found = None if url is None else url_in(url(data), own.url)
        if found is None:
            raise ConfigurationError(
                f"the final status has no URL at {fetch.url}, where the declaration has the result"
            )
        return template.request({**keys, _URL: str(found)})

    return ResultPlan(
        request=of_ask if url is None else of_url,
        raw=fetch.raw,
        failed=frozenset(fetch.failed),
        template=template,
        pages=pages,
        reason=reason,
    )


def _value(template: RequestTemplate, path: str, value: Any) -> Key:
    """The value of a status that fills a hole. Raises ConfigurationError."""
    fits = type(value) in {str, int}
    if fits:
        try:
            template.check(path, value)
        except ConfigurationError:
            fits = False
    if not fits:  # raised out here, so that the error has no value
        raise ConfigurationError(
            f"the final status has no text or whole number at {path} that can stand in the request for the result"
        )
    return value  # type: ignore[no-any-return]  # looked at above
