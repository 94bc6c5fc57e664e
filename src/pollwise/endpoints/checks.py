"""The checks of `pollwise.testing.check_endpoint`.

Rule 1: all problems are reported at once. A failed check does not hide the next one.
Rule 2: a problem is one sentence that says what to change. It holds no value of a reply.
Rule 3: no request is sent.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

import attrs
import orjson

from pollwise.core.identity import checked_account
from pollwise.endpoints._trying import GARBAGE, JSON_TYPE, tried
from pollwise.endpoints.start_checks import StartSample, start_problems
from pollwise.errors import ConfigurationError, MalformedReply, RateLimited
from pollwise.http.credentials import CREDENTIAL_FIELDS
from pollwise.model.abilities import with_defaults
from pollwise.model.calls import status_call
from pollwise.model.cursor import own_cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import wrong_with_reading, wrong_with_request
from pollwise.model.protocols import NO_CODEC, Endpoint, EndpointLike
from pollwise.model.reading import TERMINAL, Phase, Reading
from pollwise.model.secrets import secrets_in

__all__ = ["EndpointProblems", "Sample", "StartSample", "check_endpoint"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_OTHERS: Final[Mapping[str, Any]] = {
    "an unknown word": "POLLWISE-UNKNOWN",
    "null": None,
    "a list": [],
    "an object": {},
    "a negative number": -1,
    "true": True,
}
_TYPED: Final = frozenset({"MalformedReply", "RateLimited"})  # a vendor may tell of its rate limit in a 200
_SLOWEST_S: Final = 0.005  # a vendor's request takes some microseconds
_MOST_PATHS: Final = 200


class EndpointProblems(AssertionError):
    """An endpoint that does not do what it must. `problems` has a sentence for each thing to change."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(f"{number}. {problem}" for number, problem in enumerate(self.problems, 1))


@attrs.frozen(kw_only=True)
class Sample(Generic[J]):
    """A good reply, and what the endpoint must make of it.

    Attributes:
        job: The job that the reply is about.
        reply: The reply, or the JSON document in it.
        phase: The phase that it shows.
        final: Whether it ends the watch. None stands for: if the phase is SUCCEEDED, FAILED or CANCELLED.
        unconfirmed: Whether it looks over without being final.
    """

    job: J
    reply: Reply | Mapping[str, Any]
    phase: Phase
    final: bool | None = None
    unconfirmed: bool = False

    def as_reply(self) -> Reply:
        """The reply."""
        return self.reply if isinstance(self.reply, Reply) else Reply(200, JSON_TYPE, orjson.dumps(self.reply))


def check_endpoint(
    endpoint: EndpointLike[J, S],
    samples: Iterable[Sample[J]],
    *,
    states: Sequence[str] = (),
    starts: Iterable[StartSample[J]] = (),
) -> None:
    """Check an endpoint by sample replies. Nothing is sent.

        check_endpoint(
            ExportEndpoint("https://api.example.com"),
            [
                Sample(job=Export(7), reply={"state": "running", "rows_done": 1, "rows": 4}, phase=Phase.RUNNING),
                Sample(job=Export(7), reply={"state": "done", "rows_done": 4, "rows": 4}, phase=Phase.SUCCEEDED),
            ],
            states=["state"],
        )

    Checked are the members of the endpoint, the requests, the reading of each sample, and the codec where there is one.
    Then each value in a sample's JSON is replaced by others, one at a time, and the body by garbage: `read` must give a
    reading or raise MalformedReply.

    Args:
        endpoint: The endpoint.
        samples: Good replies, such as those that the vendor documents; at least one.
        states: The fields that hold one of the vendor's words for a state, such as `task.status`. An unknown word in
            one must give a reading that is no success.
        starts: Good replies to starts, for an endpoint with `submit_request` and `read_submitted`.

    Raises:
        EndpointProblems: It does not do what it must. The error has all that is wrong, and is an AssertionError.
    """
    try:
        whole = with_defaults(endpoint)
        checked_account(whole.account, whole.auth)
        status_call(whole)
    except ConfigurationError as exc:
        raise EndpointProblems([str(exc)]) from None
    found = list(samples)
    problems = list(dict.fromkeys(_problems(whole, found, states))) if found else ["at least one sample is needed"]
    for start in starts:
        problems += dict.fromkeys([*start_problems(whole, start), *_of_copies(whole, "job", start.job)])
    if problems:
        raise EndpointProblems(problems)


