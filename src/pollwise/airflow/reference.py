"""How a DAG names an endpoint, so that another process can make it.

Rule 1: a reference is JSON, because Airflow keeps it in its database. So it has no credential: a name that means one is refused.
Rule 2: a name with a colon is an import path, as in an entry point. Any other name is a declared endpoint: one of the file
`endpoints_file`, or else of an installed package, or else of the catalog.
Rule 3: whatever making an endpoint raises becomes a ConfigurationError that names the reference. Of an error of other code it
has the class alone, because its message may have a secret, and Airflow keeps the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import Any, Final

import attrs

from pollwise.endpoints.catalog import catalog, from_catalog
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.endpoints.installed import from_installed, installed
from pollwise.errors import ConfigurationError, PollwiseError
from pollwise.model.abilities import with_defaults
from pollwise.model.protocols import NO_CODEC, Auth, Endpoint
from pollwise.model.secrets import is_secret_name

__all__ = ["Credentials", "EndpointReference"]

_FURTHER_SECRETS: Final = frozenset({"auth", "credentials"})
_NAMED: Final = frozenset({"account", "base_url"})  # what a declared endpoint can be made with
_LONGEST: Final = 300  # characters of another package's message


@attrs.frozen(kw_only=True)
class Credentials:
    """What an Airflow connection says of an API.

    Attributes:
        auth: The credentials, or None for those that the endpoint finds itself.
        base_url: Where the API is, or None.
        account: A name for the credentials, or an empty text.
    """

    auth: Auth | None = attrs.field(default=None, repr=False)
    base_url: str | None = None
    account: str = ""

    def arguments(self) -> dict[str, Any]:
        """Those that are known, as keyword arguments of an endpoint."""
        known = {"auth": self.auth, "base_url": self.base_url, "account": self.account}
        return {name: value for name, value in known.items() if value}


@attrs.frozen(kw_only=True, slots=False)  # `cached_property` needs a `__dict__`
class EndpointReference:
    """The name of an endpoint, with what it is made of.

    Args:
        endpoint: `"package.module:name"` of a class, function or endpoint, or the name of a declared endpoint.
        endpoints_file: The TOML file that declares it, on the worker and where the triggerer runs. None for an installed
            package or the catalog.
        arguments: Keyword arguments of the class or function; of a declared endpoint `base_url` and `account`.
        conn_id: The Airflow connection with the credentials. None if the endpoint finds them itself, such as in the
            environment variables of its declaration.

    Raises:
        ConfigurationError: One of them has another form, or an argument is named like a credential.
    """

    endpoint: str
    endpoints_file: str | None = None
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    conn_id: str | None = None

    def __attrs_post_init__(self) -> None:
        given: Any = self  # a template may make anything of an argument
        if not isinstance(given.endpoint, str) or not given.endpoint.strip():
            raise ConfigurationError(
                "endpoint must be 'package.module:name', or the name of a declared endpoint, such as 'openai-batch'"
            )
        for name in ("endpoints_file", "conn_id"):
            value: Any = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise ConfigurationError(f"{name} must be a text or None")
        if not isinstance(given.arguments, Mapping) or not all(isinstance(name, str) for name in given.arguments):
            raise ConfigurationError("endpoint_kwargs must be a mapping of names to values")
        secret = next(_secret_names(self.arguments), None)
        if secret is not None:
            raise ConfigurationError(
                f"endpoint_kwargs has {secret!r}, which names a credential, and Airflow would keep it in its database."
                " Put it into an Airflow connection and pass conn_id, or into an environment variable that your function"
                " reads"
            )
        try:
            json.dumps(dict(self.arguments))
        except (TypeError, ValueError) as exc:
            raise ConfigurationError(f"endpoint_kwargs must be JSON, because a trigger keeps it: {exc}") from None

    @classmethod
    def from_json(cls, fields: Any) -> EndpointReference:
        """The reference of `to_json`. Raises ConfigurationError."""
        known = {field.name for field in attrs.fields(cls)}
        if not isinstance(fields, Mapping) or not fields.keys() <= known or "endpoint" not in fields:
            raise ConfigurationError(
                "the endpoint of a trigger has fields that this pollwise does not know; install one version of pollwise on"
                " the workers and where the triggerer runs"
            )
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """The reference as what a trigger keeps."""
        return {
            "endpoint": self.endpoint,
            "endpoints_file": self.endpoints_file,
            "arguments": dict(self.arguments),
            "conn_id": self.conn_id,
        }

    @cached_property
    def identity(self) -> str:
        """A text that equal references share."""
        return json.dumps(self.to_json(), sort_keys=True)

    def make(self, credentials: Credentials | None = None) -> Endpoint[Any, Any]:
        """Make the endpoint. It may import modules and read files.

        Raises:
            ConfigurationError: There is no such endpoint, or it cannot be made, or it has no codec.
        """
        given = {**self.arguments, **(credentials or Credentials()).arguments()}
        try:
            made = self._imported(given) if ":" in self.endpoint else self._declared(given)
            endpoint: Endpoint[Any, Any] = with_defaults(made)
        except PollwiseError as exc:
            raise self._wrong(str(exc)) from exc
        except (Exception, SystemExit) as exc:
            why = f": {_said(exc)}" if isinstance(exc, TypeError) else ""  # which argument is missing or unknown
            raise self._wrong(
                f"making it raised {type(exc).__name__}{why}. Call it where this runs to see why"
            ) from exc
        if endpoint.codec is NO_CODEC:
            raise self._wrong(
                "it has no codec, which resume tokens need; give its class one, such as codec = AttrsCodec(MyJob, MyStatus)"
            )
        return endpoint

    def _imported(self, given: Mapping[str, Any]) -> Any:
        module_name, _, path = self.endpoint.partition(":")
        try:
            found: Any = import_module(module_name)
            for name in path.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError, ValueError) as exc:
            raise ConfigurationError(
                f"it cannot be imported ({_said(exc)}); install it on the workers and where the triggerer runs"
            ) from exc
        if isinstance(found, type) or not (hasattr(found, "request") and hasattr(found, "read")):
            if not callable(found):
                raise ConfigurationError(f"it is a {type(found).__name__}, not an endpoint, a class or a function")
            return found(**given)
        if given:
            raise ConfigurationError(
                f"it is an endpoint that is made already, so it takes no {' and no '.join(given)}; name a function"
            )
        return found

    def _declared(self, given: Mapping[str, Any]) -> Endpoint[Any, Any]:
        unknown = [name for name in self.arguments if name not in _NAMED]
        if unknown:
            raise ConfigurationError(f"a declared endpoint takes base_url and account, not {', '.join(unknown)}")
        name = self.endpoint
        if self.endpoints_file is not None:
            try:
                return DeclaredEndpoint.load(self.endpoints_file, name, **given)
            except OSError as exc:
                raise ConfigurationError(f"{self.endpoints_file} cannot be read: {exc.strerror or exc}") from exc
        if name in installed():
            return from_installed(name, **given)
        if name in catalog():
            return from_catalog(name, **given)
        raise ConfigurationError(
            "no installed package and no entry of the catalog has this name; `pollwise endpoint list` shows them."
            " Name the file with endpoints_file, or write 'package.module:name' for code of your own"
        )

    def _wrong(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"the endpoint {self.endpoint!r} cannot be made: {why}")


def _secret_names(value: Any) -> Iterator[str]:
    """The names in this JSON that mean credentials."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(name, str) and (name.lower() in _FURTHER_SECRETS or is_secret_name(name)):
                yield name
            yield from _secret_names(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _secret_names(inner)


def _said(exc: BaseException) -> str:
    """The class and the message of another package's exception."""
    text = " ".join(str(exc).split())
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"{type(exc).__name__}: {shown}" if text else type(exc).__name__
