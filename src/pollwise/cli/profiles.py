"""Profiles: options of the commands that are kept in a file, by name.

    [profiles.staging]
    timeout = 600
    base-url = { exports = "https://staging.example.com" }

Rule 1: profiles are in the files of declarations that are read if the user names none (usual_files.py). The first file that has
the name counts, and the profile is taken whole.
Rule 2: everything that is wrong with the profiles of a file is one error, which names the file, the table and the key. A key that
no command has is wrong, and so is a value that its option would refuse.
Rule 3: a profile has no secret, no command to run, and nothing that is for one run only.
Rule 4: a URL and an account belong to an endpoint, because credentials do. So they are in tables by the name of the endpoint.
Rule 5: a relative path is relative to the folder of the file.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from pollwise.cli.durations import DURATION_FORMS, parse_duration
from pollwise.cli.exit_status import UsageError
from pollwise.cli.safe_text import safe
from pollwise.cli.usual_files import unsafe_reason, usual_files

__all__ = ["DEFAULT", "KEYS", "NONE", "TABLE", "Profile", "ProfileErrors", "Value", "find_profile", "read_profiles"]

DEFAULT: Final = "default"
"""The profile that is taken if none is named."""
NONE: Final = "none"
"""Names no profile, so that none is taken."""
TABLE: Final = "profiles"
"""The table of a file that has its profiles."""

Value: TypeAlias = str | Mapping[str, str]
"""What an option would take as text; or by the name of an endpoint."""

_LARGEST: Final = 1_000_000  # bytes, as of a file of declarations
_DESCRIBED: Final = {
    bool: "true or false",
    str: "a text",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
_ONE_RUN: Final = "it is for one run, so give it as an option"
_NOT_TAKEN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("out", "query", "fresh", "moved-from", "order", "key", "wait", "result", "profile"), _ONE_RUN),
    "exec": "a file does not choose the programs that run, so give it as an option",
    **{f"{name}-url": f"write base-url = {{ {name} = 'https://...' }}" for name in ("document360", "oracle-content")},
    **dict.fromkeys(
        (
            "state",
            "queued",
            "running",
            "succeeded",
            "failed",
            "cancelled",
            "progress",
            "reason",
            "bearer-env",
            "key-env",
        ),
        "declare the endpoint instead",
    ),
}


@attrs.frozen(kw_only=True)
class Profile:
    """The options of one profile.

    Attributes:
        name: Its name.
        file: The file that has it.
        values: Its values by key, in the order of the file. A key is the name of an option without its dashes.
        bare: The keys whose values are numbers, true or false.
    """

    name: str
    file: Path
    values: Mapping[str, Value]
    bare: frozenset[str] = frozenset()

    def lines(self) -> Iterator[str]:
        """Its values as lines of TOML."""
        for key, value in self.values.items():
            if isinstance(value, str):
                yield f"{key} = {value if key in self.bare else _quoted(value)}"
            else:
                yield from (f"{key}.{_quoted(name)} = {_quoted(text)}" for name, text in value.items())


class ProfileErrors(UsageError):
    """Profiles are wrong.

    Attributes:
        problems: All that is wrong, each with its file, table and key.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def find_profile(name: str | None) -> Profile | None:
    """The profile with this name; without a name `default`, if there is one.

    Raises:
        UsageError: There is no such profile, or another user can change a file that would be read.
        ProfileErrors: The profiles of a file are wrong.
    """
    if name == NONE:
        return None
    found = read_profiles(skip_unsafe=name is None)
    if name is None or name in found:
        return found.get(name or DEFAULT)
    near = difflib.get_close_matches(name, found, 1)
    there = f"did you mean {near[0]}?" if near else f"there are {', '.join(map(_short, found)) or 'none'}."
    places = " or ".join(safe(path) for path in usual_files())
    raise UsageError(f"there is no profile {_short(name)}; {there} Profiles are tables [{TABLE}.NAME] of {places}")


def read_profiles(*, skip_unsafe: bool = False) -> dict[str, Profile]:
    """All profiles by name, in the order of the files.

    Args:
        skip_unsafe: Leave out a file that another user can change, without a message, because it may have no profile.

    Raises:
        UsageError: Another user can change a file.
        ProfileErrors: The profiles of a file are wrong.
    """
    found: dict[str, Profile] = {}
    problems: list[str] = []
    for path in usual_files():
        if not path.is_file():
            continue
        reason = unsafe_reason(path)
        if reason is None:
            for profile in _of_file(path, problems):
                found.setdefault(profile.name, profile)
        elif not skip_unsafe:
            raise UsageError(f"{safe(path)} {reason}, so its profiles are not taken. Make it yours, or move them")
    if problems:
        raise ProfileErrors(problems)
    return found


def _of_file(path: Path, problems: list[str]) -> Iterator[Profile]:
    try:
        tables = _loaded(path).get(TABLE, {})
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        problems.append(f"{safe(path)}: cannot be read: {safe(why)}")
        return
    if not isinstance(tables, dict):
        problems.append(f"{safe(path)}: [{TABLE}] must have a table for each profile, such as [{TABLE}.{DEFAULT}]")
        return
    for name, table in tables.items():
        place = f"{safe(path)}: [{TABLE}.{_short(name)}]"
        if not isinstance(table, dict):
            problems.append(f"{place} must be a table, got {_kind(table)}")
        elif name == NONE or not name:
            problems.append(f"{place} cannot have this name, because --profile {NONE} takes no profile")
        else:
            values = MappingProxyType(_values(table, path.parent, place, problems))
            bare = frozenset(key for key in values if not isinstance(table[key], str | dict))
            yield Profile(name=name, file=path, values=values, bare=bare)


