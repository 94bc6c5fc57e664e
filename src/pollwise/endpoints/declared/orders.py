"""The start of a job, as the word `submit` says.

Rule 1: an order is a JSON object. A hole is a field of it, `{order}` all of it, and `{key}` the idempotency key.
Rule 2: what is wrong with an order is found before the request is sent. After it, the job may be running.
Rule 3: a reply that does not have the keys of the job is malformed. No key is guessed.
Rule 4: a URL relative to that of the start is resolved. Where it may lead is decided in `core/url_rules.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import attrs

from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._server_values import url_in
from pollwise.endpoints.attrs_codec import whole_number
from pollwise.endpoints.declared.expressions import compiled
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.templates import Key, RequestTemplate
from pollwise.endpoints.declared.vocabulary import HOLE, Call, Declaration, Submit, hole_names
from pollwise.errors import ConfigurationError
from pollwise.http.credentials import is_field_name
from pollwise.model.messages import Reply, Request

__all__ = ["SubmitPlan"]

_ORDER: Final = "order"
_KEY: Final = "key"
_SEE_OTHER: Final = frozenset({303})  # RFC 9110, 15.4.4
_DEEPEST: Final = 100  # levels of an order
_LONGEST_URL: Final = 2_048  # in which a key is looked for; a key has at most 1,024 characters
_Source: TypeAlias = Callable[[Mapping[str, Any], Reply], Any]
"""Where a key of the job is: takes the values of the order and the reply. Returns None if it is not there."""


@attrs.frozen(kw_only=True)
class SubmitPlan:
    """How a job is started.

    Attributes:
        template: The request.
        from_order: The holes of the order that are keys of the job, by key.
        answer_statuses: Status codes outside 2xx whose replies may have the job: 303, if a header field has it.
    """

    template: RequestTemplate
    from_order: Mapping[str, str]
    answer_statuses: frozenset[int]
    _sources: Mapping[str, _Source] = attrs.field(alias="sources")
    _places: Mapping[str, str] = attrs.field(alias="places")  # as they were written, for errors

    def request(self, order: object, key: str) -> Request:
        """The request that starts the job. Raises ConfigurationError if the order does not have what it needs."""
        values = self._values(order, key)
        try:
            request = self.template.request(values)
            return attrs.evolve(request, idempotent=True) if _KEY in self.template.keys else request
        except TypeError as exc:  # such as an int of more than 64 bits
            wrong = str(exc)
        raise ConfigurationError(f"the order cannot be written as JSON: {wrong}")

    def keys_in(self, order: object, reply: Reply, types: Mapping[str, str]) -> dict[str, Key]:
        """The keys of the job that the reply names. Raises MalformedReply if one is not there."""
        values = self._values(order, "", holes=self.from_order.values())
        found = {}
        for name, source in self._sources.items():
            value = _typed(source(values, reply), types[name])
            if value is None:
                raise reply.malformed(
                    f"it has no {types[name]} at {self._places[name]}, where the declaration has the key {name} of the job"
                )
            found[name] = value
        return found

    def keys_of(self, order: object, types: Mapping[str, str]) -> dict[str, Key]:
        """The keys of the job that the order names. Raises ConfigurationError if one is not there."""
        values = self._values(order, "", holes=self.from_order.values())
        found = {}
        for name, hole in self.from_order.items():
            value = _typed(values[hole], types[name])
            if value is None:
                raise ConfigurationError(
                    f"the order has no {types[name]} at {hole}, which is the key {name} of the job"
                )
            found[name] = value
        return found

    def _values(self, order: object, key: str, holes: Any = None) -> dict[str, Any]:
        """The value of each hole. Raises ConfigurationError."""
        if not isinstance(order, Mapping):
            raise ConfigurationError(
                f"an order of a declared endpoint is a mapping, such as {{'input': 'a.csv'}}, got {type(order).__name__}"
            )
        whole = _plain(order, "the order")
        found = {}
        for hole in self.template.keys if holes is None else holes:
            value = found[hole] = key if hole == _KEY else _at(hole, whole)
            if hole in self.template.in_url or hole in self.template.in_headers:
                if type(value) not in {str, int}:
                    raise ConfigurationError(
                        f"{hole} of the order must be a text or a whole number, got {type(value).__name__}"
                    )
                self.template.check(hole, value)
        return found

    @classmethod
    def parse(cls, declared: Declaration, to: Problems) -> SubmitPlan | None:
        """The meaning of `submit`. None: it is missing, or it is wrong."""
        if declared.submit is None:
            return None
        before, submit = len(to.found), declared.submit
        call = Call(ask=submit.ask, headers=submit.headers, json=submit.json)
        names = hole_names(Call(ask=call.ask, headers={**declared.headers, **call.headers}, json=call.json))
        template = RequestTemplate.parse(
            "submit", call, declared.headers, declared.base, dict.fromkeys(names, "str"), to
        )
        if template is not None and _ORDER in template.in_url | template.in_headers:
            to.add(
                "submit", "{order} is the whole order, so it can stand in json alone; write {order.NAME} for a field"
            )
        places = _places(submit, declared, to)
        sources = {
            name: to.of(f"submit.id.{name}", partial(_source, name, declared), at) for name, at in places.items()
        }
        if template is None or len(to.found) > before:
            return None
        return cls(
            template=template,
            from_order={name: at[1:-1] for name, at in places.items() if HOLE.fullmatch(at)},
            sources={name: source for name, source in sources.items() if source is not None},
            places=places,
            answer_statuses=_SEE_OTHER if any(at.startswith("$") for at in places.values()) else frozenset(),
        )


# --- compilation ------------------------------------------------------------------------------


def _places(submit: Submit, declared: Declaration, to: Problems) -> dict[str, str]:
    """Where each key of the job is, as it was written."""
    if not isinstance(submit.id, str):
        missing = [name for name in declared.job if name not in submit.id]
        if missing:
            to.add("submit.id", f"write where {' and '.join(missing)} of the job is, such as {missing[0]} = 'data.id'")
        for name in sorted(set(submit.id) - set(declared.job)):
            to.add(f"submit.id.{name}", f"the job has no such key; it has {', '.join(declared.job)}")
        return {name: at for name, at in submit.id.items() if name in declared.job}
    if len(declared.job) != 1 and not submit.id.startswith("$"):
        to.add(
            "submit.id",
            "the job has several keys; write a table, such as { id = 'id', region = '{region}' }, where {region} is a field"
            " of the order",
        )
        return {}
    return dict.fromkeys(declared.job, submit.id)


def _source(name: str, declared: Declaration, at: str) -> _Source:
    """The meaning of one place. Raises ConfigurationError."""
    hole = HOLE.fullmatch(at)
    if hole is not None:
        if hole[1] or hole[2] in {_KEY, _ORDER}:
            raise ConfigurationError("write a field of the order, such as '{region}'")
        return lambda values, _reply: values[hole[2]]
    if at.startswith("$"):
        if not is_field_name(at[1:]):
            raise ConfigurationError(f"write a header field as '$Location', not {at!r}")
        field = at[1:]
        taken = _own_url if _url_key(declared) == name else _key_in_url(name, declared)
        return lambda _values, reply: taken(reply.headers.get(field), reply)
    expression = compiled(at)
    if _url_key(declared) == name:
        return lambda _values, reply: _own_url(expression(reply.json()), reply)
    return lambda _values, reply: expression(reply.json())


def _key_in_url(name: str, declared: Declaration) -> Callable[[str | None, Reply], Any]:
    """Takes a key out of a header field: the part of a URL where `poll` has the key, or the value itself."""
    matches = _like_poll(name, declared)

    def taken(value: str | None, reply: Reply) -> str | None:
        if value is None or "/" not in value:
            return value
        base = None if reply.request is None else reply.request.url
        url = None if len(value) > _LONGEST_URL else url_in(value, base)
        match = None if url is None else next(filter(None, (matched(url.raw_path) for matched in matches)), None)
        try:
            return None if match is None else unquote(match[name], errors="strict")
        except UnicodeDecodeError:
            return None

    return taken


def _like_poll(name: str, declared: Declaration) -> list[Callable[[str], re.Match[str] | None]]:
    """Match a path like that of `poll`: below the base URL, or else below any other, such as behind a proxy."""
    target = declared.poll.ask.partition(" ")[2].partition("?")[0]
    pattern, at, seen = "", 0, set()
    for hole in HOLE.finditer(target):
        pattern += re.escape(target[at : hole.start()])
        group = ".+?" if hole[1] else "[^/]+"
        pattern += f"(?P={hole[2]})" if hole[2] in seen else f"(?P<{hole[2]}>{group})"
        seen.add(hole[2])
        at = hole.end()
    if name not in seen:
        return []
    pattern += f"{re.escape(target[at:])}/?"
    prefix = _prefix(declared.base)
    return [re.compile(below + pattern).fullmatch for below in (re.escape(prefix), ".*?")]


def _prefix(base: str | None) -> str:
    """The path of the base URL, or nothing. A wrong one is reported by the request."""
    try:
        return "" if base is None else ApiRoot.parse(base).prefix
    except ConfigurationError:
        return ""


def _own_url(value: object, reply: Reply) -> str | None:
    """The URL of the status call."""
    url = url_in(value, None if reply.request is None else reply.request.url)
    return None if url is None or not url.absolute else str(url)


def _url_key(declared: Declaration) -> str | None:
    """The key that is the URL of the status call, or None."""
    hole = HOLE.fullmatch(declared.poll.ask.partition(" ")[2])
    return hole[2] if hole is not None and hole[1] else None


# --- values -----------------------------------------------------------------------------------


def _at(path: str, order: Mapping[str, Any]) -> Any:
    """The value at a dotted path. Raises ConfigurationError if it is not there."""
    if path == _ORDER:
        return order
    value: Any = order
    for name in path.removeprefix(f"{_ORDER}.").split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ConfigurationError(f"the order has no {path}, which the declaration sends")
        value = value[name]
    return value


def _plain(value: Any, place: str, depth: int = 0) -> Any:
    """The value as JSON has it. Raises ConfigurationError, which names the place."""
    if depth > _DEEPEST:
        raise ConfigurationError(f"an order has at most {_DEEPEST} levels")
    if value is None or type(value) in {str, int, bool} or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, Mapping) and all(type(name) is str for name in value):
        return {name: _plain(inner, f"{name} of {place}", depth + 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, f"an item of {place}", depth + 1) for inner in value]
    raise ConfigurationError(
        f"{place if len(place) < 200 else 'a value of the order'} is no JSON, got {type(value).__name__}; write texts,"
        " finite numbers, truth values, None, lists and mappings with texts as names"
    )


def _typed(value: Any, kind: str) -> Key | None:
    """A key in the type of the declaration, or None if it is none."""
    if kind == "int" and type(value) is str:
        try:
            return whole_number(value)
        except ValueError:
            return None
    if kind == "str" and type(value) is int:
        return str(value)
    return value if (type(value) is int and kind == "int") or (type(value) is str and value != "") else None
