"""What the name of an endpoint means, for every command.

Rule 1: the calls of the two vendors come first. Then `--endpoints` names the only file. Without it, these are read in this order:
`pollwise.toml` in the current folder, `endpoints.toml` in the user's configuration folder, installed packages, the catalog.
Rule 2: what the user did not name is named on stderr, because it decides where credentials go; unless --quiet is given.
Rule 3: nothing is read before a name needs it, and nothing twice.
Rule 4: a name can be checked without the credentials of its endpoint.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from yarl import URL

from pollwise.cli import vendors
from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import UsageError
from pollwise.cli.job_forms import VENDORS, JobForm, UnknownEndpoint
from pollwise.cli.safe_text import safe
from pollwise.cli.usual_files import present_files, usual_files
from pollwise.core.identity import checked_account
from pollwise.endpoints.declared import Declaration, DeclarationErrors, DeclaredEndpoint, load_declarations
from pollwise.endpoints.declared.plan import KEY_TYPES
from pollwise.errors import ConfigurationError
from pollwise.http.auth import BearerAuth
from pollwise.model.protocols import NO_CODEC

if TYPE_CHECKING:
    from pollwise.endpoints.installed import InstalledEndpoint

__all__ = ["EndpointNames", "NamedEndpoint", "form_of", "further_form"]

_UNSENT: Final = BearerAuth("unsent")  # an endpoint that only checks keys needs no credentials
_MOST_NEAR: Final = 2
_MOST_UNKNOWN: Final = 100  # names for which near ones are looked up


@attrs.frozen(kw_only=True)
class NamedEndpoint:
    """An endpoint that a name means.

    Attributes:
        form: The keys of its jobs.
        make: Makes the endpoint with its credentials. Raises UsageError or ConfigurationError.
        source: Where it is from, as the end of a sentence. None if the user named that.
        base: The base URL that a file of the usual places declares. None if there is none, or it is from elsewhere.
    """

    form: JobForm
    make: Callable[[], AnyEndpoint]
    source: str | None = None
    base: str | None = None


class EndpointNames:
    """Finds endpoints by their names.

    Args:
        file: The file that the user named, or None for the usual places.
        base_urls: Base URLs by endpoint, which replace declared ones.
        accounts: Accounts by endpoint.
        account: The account of all other endpoints.
        url_option: The option for the base URL of the two first calls of the vendors; `{}` stands for the endpoint's name.
        further_url_option: The option for all other base URLs; the same.
        quiet: Do not say where an endpoint is from.
        credentials: Make endpoints with their credentials. Without them, nothing can be sent, and no variable needs to be set.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        base_urls: Mapping[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,
        account: str = "",
        url_option: str = "--base-url",
        further_url_option: str = "--base-url",
        quiet: bool = False,
        credentials: bool = True,
    ) -> None:
        self._file = file
        self._credentials = credentials
        self._url_option = url_option
        self._further_url_option = further_url_option
        self._quiet = quiet
        self._base_urls = base_urls or {}
        self._accounts = accounts or {}
        self._account = account
        self._found: dict[str, NamedEndpoint] = {}
        self._unknown: dict[str, tuple[str, str]] = {}  # the texts of the error
        self._declared: dict[Path, Mapping[str, Declaration]] = {}

    def account_of(self, name: str) -> str:
        """The account of this endpoint."""
        return self._accounts.get(name, self._account)

    def form(self, name: str) -> JobForm:
        """The keys of the jobs of this endpoint. As `find`."""
        return self.find(name).form

    def find(self, name: str) -> NamedEndpoint:
        """The endpoint with this name.

        Raises:
            UnknownEndpoint: There is none.
            ConfigurationError: A file or a package is wrong.
        """
        found = self._found.get(name)
        if found is None and name not in self._unknown:
            found = self._look_up(name)
            if found is not None:
                self._found[name] = found
        if found is None:
            raise self._error(name)
        return found

    def endpoint(self, name: str) -> AnyEndpoint:
        """Make the endpoint, and say on stderr where it is from.

        Raises:
            UnknownEndpoint: There is none.
            UsageError: An option or an environment variable is missing or wrong.
            ConfigurationError: The same.
        """
        found = self.find(name)
        if found.source is not None:
            in_place_of = self._in_place_of(name, found)
            if in_place_of or not self._quiet:
                print(f"pollwise: {safe(name)} is {found.source}{in_place_of}", file=sys.stderr)
        try:
            checked_account(self.account_of(name))
        except ConfigurationError as error:
            option = f"--account-of {safe(name, 60)}: " if name in self._accounts else "--"
            raise UsageError(f"{option}{error}") from None
        try:
            return found.make()
        except DeclarationErrors as errors:
            if name in self._base_urls and all(problem.word == "base" for problem in errors.problems):
                raise ConfigurationError(f"base_url {errors.problems[0].why}") from None
            raise

    def _in_place_of(self, name: str, found: NamedEndpoint) -> str:
        """Which other endpoint a file has replaced, and where requests with its credentials go then. Else an empty text."""
        from pollwise.endpoints.catalog import catalog  # noqa: PLC0415  rule 3

        if found.base is None:
            return ""
        entry = self._installed.get(name)
        if entry is None and name not in catalog():
            return ""
        other = "that of the catalog" if entry is None else f"that of the package {safe(entry.package)}"
        url = self._base_urls.get(name) or found.base
        return f", in place of {other}; its requests go to {safe(_origin(url), 200)}"

    def _look_up(self, name: str) -> NamedEndpoint | None:
        if name in VENDORS:
            return NamedEndpoint(form=VENDORS[name], make=partial(self._vendor, name))
        if name in vendors.FURTHER:
            return NamedEndpoint(form=further_form(name), make=partial(self._vendor, name))
        for path in self._files:
            found = self._declarations(path).get(name)
            if found is not None:
                if path is self._file:
                    return self._of_declaration(found, partial(DeclaredEndpoint, found), None)
                usual = self._of_declaration(found, partial(DeclaredEndpoint, found), f"declared in {safe(path)}")
                return attrs.evolve(usual, base=found.base or "the URL of each job")
        return None if self._file is not None else self._of_package(name) or self._of_catalog(name)

    # --- the places ---------------------------------------------------------------------------

    @cached_property
    def _files(self) -> list[Path]:
        if self._file is not None:
            return [self._file]
        return present_files()

    def _declarations(self, path: Path) -> Mapping[str, Declaration]:
        if path not in self._declared:
            self._declared[path] = load_declarations(path)
        return self._declared[path]

    def _vendor(self, name: str) -> AnyEndpoint:
        option = self._url_option.format(name) if name in VENDORS else self._further_url_option.format(name)
        url = vendors.base_url_of(name, self._base_urls.get(name), option)
        if not self._credentials:
            return vendors.class_of(name)(url, auth=_UNSENT, account=self.account_of(name))
        return vendors.MAKERS[name](url, self.account_of(name))

    def _of_declaration(
        self, declaration: Declaration, make: Callable[..., AnyEndpoint], source: str | None
    ) -> NamedEndpoint:
        name = declaration.name
        auth: dict[str, Any] = {"auth": _UNSENT if declaration.auth else None}
        unsent: DeclaredEndpoint[Any] = DeclaredEndpoint(declaration, **auth)
        if self._credentials:
            auth = {}
        return NamedEndpoint(
            form=form_of(unsent),
            make=lambda: make(base_url=self._base_urls.get(name), account=self.account_of(name), **auth),
            source=source,
        )

    def _of_package(self, name: str) -> NamedEndpoint | None:
        from pollwise.endpoints.installed import from_installed  # noqa: PLC0415  rule 3

        entry = self._installed.get(name)
        if entry is None:
            return None
        source = f"of the package {safe(entry.package)}"
        found = entry.load()
        if isinstance(found, Declaration):
            return self._of_declaration(found, partial(from_installed, name), source)
        endpoint = entry.made(found, self._base_urls.get(name), self.account_of(name))
        if endpoint.codec is NO_CODEC:
            raise ConfigurationError(
                f"the endpoint {name} of the package {entry.package} has no codec, so its jobs cannot be named by"
                " KEY=VALUE. Give its class one, such as codec = AttrsCodec(MyJob, MyStatus)"
            )
        return NamedEndpoint(form=form_of(endpoint), make=lambda: endpoint, source=source)

    def _of_catalog(self, name: str) -> NamedEndpoint | None:
        from pollwise.endpoints.catalog import catalog, from_catalog  # noqa: PLC0415  rule 3

        entry = catalog().get(name)
        if entry is None:
            return None

        def make(**options: Any) -> AnyEndpoint:
            if entry.own_server and options["base_url"] is None:
                raise UsageError(
                    f"{self._further_url_option.format(name)} is missing: give the root of your own server, such as"
                    f" {entry.declaration.base}, because {name} has no common one"
                )
            return from_catalog(name, **options)

        return self._of_declaration(entry.declaration, make, f"from the catalog, {entry.page}")

    @cached_property
    def _installed(self) -> Mapping[str, InstalledEndpoint]:
        from pollwise.endpoints.installed import installed  # noqa: PLC0415  rule 3

        return installed()

    # --- an unknown name ----------------------------------------------------------------------

    def _error(self, name: str) -> UnknownEndpoint:
        known = self._unknown.get(name)
        if known is not None:
            return UnknownEndpoint(*known)
        near = [] if len(self._unknown) >= _MOST_UNKNOWN else self._near(name)
        hint = f"did you mean {' or '.join(near)}?" if near else "`pollwise endpoint list` shows names"
        places = " or ".join(safe(path) for path in self._files or usual_files())
        there = [found for path in self._files for found in self._declarations(path)]
        text = (
            f"no endpoint {safe(name)} in {places}{f'; there are {_listed(there)}' if there else ''}."
            f"{f' D{hint[1:]}' if near else ''} Declare it there, or name another file with --endpoints."
            " `pollwise endpoint list` shows the catalog"
        )
        if len(self._unknown) < _MOST_UNKNOWN:
            self._unknown[name] = text, hint
        return UnknownEndpoint(text, hint)

    def _near(self, name: str) -> list[str]:
        """The names that are most like this one."""
        names = [*vendors.MAKERS, *(known for path in self._files for known in self._declarations(path))]
        if self._file is None:
            from pollwise.endpoints.catalog import catalog  # noqa: PLC0415  rule 3

            names += [*self._installed, *catalog()]
        return difflib.get_close_matches(name, names, _MOST_NEAR)


