"""Checks a declaration as a whole, and compiles it.

Rule 1: all problems of a declaration are found here, before a request is made.
Rule 2: nothing here reads the environment, a file or a clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints.declared.following import NextUrl
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.results import ResultPlan, result_names
from pollwise.endpoints.declared.rules import Rules
from pollwise.endpoints.declared.templates import Key, RequestTemplate
from pollwise.endpoints.declared.vocabulary import PHASES, Call, Declaration
from pollwise.errors import ConfigurationError
from pollwise.http.credentials import header_fields

__all__ = ["KEY_TYPES", "Plan", "auth_variables", "compiled", "deciding_keys"]

KEY_TYPES: Final[Mapping[str, type]] = {"str": str, "int": int}
"""The types that the keys of a job may have, by name."""

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
    """

    poll: RequestTemplate
    rules: Rules
    next: NextUrl | None
    cancel: RequestTemplate | None
    result: ResultPlan | None

    def check(self, name: str, value: Key) -> None:
        """Raise ConfigurationError unless this key of a job can stand in every request that uses it."""
        for template in (self.poll, self.cancel, None if self.result is None else self.result.template):
            if template is not None and name in template.keys:
                template.check(name, value)


def compiled(declaration: Declaration, problems: Problems) -> Plan | None:
    """The requests and the rules of a declaration. What is wrong with it is added to `problems`. None: the poll is wrong."""
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
    return None if poll is None else Plan(poll=poll, rules=rules, next=following, cancel=cancel, result=result)


def _template(word: str, call: Call, declaration: Declaration, problems: Problems) -> RequestTemplate | None:
    return RequestTemplate.parse(word, call, declaration.headers, declaration.base, declaration.job, problems)


def deciding_keys(declaration: Declaration) -> tuple[str, ...]:
    """The names in the expressions that decide, or say what is asked next. A long reply keeps these keys. A few names are functions, which is harmless."""
    words = ("state", "code", "limited", "expects", "next", *(f"{name}_when" for name in PHASES))
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
