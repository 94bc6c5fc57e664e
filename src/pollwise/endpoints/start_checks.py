"""The checks of an endpoint's starts, for `check_endpoint(..., starts=[...])`.

Rule: as in `checks.py`. A problem is one sentence that says what to change, and no request is sent.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar

import attrs
import orjson

from pollwise.core.url_rules import UrlRules
from pollwise.endpoints._trying import GARBAGE, JSON_TYPE, tried
from pollwise.errors import ConfigurationError, MalformedReply, UnsafeUrl, WatchError
from pollwise.http.credentials import CREDENTIAL_FIELDS
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import wrong_with_request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading
from pollwise.model.submitting import Submitted, check_can_submit

__all__ = ["StartSample", "start_problems"]

J = TypeVar("J", bound=Hashable)

_KEYS: Final = ("pollwise-key-1", "pollwise-key-2")


@attrs.frozen(kw_only=True)
class StartSample(Generic[J]):
    """An order, a good reply to its start, and the job that the endpoint must make of it.

    Attributes:
        order: What `submit_request` and `read_submitted` get.
        reply: The reply, or the JSON document in it.
        job: The job.
    """

    order: Any
    reply: Reply | Mapping[str, Any]
    job: J

    def as_reply(self) -> Reply:
        """The reply."""
        return self.reply if isinstance(self.reply, Reply) else Reply(201, JSON_TYPE, orjson.dumps(self.reply))


def start_problems(endpoint: Endpoint[Any, Any], sample: StartSample[Any]) -> Iterator[str]:
    """What is wrong with this start."""
    try:
        check_can_submit(endpoint)
    except ConfigurationError as exc:
        yield str(exc)
        return
    ability: Any = endpoint
    first, error = tried(lambda: ability.submit_request(sample.order, _KEYS[0]))
    wrong = f"request raised {error}" if error else wrong_with_request(first)
    if wrong or first is None:
        yield f"submit_{wrong}"
        return
    yield from _of_request(ability, sample, first)
    yield from _of_reply(ability, sample, first)


def _of_request(endpoint: Any, sample: StartSample[Any], first: Request) -> Iterator[str]:
    url = first.url
    if url.scheme not in {"http", "https"} or not url.raw_host or "@" in url.raw_authority:
        yield "the URL of submit_request must be absolute, with http or https, a host, and no credentials"
    if any(name.lower() in CREDENTIAL_FIELDS for name in first.headers):
        yield "submit_request must set no credentials; leave them to auth"
    again, _ = tried(lambda: endpoint.submit_request(sample.order, _KEYS[0]))
    if again != first:
        yield "submit_request must give the same request each time for the same order and key"
        return
    other, _ = tried(lambda: endpoint.submit_request(sample.order, _KEYS[1]))
    if first.method.upper() not in {"POST", "PATCH"}:
        return
    if first.is_idempotent and other == first:
        yield "submit_request says that its request is idempotent; then the key must be in it"
    if not first.is_idempotent and other != first:
        yield (
            "submit_request puts the key into its request; if the API starts one job for one key, pass idempotent=True to"
            " the Request, or use the header field Idempotency-Key"
        )


def _of_reply(endpoint: Any, sample: StartSample[Any], first: Request) -> Iterator[str]:
    made, error = tried(lambda: endpoint.read_submitted(sample.order, sample.as_reply()))
    job = made.job if isinstance(made, Submitted) else made
    if error or job != sample.job:
        yield f"read_submitted must give the job of the sample: {f'it raised {error}' if error else 'it gave another one'}"
        return
    first_reading: object = made.reading if isinstance(made, Submitted) else None
    if first_reading is not None and not isinstance(first_reading, Reading):
        yield f"the reading of Submitted must be a Reading, such as self.read(reply); it is a {type(first_reading).__name__}"
    try:
        UrlRules(endpoint).check_started(job, first.url)
    except UnsafeUrl:
        yield "the status of the job is at another origin than the start; name it in origins, or submit refuses the job"
    if tried(sample.as_reply().json)[1]:
        return  # the body is no JSON, so what is garbage is not known here
    for what, body in GARBAGE.items():
        read = partial(endpoint.read_submitted, sample.order, Reply(200, JSON_TYPE, body))
        made, error = tried(read, MalformedReply, WatchError)
        if error or made is not None:
            said = f"raised {error}" if error else "gave a job"
            yield f"read_submitted must raise MalformedReply (reply.malformed) for {what}; it {said}"
