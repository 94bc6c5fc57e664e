"""Endpoints that installed packages bring, by the entry point group `pollwise.endpoints`.

    [project.entry-points."pollwise.endpoints"]
    acme-export = "acme_jobs:ENDPOINTS"

Rule 1: an entry point is one endpoint, and both have the same name. So `installed` imports no package.
Rule 2: a package is imported when its endpoint is asked for. What is wrong with a package concerns its own endpoints only.
Rule 3: if two packages bring the same name, neither is used, because the endpoint decides where credentials go.

Source: the entry points specification of the Python Packaging User Guide, and `importlib.metadata`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from pollwise.endpoints.declared.endpoint import DeclaredEndpoint
from pollwise.endpoints.declared.loading import declarations_of, load_declarations
from pollwise.endpoints.declared.vocabulary import Declaration
from pollwise.errors import ConfigurationError, PollwiseError
from pollwise.model.abilities import with_defaults
from pollwise.model.protocols import Auth, Endpoint

__all__ = ["GROUP", "InstalledEndpoint", "from_installed", "installed"]

GROUP: Final = "pollwise.endpoints"
"""The group of entry points."""

_FORMS: Final = (
    "a Declaration, a mapping or a file name with one under that name, or a function that takes base_url and account"
)
_LONGEST: Final = 200  # characters of another package's message
_Maker: TypeAlias = Callable[..., Any]


@attrs.frozen(kw_only=True)
class InstalledEndpoint:
    """An endpoint of an installed package. Nothing of the package is imported yet.

    Attributes:
        name: The name of the entry point, which is the endpoint's.
        package: The package and its version, such as `acme-jobs 1.2`.
        target: What the entry point refers to, such as `acme_jobs:ENDPOINTS`.
        others: Further packages that bring the same name. None of them is used then.
    """

    name: str
    package: str
    target: str
    others: tuple[str, ...] = ()
    _point: metadata.EntryPoint = attrs.field(repr=False, eq=False, alias="point")

    def load(self) -> Declaration | _Maker:
        """Import the package. Returns the declaration, or the function that makes the endpoint.

        Raises:
            ConfigurationError: The package cannot be imported, or brings something else, or two packages bring this name.
        """
        if self.others:
            raise ConfigurationError(
                f"the packages {', '.join((self.package, *self.others))} bring an endpoint {self.name} each; uninstall"
                " all but one of them"
            )
        try:
            found = self._point.load()
            return self._checked(self._declared(found))
        except PollwiseError as exc:
            raise self._wrong(str(exc)) from exc
        except (Exception, SystemExit) as exc:
            raise self._wrong(f"it cannot be loaded from {self.target} ({_said(exc)})") from exc

    def _declared(self, found: object) -> object:
        """The object of the entry point. From a mapping or a file, what has this endpoint's name."""
        if isinstance(found, str):
            found = self._folder() / found
        if isinstance(found, Traversable):
            found = load_declarations(found)
        if not isinstance(found, Mapping):
            return found
        if self.name not in found:
            raise ConfigurationError(
                f"{self.target} has no {self.name}; it has {', '.join(map(str, found)) or 'nothing'}"
            )
        one = found[self.name]
        return declarations_of({self.name: one}, file=self.target)[self.name] if isinstance(one, Mapping) else one

    def _folder(self) -> Traversable:
        """Where the file of a file name is."""
        spec = sys.modules[self._point.module].__spec__  # `load` has imported it
        if spec is None or not spec.parent:
            raise ConfigurationError(
                f"{self.target} is a file name, so its module must be in a package, and it is in none"
            )
        return resources.files(spec.parent)

    def _checked(self, found: object) -> Declaration | _Maker:
        if isinstance(found, Declaration):
            if found.name != self.name:
                raise ConfigurationError(
                    f"its declaration is called {found.name!r}; give the entry point and the declaration one name"
                )
            return found
        if isinstance(found, Endpoint) or not callable(found):
            raise ConfigurationError(f"{self.target} must be {_FORMS}; it is a {type(found).__name__}")
        return found

    def _wrong(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the endpoint {self.name} of the package {self.package} cannot be used: {why}."
            " Correct, update or uninstall the package"
        )

    def made(self, maker: _Maker, base_url: str | None, account: str) -> Endpoint[Any, Any]:
        """The endpoint that the package's function makes. Raises ConfigurationError."""
        try:
            endpoint: Endpoint[Any, Any] = with_defaults(maker(base_url=base_url, account=account))
        except PollwiseError:
            raise
        except Exception as exc:
            raise self._wrong(f"{self.target} raised {_said(exc)}") from exc
        if endpoint.name != self.name:
            raise self._wrong(f"it calls itself {endpoint.name!r}, which is not the name of its entry point")
        return endpoint


