"""AWS credentials, and the signatures that are made with them.

Rule 1: botocore finds credentials, and renews those that expire: environment, files, SSO, roles, containers, instances. It may
send requests for that, so it does so in a thread, never in the event loop.
Rule 2: credentials that expire are asked for every nine minutes. Botocore renews those that end within fifteen.
Rule 3: refused credentials are looked up anew, because a file may have new ones. The same ones are not used again.
Rule 4: a signature is made in the event loop, for each request: Signature Version 4, about 0.1 ms.
Rule 5: botocore logs signatures and tokens at the level DEBUG. It does not for the requests that are signed here.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote
from weakref import WeakValueDictionary

import attrs
from botocore import exceptions as aws_errors
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session
from yarl import URL

from pollwise.errors import AuthenticationError, ConfigurationError, ConnectFailed, PollwiseError
from pollwise.http.auth import Credential, RenewingAuth
from pollwise.model.messages import Request
from pollwise.model.protocols import Transport

__all__ = ["AwsAuth", "CredentialSource", "new_session"]

_S3: Final = frozenset({"s3", "s3-object-lambda", "s3-outposts", "s3express"})  # they take a path as it is
_LAST_S: Final = 600.0
_LAST_BRIEFLY_S: Final = 30.0  # those that end within fifteen minutes, although botocore has tried to renew them
_EARLY_S: Final = 60.0
_UNIT: Final = r"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*"
_PLAIN_QUERY: Final = re.compile(f"(?:{_UNIT}(?:={_UNIT})?(?:&|$))*").fullmatch
_TIMEOUT_S: Final = 60.0  # botocore asks several places, some of them three times
_LOADERS: Final[WeakValueDictionary[Any, Any]] = WeakValueDictionary()  # of models, by the folders to read them from
# What the user has to mend. Their messages name profiles and files, and no secret.
_TO_MEND: Final = (
    aws_errors.ConfigNotFound,
    aws_errors.ConfigParseError,
    aws_errors.InvalidConfigError,
    aws_errors.NoCredentialsError,
    aws_errors.PartialCredentialsError,
    aws_errors.ProfileNotFound,
    aws_errors.SSOError,
    aws_errors.UnknownCredentialError,
)

_PASSING: Final = (
    aws_errors.ConnectionError,
    aws_errors.CredentialRetrievalError,
    aws_errors.HTTPClientError,
    aws_errors.MetadataRetrievalError,
    OSError,
)


_SIGNING: Final[ContextVar[bool]] = ContextVar("pollwise_signing", default=False)


class _WithoutSignatures(logging.Filter):
    """Drops what botocore logs while it signs for us: signatures and tokens. Its other users log as before."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  # whatever it says
        return not _SIGNING.get()


logging.getLogger("botocore.auth").addFilter(_WithoutSignatures())


class CredentialSource(Protocol):
    """What gives credentials: `botocore.credentials.Credentials`, or an object like it."""

    def get_frozen_credentials(self) -> Any:
        """An object with `access_key`, `secret_key` and `token`. May block."""
        ...


def new_session(profile: str | None) -> Session:
    """A session of botocore, for this profile of the user's configuration. Raises ConfigurationError for an unknown one.

    The models of services are read once, and shared while an endpoint uses one: that of EC2 takes 0.1 s and 23 MB.
    """
    session = Session(profile=profile)
    try:
        session.get_scoped_config()
    except aws_errors.ProfileNotFound as exc:
        raise ConfigurationError(
            f"{str(exc).rstrip('.')}; the profiles are {', '.join(session.available_profiles) or 'none'}"
        ) from exc
    path = session.get_config_variable("data_path")
    loader = _LOADERS.get(path)
    if loader is None:
        loader = _LOADERS[path] = session.get_component("data_loader")
    session.register_component("data_loader", loader)
    return session


