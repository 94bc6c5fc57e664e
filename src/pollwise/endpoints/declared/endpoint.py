"""An endpoint that is made from a declaration.

Rule 1: a declaration is data. It reads its own reply, runs no code, and sends to its own origin only.
Rule 2: everything that is wrong with a declaration is found when the endpoint is made.
Rule 3: a status is the JSON of the reply, or what the caller's class makes of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

import attrs
from yarl import URL

from pollwise.core.identity import checked_account
from pollwise.endpoints._server_values import json_or_none
from pollwise.endpoints._vendor import KEPT_REQUESTS
from pollwise.endpoints.declared.expressions import is_true
from pollwise.endpoints.declared.jobs import DeclaredJob, JobCodec, job_of_keys
from pollwise.endpoints.declared.loading import load_declarations
from pollwise.endpoints.declared.orders import SubmitPlan
from pollwise.endpoints.declared.plan import auth_variables, compiled, deciding_keys
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.results import ResultPlan
from pollwise.endpoints.declared.rules import Verdict
from pollwise.endpoints.declared.statuses import StatusForm
from pollwise.endpoints.declared.templates import Key, RequestTemplate
from pollwise.endpoints.declared.vocabulary import Declaration
from pollwise.errors import ConfigurationError, Problem, RateLimited
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth
from pollwise.model.cursor import Cursor
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import TERMINAL, Reading
from pollwise.model.submitting import Submitted

__all__ = ["DeclaredEndpoint"]

S = TypeVar("S")
T = TypeVar("T")


class DeclaredEndpoint(Endpoint[DeclaredJob, S], Generic[S]):
    """An endpoint without code of its own.

        endpoint = DeclaredEndpoint.load("endpoints.toml", "openai-batch")
        async with JobWatcher(endpoint, timeout_s=86_400) as watcher:
            status = await watcher.watch(endpoint.job(id="batch_7"))

    Args:
        declaration: How to ask and how to read.
        auth: The credentials. None for those of the declaration's `auth`, which names environment variables.
        account: A name for these credentials, if one ledger has the jobs of several accounts.
        base_url: Replaces the declaration's `base`.
        status: An attrs class, a dataclass or another type that cattrs makes from the JSON of a reply. A reply that does
            not fit is malformed. None: a status is the JSON itself, and None for an empty body.

    Raises:
        DeclarationErrors: The declaration is wrong. The error has everything that is wrong.
        ConfigurationError: Another argument is invalid, or an environment variable is not set.
    """

    heeded_headers: tuple[str, ...] | None = ()

    def __new__(cls, declaration: Declaration | None = None, **_options: Any) -> Self:
        """An object whose `request` and `read` take a cursor, if the declaration has `next`. It is None for `copy.copy`."""
        kind: type[Any] = cls
        if declaration is not None and declaration.next is not None and not issubclass(cls, _FollowingEndpoint):
            if cls is not DeclaredEndpoint:
                raise ConfigurationError(f"{cls.__name__} cannot follow next; use DeclaredEndpoint itself")
            kind = _FollowingEndpoint
        return object.__new__(kind)  # type: ignore[no-any-return]  # a subclass

    @overload
    def __init__(
        self: DeclaredEndpoint[Any],
        declaration: Declaration,
        *,
        auth: Auth | None = ...,
        account: str = ...,
        base_url: str | None = ...,
        status: None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        declaration: Declaration,
        *,
        auth: Auth | None = ...,
        account: str = ...,
        base_url: str | None = ...,
        status: type[S],
    ) -> None: ...

    def __init__(
        self,
        declaration: Declaration,
        *,
        auth: Auth | None = None,
        account: str = "",
        base_url: str | None = None,
        status: type[Any] | None = None,
    ) -> None:
        if base_url is not None:
            declaration = attrs.evolve(declaration, base=base_url)
        self.name = declaration.name
        self.declaration = declaration
        problems = Problems(declaration.name)
        plan = compiled(declaration, problems)
        problems.check()
        assert plan is not None  # noqa: S101  # else there was a problem
        self._plan = plan
        self._rules = plan.rules
        self._request = lru_cache(KEPT_REQUESTS)(partial(_request, plan.poll))
        self._form: StatusForm[S] = StatusForm(status)
        self.auth = _auth(declaration) if auth is None else auth
        self.account = checked_account(account, self.auth)
        self.codec = JobCodec(self.name, plan, declaration.job, self._form)
        self.fixed_origin = plan.poll.origin
        self.documented_limit = declaration.limit
        self.origins = plan.origins
        self.first_after_s = declaration.first_after_s
        self.answer_statuses = self._rules.answer_statuses
        self.deciding_keys = deciding_keys(declaration)
        if plan.next is not None and plan.next.header is not None:
            self.heeded_headers = (plan.next.header,)
        if plan.result is not None:
            made = _result_request if plan.result.pages is None else _page_request
            self.result_request: Callable[[DeclaredJob, S], Any] = partial(made, plan.result, self._request, self._form)
            self.read_result: Callable[[Reply], Any] = plan.result.read
            self.result_answer_statuses = plan.result.failed
        if plan.cancel is not None:  # a watcher asks whether the attribute is there
            self.cancel_request: Callable[[DeclaredJob, S | None], Request] = partial(_cancel_request, plan.cancel)
        if plan.submit is not None:
            self.submit_request: Callable[[Mapping[str, Any], str], Request] = partial(
                self._submit_request, plan.submit
            )
            self.read_submitted: Callable[[Mapping[str, Any], Reply], DeclaredJob | Submitted[DeclaredJob]] = partial(
                self._read_submitted, plan.submit
            )
            self.submit_answer_statuses = plan.submit.answer_statuses

    @overload
    @classmethod
    def load(
        cls: type[DeclaredEndpoint[Any]],
        path: str | Path,
        name: str,
        *,
        auth: Auth | None = ...,
        account: str = ...,
        base_url: str | None = ...,
        status: None = ...,
    ) -> DeclaredEndpoint[Any]: ...

    @overload
    @classmethod
    def load(
        cls,
        path: str | Path,
        name: str,
        *,
        auth: Auth | None = ...,
        account: str = ...,
        base_url: str | None = ...,
        status: type[T],
    ) -> DeclaredEndpoint[T]: ...

    @classmethod
    def load(
        cls,
        path: str | Path,
        name: str,
        *,
        auth: Auth | None = None,
        account: str = "",
        base_url: str | None = None,
        status: type[Any] | None = None,
    ) -> DeclaredEndpoint[Any]:
        """The endpoint of the table `name` in a TOML or JSON file. The other arguments are those of the class.

        Raises:
            DeclarationErrors: The file cannot be read, or has wrong declarations. The error has everything that is wrong.
            ConfigurationError: The file has no such table, or another argument is invalid.
        """
        found = load_declarations(path)
        if name not in found:
            raise ConfigurationError(f"{path} has no table {name!r}; it has {', '.join(found) or 'none'}")
        return cls(found[name], auth=auth, account=account, base_url=base_url, status=status)

    def job(self, **keys: Key) -> DeclaredJob:
        """The job with these keys: `endpoint.job(id="batch_7")`.

        Raises:
            ConfigurationError: A key is missing, unknown, of another type, or cannot stand in the URL.
        """
        return job_of_keys(self.name, self._plan, self.declaration.job, keys)

    def request(self, job: DeclaredJob, /) -> Request:
        """The status call for this job, without credentials."""
        return self._request(job)

    def read(self, reply: Reply, /) -> Reading[S]:
        """The reading, by the rules of the declaration.

        Raises:
            MalformedReply: No rule matches, what `expects` names is missing, or the body is not JSON.
            RateLimited: The expression `limited` is true.
        """
        rules, status = self._rules, reply.status
        verdict = rules.http.get(status)
        data = reply.json() if verdict is None else json_or_none(reply)
        if verdict is None:
            verdict = self._verdict(reply, data)
        over = verdict.phase in TERMINAL or verdict.unknown_end
        return Reading(
            status=self._form.structured(data, reply),
            phase=verdict.phase,
            final=over and not verdict.unconfirmed,
            unconfirmed=verdict.unconfirmed,
            fraction=None if over else rules.fraction(data),
            reason=rules.reason(data) if over else None,
            unknown=verdict.unknown,
            poll_after_s=None if over else rules.poll_after_s(data),
        )

    def why(self, reply: Reply, /) -> str:
        """Which rule decides how this reply is read, in words, such as `state gives 'done', which succeeded lists`."""
        return self._rules.why(reply.status, json_or_none(reply))

    def problem(self, reply: Reply, /) -> Problem | None:
        """The vendor's code and words in a refusal, by `code` and `reason`."""
        data = json_or_none(reply)
        code, reason = self._rules.code(data), self._rules.reason(data)
        return Problem((code,) if code else (), (reason,) if reason else ()) if code or reason else None

    def _submit_request(self, submit: SubmitPlan, order: Mapping[str, Any], key: str, /) -> Request:
        """The request that starts a job, without credentials.

        Raises:
            ConfigurationError: The order does not have what the declaration sends. Nothing was sent.
        """
        for name, value in submit.keys_of(order, self.declaration.job).items():
            self._plan.check(name, value)
        return submit.request(order, key)

    def _read_submitted(
        self, submit: SubmitPlan, order: Mapping[str, Any], reply: Reply, /
    ) -> DeclaredJob | Submitted[DeclaredJob]:
        """The job that was started, and the wait of `after`.

        Raises:
            MalformedReply: The reply does not have its keys.
            RateLimited: The expression `limited` is true.
        """
        rules, data = self._rules, json_or_none(reply)
        wait_s = rules.poll_after_s(data)
        if rules.limited is not None and is_true(rules.limited(data)):
            raise RateLimited(wait_s, self.problem(reply), reply.status)
        keys = submit.keys_in(order, reply, self.declaration.job)
        try:
            job = job_of_keys(self.name, self._plan, self.declaration.job, keys)
        except ConfigurationError as exc:
            why = str(exc)
        else:
            return job if wait_s is None else Submitted(job, wait_s)
        raise reply.malformed(why)

    def __repr__(self) -> str:
        account = f", account={self.account!r}" if self.account else ""
        return f"DeclaredEndpoint({self.name!r}{account})"

    def _verdict(self, reply: Reply, data: Any) -> Verdict:
        rules = self._rules
        if not 200 <= reply.status < 300:
            verdict = rules.verdict_of_code(data)
            if verdict is None:
                raise reply.malformed("its code is in no list of codes")
            return verdict
        if rules.limited is not None and is_true(rules.limited(data)):
            raise RateLimited(rules.poll_after_s(data), self.problem(reply), reply.status)
        if rules.expects is not None and rules.expects(data) is None:
            raise reply.malformed(f"it has no {self.declaration.expects}, which the declaration expects in every reply")
        verdict = rules.verdict(data)
        if verdict is None:
            raise reply.malformed("no rule of the declaration matches it")
        return verdict


