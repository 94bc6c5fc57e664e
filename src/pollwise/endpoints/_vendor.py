"""What the vendors' endpoints have in common: base URL, credentials, and a codec for the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar, cast

import attrs

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._reader import Reader, ReplyReader
from pollwise.endpoints._strict import shown
from pollwise.errors import ConfigurationError, Problem
from pollwise.model.construction import fast_constructor
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import Reading

__all__ = [
    "KEPT_REQUESTS",
    "JobEndpoint",
    "Parts",
    "VendorCodec",
    "VendorEndpoint",
    "check_same_job",
    "make_reading",
    "same_id",
]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")

make_reading: Callable[..., Reading[Any]] = fast_constructor(
    Reading, defaults=("poll_after_s", "cursor"), checked=False
)
"""Takes all fields but `poll_after_s` and `cursor` by position, because seven keyword arguments would double its cost."""
_make_request = fast_constructor(Request)
# About 700 bytes each. A new request costs more, because aiohttp derives many values from a new URL.
KEPT_REQUESTS = 2_048
_SHORTEST_HEX = 24  # an object ID of MongoDB; a GUID has 32
_IS_HEX = re.compile(r"[0-9a-f]+").fullmatch
_NO_PUNCTUATION = str.maketrans("", "", "-{}")


def same_id(received: str | int | None, requested: str) -> bool:
    """Whether an ID in a reply equals the requested one, or cannot be compared with it.

    Letter case, and hyphens and braces of a GUID, do not matter, because a gateway may spell IDs in another way. An ID of
    zeros alone was never set, so it cannot be compared. A number can be compared only with an ID of digits.
    """
    if type(received) is int:
        return not (requested.isascii() and requested.isdigit()) or int(requested) == received
    received, requested = str(received or "").strip().casefold(), requested.strip().casefold()
    if not received or received == requested:
        return True
    bare = received.translate(_NO_PUNCTUATION)
    if len(bare) < _SHORTEST_HEX or not _IS_HEX(bare):
        return False
    return not bare.strip("0") or bare == requested.translate(_NO_PUNCTUATION)


def check_same_job(reply: Reply, field: str, found: str | int | None, requested: str, what: str) -> None:
    """Raise MalformedReply if the ID in this field of the reply is surely another one than the requested."""
    if not same_id(found, requested):
        raise reply.malformed(f"field {field}: the reply is about another {what}, {shown(found)}")


class VendorEndpoint(Endpoint[J, S]):
    """An endpoint whose jobs are attrs classes of IDs, and whose statuses a `Reader` structures.

    `problem` returns the vendor's codes and descriptions from a reply. It is a function, because a bound method would put
    the endpoint into a reference cycle.
    """

    heeded_headers = ()

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None,
        account: str,
        job: type[J],
        path: Callable[[J], str],
        reader: Reader[S],
        problem: Callable[[Reply], Problem | None],
    ) -> None:
        self._root = root = ApiRoot.parse(base_url)
        self._request = lru_cache(KEPT_REQUESTS)(lambda job: _make_request(root.url(path(job))))
        self.auth = auth
        self.deciding_keys = reader.keys
        self.account = checked_account(account, auth)
        self.codec = VendorCodec(self.name, job, reader)
        if type(self).request is VendorEndpoint.request:  # else a subclass builds its own requests
            self.fixed_origin = str(root.origin)
        self._replies = ReplyReader(reader, self.name, problem)
        self._problem = problem

    def __repr__(self) -> str:
        account = f", account={self.account!r}" if self.account else ""
        return f"{type(self).__name__}({str(self._root)!r}{account})"

    def problem(self, reply: Reply, /) -> Problem | None:
        """The vendor's codes and descriptions in the body of a reply outside 2xx, or None."""
        problem = self._problem(reply)
        return None if problem is None else masked_value(reply.mask, problem)

    def request(self, job: J, /) -> Request:
        """The GET request for the job's status, without credentials."""
        return self._request(job)