class AwsAuth(RenewingAuth):
    """Signs requests to AWS with Signature Version 4. It serves any endpoint, such as one behind API Gateway.

        auth = AwsAuth("execute-api", region="eu-central-1")

    `waiter_endpoint` makes its own.

    Args:
        service: The service's name in signatures, such as `execute-api`.
        region: The region, such as `eu-central-1`.
        credentials: A source, such as `botocore.credentials.Credentials("AKIA...", "...")`. None for those that botocore
            finds in the environment, in files, in SSO, or at the machine that this runs on.
        profile: A profile of the AWS configuration, in place of the default one.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    def __init__(
        self, service: str, *, region: str, credentials: CredentialSource | None = None, profile: str | None = None
    ) -> None:
        for name, value in (("service", service), ("region", region)):
            text: object = value
            if not isinstance(text, str) or not text:
                raise ConfigurationError(f"{name} must be a name, such as 'eu-central-1'; got {value!r}")
        if credentials is not None and not callable(getattr(credentials, "get_frozen_credentials", None)):
            raise ConfigurationError(
                "credentials must be an object such as botocore.credentials.Credentials(access_key, secret_key), got"
                f" {type(credentials).__name__}"
            )
        if credentials is not None and profile is not None:
            raise ConfigurationError("give credentials or profile, not both")
        super().__init__(self._fetch_keys, early_s=_EARLY_S, timeout_s=_TIMEOUT_S)
        self.service = service
        self.region = region
        self._given = credentials
        self._profile = profile
        self._source = credentials
        self._keys: Any = None
        self._refused: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***, service={self.service!r}, region={self.region!r})"

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        """Get credentials from botocore, in a thread. Concurrent callers share one look-up.

        Raises:
            AuthenticationError: There are none, or those that were refused are the only ones.
            PollError: They could not be had just now.
        """
        if stale is not None and stale is self._fields:
            self._refused, self._source = self._keys, self._given
        await super().renew(via, now, stale)

    def sign(self, request: Request, /) -> Request:
        """The request with its signature in the header field `Authorization`.

        Raises:
            AuthenticationError: There are no credentials yet, or botocore cannot sign with them.
        """
        if self._keys is None:
            raise AuthenticationError("There are no AWS credentials yet. Call renew first, as a watcher does.")
        url = _with_plain_query(request.url)
        made = AWSRequest(request.method, str(url), dict(request.headers), request.body or b"")
        signing = _SIGNING.set(True)
        try:
            self.add_signature(made, request, self._keys)
        except aws_errors.BotoCoreError as exc:
            raise AuthenticationError(f"botocore could not sign the request: {type(exc).__name__}.") from exc
        finally:
            _SIGNING.reset(signing)
        return attrs.evolve(request, url=url, headers=dict(made.headers.items()))

    def add_signature(self, made: AWSRequest, _request: Request, keys: Any, /) -> None:
        """Put the signature on botocore's form of a request."""
        kind = S3SigV4Auth if self.service in _S3 else SigV4Auth
        kind(keys, self.service, self.region).add_auth(made)

    async def _fetch_keys(self, _via: Transport) -> Credential:
        """Rule 1. A cancelled caller leaves the thread behind, and its result is not used."""
        source, keys, lasts = await asyncio.to_thread(_found, self._source, self._profile)
        if self._refused is not None and _same(keys, self._refused):
            self._source = self._given
            raise AuthenticationError(
                "AWS refused the credentials, and a new look-up finds the same ones. Renew them, for instance with `aws"
                " sso login`."
            )
        self._source, self._keys, self._refused = source, keys, None
        return Credential(None, lasts)


def _found(source: CredentialSource | None, profile: str | None) -> tuple[CredentialSource, Any, float | None]:
    """The source of the credentials, the credentials, and for how many seconds they are not asked for again."""
    try:
        if source is None:
            source = new_session(profile).get_credentials()
        keys = None if source is None else source.get_frozen_credentials()
    except PollwiseError:
        raise
    except Exception as exc:
        raise _mapped(exc) from exc
    if source is None or keys is None:
        raise AuthenticationError(
            "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, or pass"
            " credentials."
        )
    expires = getattr(source, "refresh_needed", None)
    if expires is None:
        return source, keys, None
    return source, keys, _LAST_BRIEFLY_S if expires() else _LAST_S


def _with_plain_query(url: URL) -> URL:
    """The URL with everything in its query percent-encoded, because AWS computes the signature over that form."""
    raw = url.raw_query_string
    if _PLAIN_QUERY(raw):
        return url
    pairs = parse_qsl(raw, keep_blank_values=True, errors="surrogateescape")
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)
    return URL(f"{url.with_query(None).with_fragment(None)}?{query}", encoded=True)


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")


def _mapped(exc: Exception) -> PollwiseError:
    """The error for what botocore raised. Messages that may have a secret are left to the cause."""
    if isinstance(exc, _TO_MEND):
        return AuthenticationError(f"There are no AWS credentials: {str(exc).rstrip('.')}.")
    if isinstance(exc, aws_errors.ClientError):
        code = str(exc.response.get("Error", {}).get("Code", "no code"))[:100]
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        if status >= 500 or status == 429 or "Throttl" in code:
            return ConnectFailed(f"AWS gave no credentials just now: {code}")
        return AuthenticationError(f"AWS refused to give credentials: {code}.")
    if isinstance(exc, _PASSING):
        return ConnectFailed(f"the place that gives AWS credentials failed: {type(exc).__name__}")
    return AuthenticationError(f"The look-up of AWS credentials raised {type(exc).__name__}; see __cause__.")


def _same(keys: Any, others: Any) -> bool:
    names = ("access_key", "secret_key", "token")
    return all(getattr(keys, name, None) == getattr(others, name, None) for name in names)