def _origin(url: str) -> str:
    """The origin of this base URL, without credentials. The text itself if it is no URL, which `make` finds out."""
    try:
        return str(URL(url).origin())
    except ValueError:
        return url if "@" not in url else "no URL"


def form_of(endpoint: AnyEndpoint) -> JobForm:
    """The keys of an endpoint's jobs, as its declaration or its codec has them."""
    if isinstance(endpoint, DeclaredEndpoint):
        types: Mapping[str, type] | None = {key: KEY_TYPES[kind] for key, kind in endpoint.declaration.job.items()}
    else:
        types = getattr(endpoint.codec, "key_types", None)
    return JobForm(name=endpoint.name, key_types=types, job_from_keys=partial(_job, endpoint))


def further_form(name: str) -> JobForm:
    """The keys of the jobs of one of the vendors' other calls."""
    return form_of(vendors.further_class(name)("https://unsent.invalid", auth=_UNSENT))


def _job(endpoint: AnyEndpoint, keys: Mapping[str, str]) -> Any:
    """The job with these keys. Raises ValueError, whatever the codec of a package raises."""
    try:
        return endpoint.codec.job_from_keys(keys)
    except ValueError:
        raise
    except Exception as error:
        kind = type(error).__name__
        raise ConfigurationError(f"the codec of {endpoint.name} raised {kind} for these keys; correct it") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(safe(name, 60) for name in names)