@attrs.frozen(kw_only=True)
class Parts(Generic[J, S]):
    """What the endpoints of one call are made of.

    Attributes:
        job: The class of the jobs. Its last field is the ID that replies may name.
        path: Returns the path of a job's status.
        reader: Structures the statuses.
        problem: Returns the vendor's codes and descriptions from a reply.
        id_field: The path of that ID in a status, such as `data.id`. Empty if the status has none.
        what: What the ID names, for the error.
    """

    job: type[J]
    path: Callable[[J], str]
    reader: Reader[S]
    problem: Callable[[Reply], Problem | None]
    id_field: str = ""
    what: str = "job"
    _found: Callable[[Any], Any] = attrs.field(init=False)
    _requested: Callable[[Any], Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        found: Callable[[Any], Any] = attrgetter(self.id_field) if self.id_field else lambda _status: None
        object.__setattr__(self, "_found", found)
        object.__setattr__(self, "_requested", attrgetter(attrs.fields(cast("Any", self.job))[-1].name))

    def check_job(self, job: J, status: S, reply: Reply) -> None:
        """Raise MalformedReply if the status surely names another job."""
        check_same_job(reply, self.id_field, self._found(status), self._requested(job), self.what)


class JobEndpoint(VendorEndpoint[J, S]):
    """An endpoint whose class says what it is made of.

    Args:
        base_url: The API's base URL, `https://host[:port]`. May have a path.
        auth: Adds the credentials.
        account: A name for these credentials, if one ledger has the jobs of several accounts.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    _parts: ClassVar[Parts[Any, Any]]

    def __init__(self, base_url: str, *, auth: Auth | None = None, account: str = "") -> None:
        parts = self._parts
        super().__init__(
            base_url,
            auth=auth,
            account=account,
            job=parts.job,
            path=parts.path,
            reader=parts.reader,
            problem=parts.problem,
        )

    def read_for(self, job: J, reply: Reply, /) -> Reading[S]:
        """Like `read`, and checks the ID in the reply, if there is one.

        Raises:
            MalformedReply: The reply is about another job, or as for `read`.
        """
        reading = self.read(reply)
        self._parts.check_job(job, reading.status, reply)
        return reading

    def _read_started(self, reader: Reader[T], reply: Reply) -> T:
        """The reply to a start. Raises MalformedReply if it is no JSON object."""
        return ReplyReader(reader, self.name, self._problem).read(reply)


class VendorCodec(Generic[J, S]):
    """The ledger codec for jobs that are attrs classes of IDs. Statuses have the vendor's own form.

    Args:
        endpoint_name: For messages.
        job: The class of the jobs. Each field is a text.
        reader: Structures the statuses.
    """

    def __init__(self, endpoint_name: str, job: type[J], reader: Reader[S]) -> None:
        self._endpoint_name = endpoint_name
        self._job = job
        self._keys = tuple(field.name for field in attrs.fields(job))  # type: ignore[arg-type]  # J is an attrs class
        self._reader = reader

    @property
    def key_types(self) -> dict[str, type]:
        """The names of a job's IDs, which are texts, in the order of the fields."""
        return dict.fromkeys(self._keys, str)

    def job_to_keys(self, job: J, /) -> dict[str, str]:
        """The job's IDs by field name."""
        return {name: getattr(job, name) for name in self._keys}

    def job_from_keys(self, keys: Mapping[str, str], /) -> J:
        """The job with these keys. Raises ConfigurationError, a ValueError, if a key is missing or unknown."""
        given: object = keys  # from a token or a ledger, so its type is unknown
        if not isinstance(given, Mapping) or set(given) != set(self._keys):
            raise ConfigurationError(f"a job of {self._endpoint_name} has exactly the keys {', '.join(self._keys)}")
        return self._job(**keys)

    def status_to_json(self, status: S, /) -> dict[str, Any]:
        """The status as JSON-ready values of their real types, with the vendor's field names."""
        return self._reader.unstructure(status)

    def status_from_json(self, data: Any, /) -> S:
        """The status with this data. Raises ConfigurationError, a ValueError, for data of another form."""
        return self._reader.structure(data)
