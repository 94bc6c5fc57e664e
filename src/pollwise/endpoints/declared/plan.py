"""Checks a declaration as a whole, and compiles it.

Rule 1: all problems of a declaration are found here, before a request is made.
Rule 2: nothing here reads the environment, a file or a clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints.declared.following import NextUrl
from pollwise.endpoints.declared.orders import SubmitPlan
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.results import ResultPlan, result_names
from pollwise.endpoints.declared.rules import Rules
from pollwise.endpoints.declared.templates import Key, RequestTemplate
from pollwise.endpoints.declared.vocabulary import HOLE, PHASES, Call, Declaration, Fetch, Progress, Submit, Wait
from pollwise.errors import ConfigurationError
from pollwise.http.credentials import header_fields
from pollwise.model.limits import RateLimit, is_number

__all__ = ["KEY_TYPES", "Plan", "auth_variables", "compiled", "deciding_keys"]

KEY_TYPES: Final[Mapping[str, type]] = {"str": str, "int": int}
"""The types that the keys of a job may have, by name."""

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "poll": (Call,),
    "cancel": (Call,),
    "submit": (Submit,),
    "result": (str, Fetch),
    "then": (Fetch,),
    "progress": (Progress,),
    "after": (Wait,),
    "limit": (RateLimit,),
}
_TEXTS: Final[Mapping[type, tuple[str, ...]]] = {
    Call: ("ask",),
    Fetch: ("ask", "url", "next", "query", "items"),
    Submit: ("ask",),
    Progress: ("done",),
    Wait: ("s", "ms"),
}
_AUTH_FORMS: Final = ({"bearer"}, {"basic"}, {"key", "header"})
_NAMES: Final = re.compile(r"[^\W\d][\w-]*").findall
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII).fullmatch


@attrs.frozen(kw_only=True)
class Plan:
    """A declaration, compiled.

    Attributes:
        poll: The status call.
        rules: How its replies are read.
        next: Where a reply has the next URL, or None.
        cancel: The request that stops a job, or None.
        result: How the result of a job is had, or None.
        submit: How a job is started, or None.
        origins: Where else credentials may go.
    """

    poll: RequestTemplate
    rules: Rules
    next: NextUrl | None
    cancel: RequestTemplate | None
    result: ResultPlan | None
    submit: SubmitPlan | None
    origins: tuple[str, ...]

    def check(self, name: str, value: Key) -> None:
        """Raise ConfigurationError unless this key of a job can stand in every request that uses it."""
        for template in (self.poll, self.cancel, None if self.result is None else self.result.template):
            if template is not None and name in template.keys:
                template.check(name, value)


def compiled(declaration: Declaration, problems: Problems) -> Plan | None:
    """The requests and the rules of a declaration. What is wrong with it is added to `problems`. None: the poll is wrong."""
    if not _has_right_kinds(declaration, problems):
        return None
    for name, kind in declaration.job.items():
        if not name.isidentifier() or kind not in KEY_TYPES:
            problems.add(
                "job", f"write names with the types str or int, such as {{ id = 'str' }}, not {name!r} with {kind!r}"
            )
    poll = _template("poll", declaration.poll, declaration, problems)
    unused = () if poll is None else sorted(set(declaration.job) - poll.keys)
    if unused:
        problems.add("job", f"the request uses no {', '.join(unused)}; two jobs that differ there alone would be one")
    cancel = None if declaration.cancel is None else _template("cancel", declaration.cancel, declaration, problems)
    origins = _origins(declaration, problems)
    submit = SubmitPlan.parse(declaration, problems)
    _check_first_after(declaration.first_after_s, problems)
    result = ResultPlan.parse(declaration, problems)
    problems.of("auth", _check_auth, declaration.auth)
    following = None if declaration.next is None else problems.of("next", NextUrl.parse, declaration.next)
    if (
        declaration.next is not None
        and poll is not None
        and (poll.method != "GET" or declaration.poll.json is not None)
    ):
        problems.add("next", "the next URL is asked with GET and without a body, so poll must be such a request, too")
    rules = Rules.of(declaration, problems)
    if poll is None:
        return None
    return Plan(poll=poll, rules=rules, next=following, cancel=cancel, result=result, submit=submit, origins=origins)


def _has_right_kinds(declaration: Declaration, problems: Problems) -> bool:
    """Whether the words have values of their classes. A file is checked when it is read, but Python is not."""
    before = len(problems.found)
    for word, kinds in _KINDS.items():
        value = getattr(declaration, word)
        if value is not None and not isinstance(value, kinds):
            wanted = " or ".join("a text" if kind is str else f"{kind.__name__}(...)" for kind in kinds)
            problems.add(word, f"write {wanted}, got {type(value).__name__}")
        for name in _TEXTS.get(type(value), ()):
            text = getattr(value, name)
            if text is not None and not isinstance(text, str):
                problems.add(f"{word}.{name}", f"it must be a text, got {type(text).__name__}")
    places = getattr(declaration.submit, "id", "")
    if not isinstance(places, str) and not all(
        isinstance(place, str) for place in getattr(places, "values", lambda: [0])()
    ):
        problems.add("submit.id", "write an expression, or a mapping of the keys of the job to expressions")
    return len(problems.found) == before


def _template(word: str, call: Call, declaration: Declaration, problems: Problems) -> RequestTemplate | None:
    base = None if _whole_url(call) and _has_path(declaration) else declaration.base  # it is that of the other calls
    return RequestTemplate.parse(word, call, declaration.headers, base, declaration.job, problems)


def _whole_url(call: Call) -> bool:
    """Whether the job has the whole URL of this call."""
    return HOLE.fullmatch(call.ask.partition(" ")[2]) is not None


def _has_path(declaration: Declaration) -> bool:
    """Whether a call is a path, which needs the base URL."""
    result = declaration.result if isinstance(declaration.result, Fetch) else declaration.then
    calls = [declaration.poll, declaration.cancel, declaration.submit, result]
    return any(call is not None and " /" in (call.ask or "") for call in calls)


def _origins(declaration: Declaration, problems: Problems) -> tuple[str, ...]:
    """Where else credentials may go. If the poll has its whole URL from the job, the base URL is one of these."""
    found = [problems.of("origins", _origin, text) for text in _texts_in("origins", declaration.origins, problems)]
    if _whole_url(declaration.poll) and declaration.base is not None:
        with suppress(ConfigurationError):  # the call that needs the base URL has reported it
            found.append(ApiRoot.parse(declaration.base).origin)
    return tuple(dict.fromkeys(str(origin) for origin in found if origin is not None))


def _origin(text: str) -> URL:
    with suppress(ConfigurationError):
        root = ApiRoot.parse(text)
        if not root.prefix:
            return root.origin
    raise ConfigurationError("write origins, such as 'https://downloads.example.com': scheme and host without a path")


def _texts_in(word: str, values: object, problems: Problems) -> list[str]:
    if isinstance(values, tuple) and all(isinstance(value, str) for value in values):
        return list(values)
    problems.add(word, "write a list of texts")
    return []


def _check_first_after(seconds: object, problems: Problems) -> None:
    if not is_number(seconds) or not 0 <= seconds < math.inf:
        problems.add("first_after_s", f"write a number of seconds, such as 5, not {seconds!r}")


def deciding_keys(declaration: Declaration) -> tuple[str, ...]:
    """The names in the expressions that decide, or say what is asked next. A long reply keeps these keys. A few names are functions, which is harmless."""
    words = ("state", "code", "limited", "expects", "next", "over_when", *(f"{name}_when" for name in PHASES))
    texts = [str(getattr(declaration, word)) for word in words if getattr(declaration, word) is not None]
    texts += result_names(declaration)
    return tuple(dict.fromkeys(name for text in texts for name in _NAMES(text)))


def _check_auth(auth: Mapping[str, Any] | None) -> None:
    if auth is None:
        return
    header, names = auth.get("header", "X-Key"), list(auth_variables(auth))
    are_names = all(isinstance(name, str) and _VARIABLE(name) for name in names)
    if set(auth) not in _AUTH_FORMS or not isinstance(header, str) or not are_names:
        raise ConfigurationError(
            "name environment variables, never a secret: { bearer = 'TOKEN' }, { basic = ['USER', 'PASSWORD'] } or"
            " { key = 'API_KEY', header = 'X-API-Key' }"
        )
    header_fields({header: "checked"})


def auth_variables(auth: Mapping[str, Any]) -> Iterator[Any]:
    """The names of environment variables in the word `auth`."""
    for word, value in auth.items():
        if word == "basic":
            yield from value if isinstance(value, (list, tuple)) and len(value) == 2 else [None]
        elif word != "header":
            yield value
