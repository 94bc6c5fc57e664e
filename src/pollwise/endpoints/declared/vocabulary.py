"""The words of a declaration, as values.

Rule 1: a value holds what was written. What it means, and whether it can be right, is checked by `plan.py`.
Rule 2: lists become tuples, so a declaration cannot change under an endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NewType, TypeAlias

import attrs

from pollwise.model.limits import RateLimit
from pollwise.model.reading import Phase

__all__ = [
    "HOLE",
    "PHASES",
    "Call",
    "Declaration",
    "Fetch",
    "JobKeys",
    "Progress",
    "Submit",
    "Wait",
    "Word",
    "hole_names",
    "holes_in",
]

Word: TypeAlias = str | int | bool
"""One of the vendor's words for a state."""

PHASES: Final[Mapping[str, Phase]] = {
    "cancelled": Phase.CANCELLED,
    "failed": Phase.FAILED,
    "succeeded": Phase.SUCCEEDED,
    "waiting_for_input": Phase.WAITING_FOR_INPUT,
    "running": Phase.RUNNING,
    "queued": Phase.QUEUED,
}
"""The phases by name, in the order in which their rules are looked at."""


_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
HOLE: Final = re.compile(rf"\{{(\+?)({_NAME}(?:\.{_NAME})*)\}}", re.ASCII)
"""A hole: whether it keeps its slashes, and its name. The name of a key has no dot. A path into a status or an order may have."""

JobKeys = NewType("JobKeys", dict[str, str])
"""The keys of a job with their types, `str` or `int`."""


def _words(value: Iterable[Word]) -> tuple[Word, ...]:
    given: object = value  # what is no list is refused later, with the place
    return tuple(given) if isinstance(given, (list, tuple)) else value  # type: ignore[return-value]


def _key_types(value: Iterable[str] | Mapping[str, str]) -> JobKeys:
    return JobKeys(dict(value) if isinstance(value, Mapping) else dict.fromkeys(value, "str"))


def _texts(value: Mapping[str, str]) -> Mapping[str, str]:
    return dict(value)


def _by_phase(value: Mapping[str, Iterable[Word]]) -> Mapping[str, tuple[Word, ...]]:
    return {phase: _words(words) for phase, words in value.items()}


@attrs.frozen(kw_only=True)
class Call:
    """A request of a declaration.

    Attributes:
        ask: The method and the path, such as `GET /v1/batches/{id}`. `{id}` is a key of the job and fills one segment of
            the path, or a value in the query. `{+id}` keeps its slashes.
        headers: Header fields besides those of `auth`. `{id}` works here, too.
        json: The JSON body, or None. A text in it that is a hole as a whole, such as `"{id}"`, becomes the key's value.
    """

    ask: str
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)
    json: Any = None


def holes_in(target: str, headers: Mapping[str, str], body: Any) -> Iterator[tuple[re.Match[str], str]]:
    """The holes of a request, and where they are. In a body only a whole text is one."""
    for hole in HOLE.finditer(target):
        yield hole, "the path"
    for name, value in headers.items():
        for hole in HOLE.finditer(value):
            yield hole, f"the header field {name}"
    for text in _texts_of(body):
        whole = HOLE.fullmatch(text)
        if whole is not None:
            yield whole, "the body"


def _texts_of(body: Any) -> Iterator[str]:
    if isinstance(body, str):
        yield body
    for inner in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from _texts_of(inner)


def hole_names(call: Call) -> tuple[str, ...]:
    """The names of all holes of a call, in their order."""
    return tuple(dict.fromkeys(hole[2] for hole, _ in holes_in(call.ask, call.headers, call.json)))


def _keys_of_poll(declaration: Declaration) -> JobKeys:
    poll: object = declaration.poll
    if not isinstance(poll, Call) or not isinstance(poll.ask, str):  # refused later, with the place
        return JobKeys({})
    headers = {**declaration.headers, **poll.headers}
    names = hole_names(Call(ask=poll.ask, headers=headers, json=poll.json))
    return JobKeys({name: "str" for name in names if "." not in name})