def _problems(endpoint: Endpoint[Any, Any], samples: list[Sample[Any]], states: Sequence[str]) -> Iterator[str]:
    for sample in samples:
        try:
            hash(sample.job)
        except TypeError:
            yield f"a job must be hashable, such as an object of an attrs.frozen class; it is a {type(sample.job).__name__}"
            continue
        yield from _of_request(endpoint, sample.job)
        yield from _of_copies(endpoint, "job", sample.job)
        yield from _of_sample(endpoint, sample)
        yield from _of_replaced(endpoint, sample, states)
    yield from _of_garbage(endpoint, samples)
    yield from _of_refusals(endpoint)


# --- the request ------------------------------------------------------------------------------


def _of_request(endpoint: Endpoint[Any, Any], job: Any) -> Iterator[str]:
    request, error = tried(lambda: endpoint.request(job))
    wrong = f"request raised {error}" if error else wrong_with_request(request)
    if wrong or request is None:
        yield str(wrong)
        return
    url = request.url
    if url.scheme not in {"http", "https"} or not url.raw_host:
        yield "the URL of a request must be absolute, with http or https and a host"
        return
    if "@" in url.raw_authority:
        yield "the URL of a request must not hold credentials; pass them as auth"
    if endpoint.fixed_origin is not None and endpoint.fixed_origin != str(url.origin()):
        yield f"fixed_origin is {endpoint.fixed_origin!r}, but request asks at {str(url.origin())!r}"
    for name in request.headers:
        if name.lower() in CREDENTIAL_FIELDS:
            yield f"request must set no credentials; leave the header field {name} to auth"
    if _holds_credentials(request, endpoint):
        yield "request must set no credentials; what auth puts on is in its URL, header fields or body"
    again, _ = tried(lambda: endpoint.request(job))
    if again != request:
        yield "request must give the same request each time for the same job"
    if min(_seconds(lambda: endpoint.request(job)) for _ in range(5)) > _SLOWEST_S:
        yield "request must be cheap, because it is called for every poll; it takes some milliseconds"


def _holds_credentials(request: Request, endpoint: Endpoint[Any, Any]) -> bool:
    secrets = secrets_in((endpoint.auth.headers(0.0) if endpoint.auth else None) or {})
    text = " ".join([str(request.url), *request.headers.values(), (request.body or b"").decode("latin-1")])
    return any(secret in text for secret in secrets if secret)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# --- the reading ------------------------------------------------------------------------------


def _of_sample(endpoint: Endpoint[Any, Any], sample: Sample[Any]) -> Iterator[str]:
    reply, what = sample.as_reply(), f"the sample of {sample.phase}"
    reading, error = tried(lambda: endpoint.read_for(sample.job, reply))
    wrong = f"read raised {error} for {what}" if error else wrong_with_reading(reading)
    if wrong or reading is None:
        yield str(wrong)
        return
    final = sample.phase in TERMINAL and not sample.unconfirmed if sample.final is None else sample.final
    for name, expected in (("phase", sample.phase), ("final", final), ("unconfirmed", sample.unconfirmed)):
        got = getattr(reading, name)
        if got is not expected:
            yield f"read gives {name} {got} for {what}; expected is {expected}"
    again, _ = tried(lambda: endpoint.read_for(sample.job, reply))
    if again != reading:
        yield "read must give equal readings of the same reply; else each poll is news. Is the status an attrs.frozen class?"
    bare, _ = tried(lambda: endpoint.read_for(sample.job, attrs.evolve(reply, headers={})))
    if endpoint.heeded_headers == () and bare != reading:
        yield "read looks at header fields; name them in heeded_headers, or unchanged bodies hide changes"
    yield from _of_copies(endpoint, "status", reading.status)
    yield from _of_cursor(endpoint, sample.job, reading.cursor)


