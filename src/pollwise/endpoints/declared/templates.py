"""Requests with holes for the keys of a job.

Rule 1: `{id}` becomes one segment of the path, or one value of the query. `{+id}` keeps its slashes. A request that
begins with `{+url}` takes its whole URL from the job.
Rule 2: a value that would change the meaning of the URL is refused when the job is made, not when it is polled.
Rule 3: in a JSON body only a whole text is a hole, because GraphQL has braces of its own. The key keeps its type. The
members of an object in the member `*` are put beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import attrs
import orjson
from yarl import URL

from pollwise.endpoints._address import ApiRoot, checked_id, segment
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.vocabulary import HOLE, Call, holes_in
from pollwise.errors import ConfigurationError
from pollwise.http.credentials import CREDENTIAL_FIELDS, is_field_name
from pollwise.model.construction import fast_constructor
from pollwise.model.messages import Request

__all__ = ["HOLE", "Key", "RequestTemplate"]

Key: TypeAlias = str | int

_make_request = fast_constructor(Request)
_ALL: Final = "*"  # the member of a body whose value, if it is an object, has further members
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_FIELD_VALUE: Final = re.compile(r"[ -~]*", re.ASCII).fullmatch


@attrs.frozen(kw_only=True)
class RequestTemplate:
    """A request for each job.

    Attributes:
        method: The HTTP method.
        origin: The origin of every request, or None if each job has its own.
        keys: The keys that the request uses.
        paths: The keys that keep their slashes.
        in_url: The keys that the URL uses.
        in_headers: The keys that header fields use.
        whole_url: The key that is the URL, or None.
    """

    method: str
    origin: str | None
    keys: frozenset[str]
    paths: frozenset[str]
    in_url: frozenset[str]
    in_headers: frozenset[str]
    whole_url: str | None
    _url: Callable[[Mapping[str, Key]], str] = attrs.field(alias="url")
    _headers: Mapping[str, str] = attrs.field(alias="headers")
    _body: Any = attrs.field(alias="body")

    def check(self, name: str, value: Key) -> None:
        """Raise ConfigurationError unless this key can stand where it is used."""
        text = str(value)
        if name in self.in_headers and not _FIELD_VALUE(text):
            raise ConfigurationError(f"{name} must be printable ASCII, because it stands in a header field")
        if name == self.whole_url:
            _check_url(name, text)
        elif name in self.paths:
            _check_path(name, text)
        else:
            checked_id(name, text)

    def request(self, keys: Mapping[str, Key]) -> Request:
        """The request for the job with these keys."""
        url = URL(self._url(keys), encoded=True)
        headers = {name: _filled(value, keys, str) for name, value in self._headers.items()}
        body = None if self._body is None else orjson.dumps(_filled_json(self._body, keys))
        return _make_request(url, headers, self.method, body)

    @classmethod
    def parse(
        cls, word: str, call: Call, shared: Mapping[str, str], base: str | None, keys: Mapping[str, str], to: Problems
    ) -> RequestTemplate | None:
        """The template of a call, or None if it is wrong.

        Args:
            word: The word of the declaration, for problems.
            call: The call.
            shared: Header fields of every request.
            base: The base URL, or None.
            keys: The keys of a job, with their types.
            to: Takes the problems.
        """
        before = len(to.found)
        method, _, target = call.ask.partition(" ")
        if method not in _METHODS or not target or target != target.strip():
            to.add(word, f"write a method and a path, such as 'GET /jobs/{{id}}', not {call.ask!r}")
            return None
        headers = {**shared, **call.headers}
        for hole, where in holes_in(target, headers, call.json):
            if hole[2] not in keys:
                to.add(
                    word,
                    f"{where} has {{{hole[1]}{hole[2]}}}, but the job has only the keys {', '.join(keys) or 'of none'}",
                )
        _check_headers(word, headers, to)
        whole = HOLE.match(target)
        whole_url = whole[2] if whole and whole[1] and not HOLE.sub("", target) else None
        root = None
        if whole_url is None:
            root = _root(base, target, word, to)
        elif base is not None:
            to.add("base", f"{word} takes its whole URL from {{+{whole_url}}}; leave base out")
        if len(to.found) > before:
            return None
        if call.json is not None:
            headers.setdefault("Content-Type", "application/json")
        path, query = target.partition("?")[::2]
        prefix = "" if root is None else f"{root.origin}{root.prefix}"
        in_path = [(hole[1], hole[2]) for hole in HOLE.finditer(path)]
        return cls(
            method=method,
            origin=None if root is None else str(root.origin),
            keys=frozenset(hole[2] for hole, _ in holes_in(target, headers, call.json)),
            paths=frozenset(name for plus, name in in_path if plus and name != whole_url),
            in_url=frozenset(hole[2] for hole in HOLE.finditer(target)),
            in_headers=frozenset(hole[2] for value in headers.values() for hole in HOLE.finditer(value)),
            whole_url=whole_url,
            url=_url_maker(prefix, path, query, whole_url),
            headers=headers,
            body=call.json,
        )


def _url_maker(prefix: str, path: str, query: str, whole_url: str | None) -> Callable[[Mapping[str, Key]], str]:
    if whole_url is not None:
        return lambda keys: str(keys[whole_url])
    ask = f"{prefix}{_quoted_outside(path)}" + (f"?{_quoted_outside(query)}" if query else "")
    end = len(prefix) + len(_quoted_outside(path))
    pieces = [(ask[at:stop], plus, name, stop < end) for at, stop, plus, name in _pieces(ask)]

    def made(keys: Mapping[str, Key]) -> str:
        return "".join(
            text + ("" if name is None else _encoded(str(keys[name]), plus=plus, in_path=in_path))
            for text, plus, name, in_path in pieces
        )

    return made


def _pieces(text: str) -> Iterator[tuple[int, int, bool, str | None]]:
    at = 0
    for hole in HOLE.finditer(text):
        yield at, hole.start(), bool(hole[1]), hole[2]
        at = hole.end()
    yield at, len(text), False, None


def _encoded(value: str, *, plus: bool, in_path: bool) -> str:
    if plus:
        return quote(value, safe="/:@!$&'()*+,;=~-._" if in_path else "/:~-._")
    return segment(value) if in_path else quote(value, safe="~-._")


def _quoted_outside(text: str) -> str:
    """The text with what no URL may have percent-encoded. Holes, and what is encoded already, stay."""
    return quote(text, safe="/:@!$&'()*+,;=~-._%?{}[]")


def _check_headers(word: str, headers: Mapping[str, str], to: Problems) -> None:
    for name, value in headers.items():
        if not is_field_name(name) or not _FIELD_VALUE(value):
            to.add(
                word,
                f"the header field {name!r} needs a name of letters, digits and hyphens, and a text of printable ASCII",
            )
        elif name.lower() in CREDENTIAL_FIELDS:
            to.add(word, f"the header field {name} has credentials; name their environment variable in auth instead")


def _root(base: str | None, target: str, word: str, to: Problems) -> ApiRoot | None:
    if base is None:
        to.add("base", f"write the base URL, such as 'https://api.example.com', because {word} is a path")
    elif not target.startswith("/"):
        to.add(word, f"the path must begin with a slash, got {target!r}")
    elif re.search(r"[\x00-\x20\x7f\\#]", HOLE.sub("", target)):
        to.add(word, "the path must not hold spaces, backslashes, control characters or a fragment")
    elif "{" in HOLE.sub("", target) or "}" in HOLE.sub("", target):
        to.add(word, "write a hole as {id} or {+id}, with a key of the job")
    else:
        try:
            return ApiRoot.parse(base)
        except ConfigurationError as exc:
            to.add("base", str(exc).removeprefix("base_url "))
    return None


def _check_path(name: str, value: str) -> None:
    for part in value.split("/"):
        if part == "":
            raise ConfigurationError(f"{name} must be segments with single slashes between them, such as a/b")
        checked_id(name, part)


def _check_url(name: str, value: str) -> None:
    wrong = not value.isascii() or not value.isprintable() or " " in value or len(value) > _LONGEST_URL
    if not wrong:
        try:
            url = URL(value, encoded=True)
            wrong = url.scheme not in {"http", "https"} or not url.raw_host or "@" in url.raw_authority
        except ValueError:
            wrong = True
    if wrong:
        raise ConfigurationError(
            f"{name} must be an absolute http or https URL without credentials, percent-encoded,"
            f" of at most {_LONGEST_URL} characters"
        )


_LONGEST_URL: Final = 8_192


def _filled(text: str, keys: Mapping[str, Key], encoded: Callable[[Key], str]) -> str:
    return HOLE.sub(lambda hole: encoded(keys[hole[2]]), text)


def _filled_json(value: Any, keys: Mapping[str, Key]) -> Any:
    if isinstance(value, str):
        hole = HOLE.fullmatch(value)
        return value if hole is None else keys[hole[2]]
    if isinstance(value, dict):
        filled = {name: _filled_json(inner, keys) for name, inner in value.items()}
        if isinstance(filled.get(_ALL), dict):
            return {**filled.pop(_ALL), **filled}
        return filled
    return [_filled_json(inner, keys) for inner in value] if isinstance(value, list) else value