def _call(value: str | Call) -> Call:
    return Call(ask=value) if isinstance(value, str) else value


def _call_if_any(value: str | Call | None) -> Call | None:
    return None if value is None else _call(value)


@attrs.frozen(kw_only=True)
class Progress:
    """The share of the work that is done: `done` divided by `of`.

    Attributes:
        done: An expression that gives a number.
        of: An expression that gives the whole, or the number itself, such as 100 for a percentage.
    """

    done: str
    of: str | float = 1


@attrs.frozen(kw_only=True)
class Wait:
    """Where a body says how long to wait. One of the two is set.

    Attributes:
        s: An expression that gives seconds.
        ms: An expression that gives milliseconds.
    """

    s: str | None = None
    ms: str | None = None


@attrs.frozen(kw_only=True)
class Fetch:
    """The request for the result of a job. It has `ask` or `url`.

    Attributes:
        ask: The method and the path, as in `Call`. A hole is a key of the job, or else a path into the final status, such
            as `{data.output_id}`.
        url: An expression that gives the URL, in the final status. It is asked with GET.
        headers: Header fields, as in `Call`.
        json: The JSON body, as in `Call`, or None.
        raw: Whether the result is the bytes of the reply. Otherwise it is the JSON of the reply.
        failed: Status codes which say that the job has failed. Then `result()` and `save_result()` raise JobFailed.
        next: Where a page of the result has the next one: an expression, or `$Link` for a header field. A page without one is
            the last. The value is a URL, or with `query` any text or whole number. None: the result is one page.
        query: The query parameter that takes the value of `next`.
        items: An expression that gives the list in the JSON of a page. The lists are joined. None: the JSON is that list.
    """

    ask: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)
    json: Any = None
    raw: bool = False
    failed: tuple[int, ...] = attrs.field(default=(), converter=tuple)
    next: str | None = None
    query: str | None = None
    items: str | None = None


def _places(value: str | Mapping[str, str]) -> str | Mapping[str, str]:
    return dict(value) if isinstance(value, Mapping) else value


@attrs.frozen(kw_only=True)
class Submit:
    """The request that starts a job, and where its reply has the keys of that job.

    An order is a JSON object. A hole is a field of it, such as `{model}` or `{input.bucket}`. `{order}` is the whole order,
    and `{key}` the idempotency key. `{order.key}` is the field `key` of the order.

    Attributes:
        ask: The method and the path, as in `Call`.
        id: Where the key of the job is: an expression over the JSON of the reply; or `$Location` for a header field, which has
            the key itself, or a URL like that of `poll`; or `{region}`, a field of the order. A mapping of key to place if
            the job has several keys.
        headers: Header fields, as in `Call`; such as `{"Idempotency-Key": "{key}"}`.
        json: The JSON body, or None. A text that is a hole as a whole becomes that value, such as `"{order}"`.
            `{"*": "{order}", "token": "{key}"}` has all members of the order, and a further one.
    """

    ask: str
    id: str | Mapping[str, str] = attrs.field(converter=_places)
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)
    json: Any = None


def _origins(value: Iterable[str]) -> tuple[str, ...]:
    given: object = value  # a text is refused later, with the place
    return tuple(given) if isinstance(given, (list, tuple)) else value  # type: ignore[return-value]