class _FollowingEndpoint(DeclaredEndpoint[S]):
    """A declared endpoint whose replies say where to ask next. The cursor is that URL."""

    def request(self, job: DeclaredJob, /, cursor: Cursor = None) -> Request:
        """The status call at the URL of the cursor. At the start it is the job's own."""
        own = self._request(job)
        return attrs.evolve(own, url=URL(cursor, encoded=True)) if isinstance(cursor, str) else own

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[S]:
        """As for every declared endpoint, with the next URL. Raises MalformedReply if it is no URL."""
        reading = super().read(reply)
        following = self._plan.next
        if reading.final or following is None:
            return reading
        return attrs.evolve(reading, cursor=following.cursor(reply, json_or_none, cursor))


def _request(template: RequestTemplate, job: DeclaredJob) -> Request:
    return template.request(dict(job.keys))


def _result_request(
    plan: ResultPlan, own: Callable[[DeclaredJob], Request], form: StatusForm[S], job: DeclaredJob, status: S, /
) -> Any:
    return plan.request(dict(job.keys), form.to_json(status), own(job))


def _page_request(
    plan: ResultPlan,
    own: Callable[[DeclaredJob], Request],
    form: StatusForm[S],
    job: DeclaredJob,
    status: S,
    /,
    cursor: Cursor = None,
) -> Any:
    first = _result_request(plan, own, form, job, status)
    return first if plan.pages is None else plan.pages.request(first, cursor)


def _cancel_request(template: RequestTemplate, job: DeclaredJob, _status: object, /) -> Request:
    return template.request(dict(job.keys))


# --- credentials ------------------------------------------------------------------------------


def _auth(declaration: Declaration) -> Auth | None:
    """The credentials of the environment variables that the declaration names."""
    auth = declaration.auth
    if auth is None:
        return None
    values = []
    for name in auth_variables(auth):
        if name not in os.environ:
            raise ConfigurationError(
                f"set the environment variable {name}, because {declaration.name} takes its credentials from there"
            )
        values.append(os.environ[name])
    if "bearer" in auth:
        return BearerAuth(*values)
    return BasicAuth(*values) if "basic" in auth else ApiKeyAuth(*values, header=auth["header"])
