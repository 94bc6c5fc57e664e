"""What the arguments of `watch` and the other commands for one job mean.

Rule: a job is given as KEY=VALUE. `watch` also takes the values alone for the two vendors' jobs. Nothing is guessed.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from yarl import URL

from pollwise.cli.exit_status import UsageError
from pollwise.cli.safe_text import safe
from pollwise.endpoints.declared import Declaration, Progress
from pollwise.endpoints.declared.templates import HOLE
from pollwise.model.protocols import Endpoint

__all__ = ["job_of", "keys_of", "url_declaration", "values_of"]

J = TypeVar("J", bound=Hashable)


def job_of(endpoint: Endpoint[J, Any], given: Sequence[str]) -> J:
    """The job with these KEY=VALUE arguments.

    Raises:
        UsageError: An argument has another form, or a key is given twice.
        ConfigurationError: A key is missing, unknown or wrong.
    """
    return endpoint.codec.job_from_keys(keys_of(given))


def keys_of(given: Sequence[str], names: Collection[str] = ()) -> dict[str, str]:
    """The keys in KEY=VALUE arguments. Raises UsageError, which shows the right form if the `names` of all keys are known."""
    keys: dict[str, str] = {}
    if names and len(given) == len(names) and not any("=" in argument for argument in given):
        job = shlex.join(f"{name}={safe(value, 60)}" for name, value in zip(names, given, strict=True))
        raise UsageError(f"write the keys of the job as KEY=VALUE: {job}")
    for argument in given:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UsageError(f"write a key of the job as KEY=VALUE, such as id=7, not {safe(argument, 60)}")
        if name in keys:
            raise UsageError(f"the key {safe(name, 60)} is given twice")
        keys[name] = value
    return keys


def values_of(given: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """The values of these keys, which are given alone in that order, or each as KEY=VALUE in any order."""
    if {argument.partition("=")[0] for argument in given} != set(names) or not all("=" in each for each in given):
        return given
    keys = keys_of(given)
    return [keys[name] for name in names]


def url_declaration(url: str, words: Mapping[str, Any], auth: Mapping[str, Any] | None) -> Declaration:
    """The declaration for a URL with holes, such as `https://api.example.com/exports/{id}`.

    Args:
        url: The URL.
        words: Other words of a declaration. Those that are None or empty are left out.
        auth: Environment variables with the credentials, as in a declaration.

    Raises:
        UsageError: It is no http or https URL.
    """
    plain = HOLE.sub("x", url)
    try:
        parsed = URL(plain)
        origin = str(parsed.origin())
    except ValueError:
        raise UsageError("the URL must be absolute, such as https://api.example.com/exports/{id}") from None
    target = url[url.index("/", url.index("//") + 2) :] if "/" in plain.partition("//")[2] else "/"
    given = {word: value for word, value in words.items() if value}
    percent = given.pop("progress", None)
    return Declaration(
        name=str(parsed.host),
        base=origin if "@" not in plain.partition("//")[2].partition("/")[0] else url,
        job=dict.fromkeys((hole[2] for hole in HOLE.finditer(url)), "str"),
        poll=f"GET {target}",
        auth=auth,
        progress=None if percent is None else Progress(done=percent, of=100),
        **given,
    )