@attrs.frozen(kw_only=True)
class Declaration:
    """A status call, declared: how to ask, and how to read.

        Declaration(
            name="exports",
            base="https://api.example.com",
            job=["id"],
            poll="GET /exports/{id}",
            state="state",
            succeeded=["done"],
            failed=["error"],
        )

    Expressions are JMESPath over the JSON of a reply; a dotted path such as `task.status` is one. The first rule that
    matches gives the phase, in this order: `http`, the expressions `cancelled_when`, `failed_when`, `succeeded_when`,
    `waiting_for_input_when`, `running_when` and `queued_when`, the words, `over_when`, `otherwise`.

    Attributes:
        name: The name of the endpoint, as in logs, tokens and ledgers.
        base: The base URL. None if the poll begins with a key, as in `GET {+url}`.
        poll: The status call.
        headers: Header fields of every request.
        job: The keys of a job: their names, or a mapping of name to type, `str` or `int`. Without this word they are the holes
            of `poll`, as texts.
        state: An expression that gives the vendor's word for the state.
        queued: Words for a job that waits. Words are compared without letter case. A number is no text.
        running: Words for a job at work. A word in no list means running, too, and is logged once.
        waiting_for_input: Words for a job that waits for an answer from a person.
        succeeded: Words for a success.
        failed: Words for a failure.
        cancelled: Words for a cancellation.
        unconfirmed: Words of these lists that only look over. Further polls confirm them.
        http: Status codes that say the phase, by phase: `{"running": [202], "succeeded": [404]}`.
        cancelled_when: An expression that is true if the job was cancelled.
        failed_when: An expression that is true if the job failed.
        succeeded_when: An expression that is true if the job succeeded.
        waiting_for_input_when: An expression that is true while the job waits for an answer.
        running_when: An expression that is true while the job is at work.
        queued_when: An expression that is true while the job waits.
        over_when: An expression that is true if the job is over. If no rule above says how, the watch ends with
            `UnknownOutcome`.
        otherwise: The phase if no rule matches: `running` or `queued`. None: such a reply is malformed.
        expects: An expression that gives a value in every reply about a job. A reply without one is malformed.
        progress: The share of the work that is done.
        reason: An expression that gives the vendor's words for a failure.
        code: An expression that gives the vendor's error code, also in a refusal.
        codes: Error codes that say the phase, by phase.
        limited: An expression that is true if the rate limit was hit, though the status code is 2xx.
        after: Where the body says how long to wait.
        next: Where a reply has the URL of the next status call: an expression, or `$Location` for a header field. A reply
            without one leaves the URL before in force.
        result: The result of a job that succeeded: an expression that gives it in the final status, or a request. None: the
            jobs have no result.
        then: The same as `result`, for a request. Only one of the two is written.
        cancel: The request that asks the server to stop a job. None: jobs cannot be cancelled.
        submit: The request that starts a job. None: jobs are started elsewhere.
        first_after_s: Seconds from the start of a job by `submit` to its first poll.
        origins: Further origins to which the credentials may go, such as `https://downloads.example.com`.
        limit: The documented rate limit.
        auth: Which environment variables have the credentials: `{"bearer": "TOKEN"}`, `{"basic": ["USER", "PASSWORD"]}`
            or `{"key": "API_KEY", "header": "X-API-Key"}`. Never a credential itself.
    """

    name: str
    base: str | None = None
    poll: Call = attrs.field(converter=_call)
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)
    job: JobKeys = attrs.field(default=attrs.Factory(_keys_of_poll, takes_self=True), converter=_key_types)
    state: str | None = None
    queued: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    running: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    waiting_for_input: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    succeeded: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    failed: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    cancelled: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    unconfirmed: tuple[Word, ...] = attrs.field(default=(), converter=_words)
    http: Mapping[str, tuple[Word, ...]] = attrs.field(factory=dict, converter=_by_phase)
    cancelled_when: str | None = None
    failed_when: str | None = None
    succeeded_when: str | None = None
    waiting_for_input_when: str | None = None
    running_when: str | None = None
    queued_when: str | None = None
    over_when: str | None = None
    otherwise: str | None = None
    expects: str | None = None
    progress: Progress | None = None
    reason: str | None = None
    code: str | None = None
    codes: Mapping[str, tuple[Word, ...]] = attrs.field(factory=dict, converter=_by_phase)
    limited: str | None = None
    after: Wait | None = None
    next: str | None = None
    result: str | Fetch | None = None
    then: Fetch | None = None
    cancel: Call | None = attrs.field(default=None, converter=_call_if_any)
    submit: Submit | None = None
    first_after_s: float = 0.0
    origins: tuple[str, ...] = attrs.field(default=(), converter=_origins)
    limit: RateLimit | None = None
    auth: Mapping[str, Any] | None = None