def _loaded(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST:,} bytes")
    return tomllib.loads(content.decode())


def _values(table: Mapping[str, Any], folder: Path, place: str, problems: list[str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for key, value in table.items():
        try:
            if key not in KEYS:
                raise ValueError(_unknown(key))  # noqa: TRY301  as the readers do
            values[key] = KEYS[key](value, folder)
        except ValueError as error:
            problems.append(f"{place} {_short(key)}: {safe(error)}")
    return values


def _unknown(key: str) -> str:
    from pollwise.model.secrets import is_secret_name  # noqa: PLC0415  only an error needs it

    if key in _NOT_TAKEN:
        return f"it is not taken from a profile: {_NOT_TAKEN[key]}"
    if is_secret_name(key):
        return "a profile has no secrets; set the environment variable that the endpoint reads"
    near, there = difflib.get_close_matches(key.replace("_", "-"), KEYS, 1), ", ".join(KEYS)
    return f"no option has this name; {f'did you mean {near[0]}?' if near else f'there are {there}'}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# --- values -------------------------------------------------------------------------------------


def _kind(value: object) -> str:
    return _DESCRIBED.get(type(value), f"a {type(value).__name__}")


def _short(name: str) -> str:
    return safe(name, 60)


def _text(value: Any, _folder: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, got {'an empty one' if value == '' else _kind(value)}")
    return value


def _flag(value: Any, _folder: Path) -> str:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {_kind(value)}")  # noqa: TRY004  as all values of a file
    return "true" if value else "false"


def _path(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    try:
        return str(folder / Path(text).expanduser())
    except RuntimeError:
        raise ValueError("the home of ~ is not known; write the whole path") from None


def _ledger(value: Any, folder: Path) -> str:
    from pollwise.cli.ledger_place import DatabaseUrl, to_place  # noqa: PLC0415  few profiles have one

    try:
        place = to_place(_text(value, folder))
    except UsageError as error:
        raise ValueError(str(error)) from None
    if not isinstance(place, DatabaseUrl):
        return _path(value, folder)
    if ":" in value.partition("://")[2].rpartition("@")[0] or "password" in value:
        raise ValueError("a profile has no secrets; leave the password out of the URL and set PGPASSWORD")
    return str(value)


def _duration(value: Any, _folder: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {DURATION_FORMS}, got {_kind(value)}")  # noqa: TRY004  as all values of a file
    text = value if isinstance(value, str) else repr(value)
    parse_duration(text)
    return text


def _timeout(value: Any, folder: Path) -> str:
    return NONE if isinstance(value, str) and value.lower() == NONE else _duration(value, folder)


def _whole(least: int, most: int) -> Callable[[Any, Path], str]:
    def read(value: Any, _folder: Path) -> str:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            limit = f"of at least {least}" if most == _LARGEST_COUNT else f"from {least} to {most}"
            raise ValueError(f"expected a whole number {limit}, got {_shown(value)}")
        return str(value)

    return read


def _rate(value: Any, folder: Path) -> str:
    from pollwise.cli.batch_options import to_rate  # noqa: PLC0415  it imports this file's users

    to_rate(text := _text(value, folder))
    return text


def _proxy(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    if "@" in text:
        raise ValueError("a profile has no secrets; put the URL with a user name and a password into HTTPS_PROXY")
    return text


def _one_of(*texts: str) -> Callable[[Any, Path], str]:
    def read(value: Any, _folder: Path) -> str:
        if value not in texts:
            raise ValueError(f"expected {' or '.join(texts)}, got {_shown(value)}")
        return str(value)

    return read


def _url(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    scheme, separator, rest = text.partition("://")
    if scheme not in {"http", "https"} or not separator or not rest:
        raise ValueError("expected an http or https URL, such as https://api.example.com")
    if "@" in rest.partition("/")[0]:
        raise ValueError("a profile has no secrets; set the environment variable that the endpoint reads")
    return text


def _by_endpoint(read: Callable[[Any, Path], str], example: str) -> Callable[[Any, Path], Mapping[str, str]]:
    def read_all(value: Any, folder: Path) -> Mapping[str, str]:
        if not isinstance(value, dict) or not all(name and "=" not in name and "/" not in name for name in value):
            raise ValueError(f"write a table by the names of endpoints, such as {{ exports = {example!r} }}")
        return {name: read(one, folder) for name, one in value.items()}

    return read_all


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, int | float | str) else _kind(value)


_LARGEST_COUNT: Final = 10**18 - 1  # as that of an option
KEYS: Final[Mapping[str, Callable[[Any, Path], Value]]] = {
    "account": _text,
    "account-of": _by_endpoint(_text, "acme"),
    "allow-plain-http": _flag,
    "base-url": _by_endpoint(_url, "https://api.example.com"),
    "ca-bundle": _path,
    "cert": _path,
    "cert-key": _path,
    "concurrency": _whole(1, _LARGEST_COUNT),
    "endpoint": _text,
    "endpoints": _path,
    "fail-fast": _flag,
    "format": _one_of("csv", "jsonl"),
    "interval": _duration,
    "json": _flag,
    "ledger": _ledger,
    "max-bytes": _whole(1, _LARGEST_COUNT),
    "max-interval": _duration,
    "metrics-host": _text,
    "metrics-port": _whole(0, 65535),
    "output": _one_of("json", "table"),
    "proxy": _proxy,
    "quiet": _flag,
    "rate": _rate,
    "report": _path,
    "timeout": _timeout,
    "verbose": _flag,
}
"""The keys of a profile: the options that it may have, each with what reads its value."""
