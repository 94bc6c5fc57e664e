"""Declared endpoints for the command: where their files are, and what the arguments mean.

Rule 1: `--endpoints` names the file. Without it, `pollwise.toml` in the current folder is read, then `endpoints.toml` in
the user's configuration folder, and at last the catalog. What the user did not name is named on stderr, because it decides
where credentials go.
Rule 2: a job is given as KEY=VALUE. Nothing is guessed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yarl import URL

from pollwise.cli.exit_status import UsageError
from pollwise.cli.safe_text import safe
from pollwise.endpoints.catalog import catalog, from_catalog
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint, DeclaredJob, Progress, load_declarations
from pollwise.endpoints.declared.templates import HOLE

__all__ = ["declared_endpoint", "job_of", "url_declaration"]


def declared_endpoint(name: str, file: Path | None, base_url: str | None, account: str) -> DeclaredEndpoint[Any]:
    """The endpoint with this name, from the file that the user named, or from the usual ones and the catalog.

    Raises:
        UsageError: There is no such endpoint.
        ConfigurationError: The file is wrong, or an environment variable is not set.
    """
    looked = [file] if file is not None else _usual_files()
    known: list[str] = []
    for path in looked:
        if file is None and not path.is_file():
            continue
        found = load_declarations(path)
        if name in found:
            if file is None:
                print(f"pollwise: {safe(name)} is declared in {safe(path)}", file=sys.stderr)
            return DeclaredEndpoint(found[name], base_url=base_url, account=account)
        known += found
    if file is None and name in catalog():
        endpoint = from_catalog(name, base_url=base_url, account=account)
        print(f"pollwise: {safe(name)} is from the catalog, {catalog()[name].page}", file=sys.stderr)
        return endpoint
    there = f"; there are {', '.join(map(safe, known))}" if known else ""
    raise UsageError(
        f"no endpoint {safe(name)} in {' or '.join(str(safe(path)) for path in looked)}{there}."
        " Declare it there, or name another file with --endpoints. `pollwise endpoint list` shows the catalog"
    )


def job_of(endpoint: DeclaredEndpoint[Any], given: Sequence[str]) -> DeclaredJob:
    """The job with these KEY=VALUE arguments.

    Raises:
        UsageError: An argument has another form, or a key is given twice.
        ConfigurationError: A key is missing, unknown or wrong.
    """
    return endpoint.codec.job_from_keys(keys_of(given))


def keys_of(given: Sequence[str]) -> dict[str, str]:
    """The keys in KEY=VALUE arguments. Raises UsageError."""
    keys: dict[str, str] = {}
    for argument in given:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UsageError(f"write a key of the job as KEY=VALUE, such as id=7, not {safe(argument, 60)}")
        if name in keys:
            raise UsageError(f"the key {safe(name, 60)} is given twice")
        keys[name] = value
    return keys


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


def _usual_files() -> list[Path]:
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return [Path("pollwise.toml"), Path(folder) / "pollwise" / "endpoints.toml"]
