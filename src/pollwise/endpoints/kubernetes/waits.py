"""What can be waited for, in the words of `kubectl wait --for=...`.

    condition=Ready    condition=Ready=False    delete    create    jsonpath={.status.phase}=Running

Rule 1: a condition is met if its status equals the wanted one, whatever the letter case; the default is `true`. The first
condition of that type that has a status decides.
Rule 2: a condition is not met while its `observedGeneration`, or else that of the status, is below `metadata.generation`:
then it is about an earlier desired state.
Rule 3: a JSONPath is met if it leads to one value, and the value's text equals the wanted one, if one is wanted. A value
that is missing is not met. More than one value is an error, and so is a list or an object that is compared.
Rule 4: of JSONPath there are fields, indexes, and filters that compare one text. `..`, `*`, slices and ranges are refused.

Source: kubectl, `pkg/cmd/wait`: `conditionFuncFor`, `checkCondition`, `getObservedGeneration`, `verifyParsedJSONPath` and
`compareResults`. kubectl fails for an index that is out of range; here such a value is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import attrs

from pollwise.endpoints.kubernetes.objects import ResourceStatus
from pollwise.errors import ConfigurationError

__all__ = ["Check", "Create", "Delete", "Wait", "parse_check", "parse_wait"]

_FORMS: Final = "'condition=Ready', 'condition=Ready=False', 'delete', 'create', or 'jsonpath={.status.phase}=Running'"
_CONDITION: Final = re.compile(r"condition=([^=\s]+)(?:=(\S+))?").fullmatch
_QUOTED: Final = re.compile(r"(['\"])(\{.*?\})\1").match
_STEP: Final = re.compile(
    r"""
      \.?(?P<field>(?:[^\s.\[\]{}()'"*,:?@=\\]|\\.)+)                                    # .status, .foo\.bar/baz
    | \[(?P<index>-?\d{1,9})\]                                                       # [0]
    | \[(?P<quote>['"])(?P<key>[^'"\]]+)(?P=quote)\]                                 # ['status']
    | \[\?\(\s*@\.(?P<by>[\w.-]+)\s*==\s*(?P<mark>['"])(?P<word>[^'"]*)(?P=mark)\s*\)\]  # [?(@.type=="Ready")]
    """,
    re.VERBOSE,
)
_Step: TypeAlias = Callable[[Any], Iterator[Any]]


class Check(Protocol):
    """What the object itself shows: what is waited for, or that waiting is in vain."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields that decide."""
        ...

    def met(self, status: ResourceStatus, /) -> bool:
        """Whether the object, which exists, is as wanted."""
        ...

    def why(self, status: ResourceStatus, /) -> str:
        """What the object says about it. Untrusted text."""
        ...


@attrs.frozen
class Delete:
    """The object is gone."""

    keys: tuple[str, ...] = ()

    def met(self, _status: ResourceStatus, /) -> bool:
        """Never while the object exists."""
        return False


@attrs.frozen
class Create:
    """The object is there."""

    keys: tuple[str, ...] = ()

    def met(self, _status: ResourceStatus, /) -> bool:
        """Always, because the object exists."""
        return True


@attrs.frozen
class _Condition:
    name: str
    wanted: str
    keys: tuple[str, ...] = ("conditions", "type", "status", "reason", "message", "observedGeneration")

    def met(self, status: ResourceStatus, /) -> bool:
        name = self.name.casefold()
        with_status = (each for each in status.conditions if each.status is not None)
        found = next((each for each in with_status if each.type is not None and each.type.casefold() == name), None)
        if found is None or found.status is None:
            return False
        observed = found.observed_generation
        if observed is None:
            observed = status.observed_generation
        if status.generation is not None and observed is not None and observed < status.generation:
            return False
        return found.status.casefold() == self.wanted.casefold()

    def why(self, status: ResourceStatus, /) -> str:
        found = status.condition(self.name)
        words = () if found is None else (found.reason, found.message)
        return ": ".join(word for word in (f"{self.name}={self.wanted}", *words) if word)


@attrs.frozen(eq=False)
class _JsonPath:
    text: str
    steps: tuple[_Step, ...]
    keys: tuple[str, ...]
    wanted: str | None

    def met(self, status: ResourceStatus, /) -> bool:
        values: list[Any] = [status.document]
        for step in self.steps:
            values = [inner for value in values for inner in step(value)]
        if not values:
            return False
        if len(values) > 1:
            raise ConfigurationError(f"jsonpath {self.text} leads to {len(values)} values; it must lead to one")
        if self.wanted is None:
            return True
        if isinstance(values[0], (dict, list)):
            raise ConfigurationError(
                f"jsonpath {self.text} leads to a list or an object, which has no value to compare; name one of its fields"
            )
        return _go_text(values[0]).strip() == self.wanted.strip()

    def why(self, _status: ResourceStatus, /) -> str:
        return self.text if self.wanted is None else f"{self.text}={self.wanted}"


Wait: TypeAlias = Check | Delete | Create


def parse_wait(text: str) -> Wait:
    """The wait that the text names.

    Raises:
        ConfigurationError: It names none, or a JSONPath that is not supported.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"write what to wait for as a text such as {_FORMS}; got {type(text).__name__}")
    if text.lower() == "delete":
        return Delete()
    if text.lower() == "create":
        return Create()
    found = _CONDITION(text)
    if found:
        return _Condition(found[1], found[2] or "true")
    if text.startswith("jsonpath="):
        return _json_path(text.removeprefix("jsonpath="))
    raise ConfigurationError(f"{text!a} is nothing to wait for; write {_FORMS}")


def parse_check(text: str) -> Check:
    """As `parse_wait`, for what the object itself shows. Raises ConfigurationError for `delete` and `create`, too."""
    wait = parse_wait(text)
    if isinstance(wait, (Delete, Create)):
        raise ConfigurationError(f"failed_when cannot have {text!r}; write a condition or a JSONPath")
    return wait


def _json_path(text: str) -> _JsonPath:
    quoted = _QUOTED(text)  # as for a shell: jsonpath='{.status.phase}'=Running
    text = text if quoted is None else quoted[2] + text[quoted.end() :]
    if text.startswith("{"):
        path, closed, rest = text[1:].partition("}")
    else:
        path, mark, value = text.partition("=")
        closed, rest = "}", mark + value
    wanted = rest.removeprefix("=").strip("'\"") if rest else None
    if not closed or not path or (rest and not rest.startswith("=")) or wanted == "":
        raise ConfigurationError(
            f"jsonpath={text!a} is not complete; write 'jsonpath={{.status.phase}}=Running' or 'jsonpath={{.status.loadBalancer}}'"
        )
    steps, keys, at = [], [], 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None or (at and step["field"] and path[at] != "."):
            raise ConfigurationError(
                f"jsonpath={text!a} is not supported at {path[at:]!a}; write fields, indexes and filters, such as"
                ' {.status.conditions[?(@.type=="Ready")].reason}'
            )
        made, names = _step(step)
        steps.append(made)
        keys += names
        at = step.end()
    return _JsonPath("{" + path + "}", tuple(steps), tuple(keys), wanted)


def _step(found: re.Match[str]) -> tuple[_Step, list[str]]:
    if found["index"]:
        return _item(int(found["index"])), []
    if found["by"]:
        names = found["by"].split(".")
        return _filter(names, found["word"]), names
    name = found["key"] or re.sub(r"\\(.)", r"\1", found["field"])
    return _field(name), [name]


def _field(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _item(index: int) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _filter(names: list[str], word: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = item
            for name in names:
                found = found.get(name) if isinstance(found, dict) else None
            if found is not None and not isinstance(found, (dict, list)) and _go_text(found) == word:
                yield item

    return step


def _go_text(value: Any) -> str:
    """A JSON value as Go's `%v` writes it."""
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
