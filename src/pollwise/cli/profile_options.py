"""Gives a command the options of a profile.

Rule 1: an option of the command line wins over the environment, the environment over the profile, the profile over the default.
A pair comes from one place: `--cert` and `--cert-key` belong together, and `--quiet` and `--verbose` contradict each other.
Rule 2: an option that the command does not have is left out.
Rule 3: what decides where requests go, or which database gets the outcomes, is named on stderr. It is not taken from the
`default` of the current folder unless the profile is named, because a folder can come from anywhere, and its file would send
credentials elsewhere.
"""

# ruff: noqa: PLC0415  a command without a profile imports none of this

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pollwise.cli.exit_status import UsageError
from pollwise.cli.ledger_place import POSTGRES_SCHEMES
from pollwise.cli.safe_text import safe
from pollwise.cli.terminal import print_note

if TYPE_CHECKING:
    from cyclopts import App

    from pollwise.cli.profiles import Profile

__all__ = ["apply_profile"]

_ROUTES: Final = frozenset(
    {"allow-plain-http", "base-url", "ca-bundle", "endpoints", "metrics-host", "proxy", "report"}
)
"""What decides where requests and files go."""
_PAIRS: Final = (
    frozenset({"cert", "cert-key"}),
    frozenset({"interval", "max-interval"}),
    frozenset({"json", "output"}),
    frozenset({"quiet", "verbose"}),
)
_TABLES: Final = {"base-url": "base-url", "account-of": "account"}
"""The keys with a table, and the option of a command for one job that takes the value."""
_MANY_ENDPOINTS: Final = frozenset({("batch",), ("fleet", "submit"), ("fleet", "worker")})
"""The commands whose options have a value for each endpoint."""


def apply_profile(_app: App, commands: tuple[str, ...], arguments: Any) -> None:
    """Add the values of the profile to the arguments. cyclopts calls this after the command line and the environment.

    Raises:
        UsageError: There is no such profile, or it would decide where requests go and was not named.
        ProfileErrors: Profiles are wrong.
    """
    options = {name: argument for argument in arguments for name in argument.names}
    chosen = options.get("--profile")
    if chosen is None:
        return
    from pollwise.cli.profiles import find_profile

    name = chosen.tokens[0].value if chosen.tokens else None
    profile = find_profile(name or None)
    if profile is not None:
        _Application(profile, commands, options).apply(is_named=bool(name))


class _Application:
    def __init__(self, profile: Profile, commands: tuple[str, ...], options: Mapping[str, Any]) -> None:
        self._profile = profile
        self._commands = commands
        self._options = options
        self._given = {name.removeprefix("--") for name, argument in options.items() if argument.tokens}

    def apply(self, *, is_named: bool) -> None:
        wanted = list(self._wanted())
        routes = [key for key, _, text in wanted if _is_route(key, text)]
        if routes and not is_named:
            self._check_place(routes)
        for key, option, text in wanted:
            self._add(key, option, text)
        verbose = self._options.get("--verbose")
        shown = (
            wanted if verbose is not None and verbose.tokens else [one for one in wanted if _is_route(one[0], one[2])]
        )
        if shown:
            texts = ", ".join(f"{option.removeprefix('--')} {safe(text, 200)}" for _, option, text in shown)
            print_note(f"pollwise: of the profile {self._place()}: {texts}")

    def _wanted(self) -> Iterator[tuple[str, str, str]]:
        """Key, option and text of each value that is taken. The value of one endpoint wins over that of all."""
        taken: set[str] = set()
        for key, value in self._profile.values.items():
            if not isinstance(value, str):
                for option, text in self._of_table(key, value):
                    taken.add(option)
                    yield key, option, text
        for key, value in self._profile.values.items():
            option = f"--{key}"
            is_free = option in self._options and option not in taken and not self._given & self._pair_of(key)
            if isinstance(value, str) and is_free:
                yield key, option, value

    def _pair_of(self, key: str) -> frozenset[str]:
        """The options that come from one place with this one, itself included."""
        pair = next((pair for pair in _PAIRS if key in pair), frozenset({key}))
        # --out has the results of a batch. Of a command for one job it has the result, which --output shows on stdout.
        return pair | {"out"} if key == "output" and self._commands != ("batch",) else pair

    def _of_table(self, key: str, table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Option and text of each entry that is for this command."""
        endpoint, option = self._endpoint(), f"--{_TABLES[key]}"
        for name, text in table.items():
            if (key == "base-url" and _is_in_environment(name)) or (key == "account-of" and "account" in self._given):
                continue
            if self._commands in _MANY_ENDPOINTS:
                if name not in self._named(key):
                    yield f"--{key}", f"{name}={text}"
            elif name == endpoint and option in self._options and not self._options[option].tokens:
                yield option, text

    def _endpoint(self) -> str | None:
        """The name of the endpoint of a command for one job."""
        if self._commands[:1] == ("watch",) and len(self._commands) > 1:
            return self._commands[1]
        argument = self._options.get("NAME")
        return argument.tokens[0].value if argument is not None and argument.tokens else None

    def _named(self, key: str) -> set[str]:
        """The endpoints for which an option of a batch has a value."""
        named = {token.value.partition("=")[0] for token in self._options[f"--{key}"].tokens}
        vendors = {"document360", "oracle-content"} if key == "base-url" else set()
        return named | {name for name in vendors if self._options[f"--{name}-url"].tokens}

    def _add(self, key: str, option: str, text: str) -> None:
        from cyclopts import Token

        argument = self._options[option]
        token = Token(keyword=f"[{key}]", value=text, source=str(self._profile.file), index=len(argument.tokens))
        argument.append(token)

    def _check_place(self, routes: list[str]) -> None:
        if self._profile.file.is_absolute():  # the user's own configuration folder
            return
        names = ", ".join(dict.fromkeys(routes))
        raise UsageError(
            f"the profile {self._place()} has {names}, which decides where requests or files go. So it is not taken from"
            " the current folder unless you name it: add --profile default, or set POLLWISE_PROFILE=default."
            " --profile none takes no profile"
        )

    def _place(self) -> str:
        return f"{safe(self._profile.name, 60)} of {safe(self._profile.file)}"


def _is_route(key: str, text: str) -> bool:
    """Whether it decides where requests and files go. A database gets the password of PGPASSWORD."""
    return key in _ROUTES or (key == "ledger" and text.startswith(POSTGRES_SCHEMES))


def _is_in_environment(endpoint: str) -> bool:
    """Whether the base URL of this vendor's endpoint is in the environment, which wins."""
    if not endpoint.startswith(("document360", "oracle-content")):
        return False
    from pollwise.cli.vendors import BASE_URLS

    return bool(os.environ.get(BASE_URLS.get(endpoint, "")))