def installed() -> Mapping[str, InstalledEndpoint]:
    """The endpoints of all installed packages by name, in the order of their names. Imports none of the packages."""
    by_name: dict[str, list[metadata.EntryPoint]] = {}
    for point in _points():
        by_name.setdefault(point.name, []).append(point)
    return MappingProxyType({name: _installed(*by_name[name]) for name in sorted(by_name)})


def from_installed(
    name: str, *, auth: Auth | None = None, account: str = "", base_url: str | None = None
) -> Endpoint[Any, Any]:
    """The endpoint with this name that an installed package brings.

        endpoint = from_installed("acme-export")

    Args:
        name: The name of the endpoint and of its entry point.
        auth: The credentials of a declared endpoint. None for those that its declaration names.
        account: A name for these credentials, if one ledger has the jobs of several accounts.
        base_url: Replaces the base URL.

    Raises:
        ConfigurationError: No package brings this endpoint, the package is wrong, an environment variable is not set, or
            another argument is invalid.
    """
    there = installed()
    if name not in there:
        raise ConfigurationError(
            f"no installed package brings an endpoint {name!r}; there are {', '.join(there) or 'none'}"
        )
    entry = there[name]
    found = entry.load()
    if isinstance(found, Declaration):
        return DeclaredEndpoint(found, auth=auth, account=account, base_url=base_url)
    if auth is not None:
        raise ConfigurationError(f"the package {entry.package} sets the credentials of {name} itself; leave auth out")
    return entry.made(found, base_url, account)


def _points() -> Iterable[metadata.EntryPoint]:
    try:
        return list(metadata.entry_points(group=GROUP))
    except Exception:  # noqa: BLE001  # the metadata of one package are damaged, and would hide all others
        return _readable_points()


def _readable_points() -> Iterator[metadata.EntryPoint]:
    """The entry points of each package whose metadata can be read, each once."""
    seen: set[tuple[str, str]] = set()
    for package in metadata.distributions():
        with suppress(Exception):
            for point in package.entry_points.select(group=GROUP):
                if (point.name, point.value) not in seen:
                    seen.add((point.name, point.value))
                    yield point


def _installed(point: metadata.EntryPoint, *others: metadata.EntryPoint) -> InstalledEndpoint:
    package, *more = (_package(one) for one in (point, *others))
    return InstalledEndpoint(name=point.name, package=package, target=point.value, others=tuple(more), point=point)


def _package(point: metadata.EntryPoint) -> str:
    """The package and its version, as far as its metadata can be read."""
    try:
        return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "without a name"
    except Exception:  # noqa: BLE001  # damaged metadata raise what they like
        return "without a name"


def _said(exc: BaseException) -> str:
    """The class of another package's exception. Its message only if it is about an import, because it may hold a secret."""
    kind = type(exc).__name__
    about_import = isinstance(exc, (ImportError, SyntaxError, AttributeError))
    text = "".join(char if char.isprintable() else " " for char in str(exc)[:_LONGEST])
    return f"{kind}: {text}" if about_import and text else kind