def _of_cursor(endpoint: Endpoint[Any, Any], job: Any, cursor: Any) -> Iterator[str]:
    _, error = tried(lambda: own_cursor(cursor))
    call = status_call(endpoint)
    if error:
        yield "the cursor of a reading must be JSON of at most 4 KiB and 8 levels, such as str(url)"
    elif cursor is not None and call is None:
        yield "read gives a cursor; give request, read or read_for a parameter cursor=None to get it"
    elif cursor is not None and call is not None:
        request, error = tried(partial(call.request, job, cursor))
        wrong = f"request raised {error}" if error else wrong_with_request(request)
        if wrong:
            yield f"with the cursor of a sample, {wrong}"


def _of_copies(endpoint: Endpoint[Any, Any], what: str, value: Any) -> Iterator[str]:
    """What goes to a ledger or another process must come back equal."""
    copy, error = tried(lambda: pickle.loads(pickle.dumps(value)))  # noqa: S301  # pickled one line before
    if error or copy != value:
        yield f"the {what} must come back equal from pickle: {error or 'it differs'}"
    codec = endpoint.codec
    if codec is NO_CODEC:
        return
    if what == "job":
        keys, error = tried(lambda: codec.job_to_keys(value))
        if error or not _is_texts(keys):
            yield f"the codec's job_to_keys must give a dict of texts: {error or 'it gave something else'}"
            return
        kept, error = tried(lambda: codec.job_from_keys(dict(keys or {})))
    else:
        kept, error = tried(lambda: codec.status_from_json(orjson.loads(orjson.dumps(codec.status_to_json(value)))))
    if error or kept != value:
        yield f"the {what} must come back equal from the codec, by way of JSON: {error or 'it differs'}"


def _is_texts(keys: object) -> bool:
    return type(keys) is dict and all(type(text) is str for pair in keys.items() for text in pair)


# --- what is not as documented ----------------------------------------------------------------


def _of_replaced(endpoint: Endpoint[Any, Any], sample: Sample[Any], states: Sequence[str]) -> Iterator[str]:
    document, error = tried(sample.as_reply().json)
    paths = [] if error else list(_paths(document))[:_MOST_PATHS]
    for path in paths:
        name = ".".join(str(step) for step in path)
        for what, other in _OTHERS.items():
            changed = _replaced(document, path, other)
            reply = attrs.evolve(sample.as_reply(), body=orjson.dumps(changed))
            reading, error = _read(endpoint, sample.job, reply)
            if name in states and isinstance(other, str) and (error or _is_success(reading)):
                yield f"{what} in {name} must give a reading that is no success, such as Reading.running(status, unknown=...)"
            elif error and error not in _TYPED:
                yield f"read raised {error} for {what} in {name}; it must raise MalformedReply (reply.malformed), or read on"
    for name in set(states) - {".".join(map(str, path)) for path in paths}:
        yield f"states names {name}, which is in no sample of {sample.phase}"


def _is_success(reading: Reading[Any] | None) -> bool:
    return reading is not None and reading.phase is Phase.SUCCEEDED


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from _paths(inner, (*path, step))


def _replaced(value: Any, path: tuple[str | int, ...], other: Any) -> Any:
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], other)
    return copy


def _of_garbage(endpoint: Endpoint[Any, Any], samples: list[Sample[Any]]) -> Iterator[str]:
    if any(tried(sample.as_reply().json)[1] for sample in samples):
        return  # the bodies are no JSON, so what is garbage is not known here
    for what, body in GARBAGE.items():
        _, error = _read(endpoint, samples[0].job, Reply(200, JSON_TYPE, body))
        if error != "MalformedReply":
            yield f"read must raise MalformedReply (reply.malformed) for {what}; it {f'raised {error}' if error else 'gave a reading'}"


def _of_refusals(endpoint: Endpoint[Any, Any]) -> Iterator[str]:
    for what, body in GARBAGE.items():
        for status in (400, 404, 500):
            _, error = tried(partial(endpoint.problem, Reply(status, JSON_TYPE, body)), RateLimited)
            if error:
                yield f"problem must return a Problem or None for {what}; it raised {error}"


def _read(endpoint: Endpoint[Any, Any], job: Any, reply: Reply) -> tuple[Reading[Any] | None, str]:
    try:
        return endpoint.read_for(job, reply), ""
    except MalformedReply:
        return None, "MalformedReply"
    except Exception as exc:  # noqa: BLE001  # this is what the check is for
        return None, type(exc).__name__
