"""Decides the reply to each request.

Rule 1: a request is decided at one moment, in this order: path, cache, outage, method, credentials, spurious refusal,
    rate limit, the job's own reply, then faults and odd forms.
Rule 2: a request that the credentials check or the rate limit refuses uses up no entry of a job's script.
Rule 3: a fault changes the reply, never the effect: a started job stays started even if the reply is lost.
Rule 4: during an outage no request counts against a rate limit, uses up a script entry or starts a job.
Rule 5: the time is an argument; sockets and clocks belong to server.py.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import attrs

from pollwise.simulator.access import Access
from pollwise.simulator.body_faults import BODY_FAULTS, BodyFaultContext
from pollwise.simulator.document360 import DOCUMENT360, DeletePlan
from pollwise.simulator.document360_calls import DOCUMENT360_CALLS
from pollwise.simulator.faults import Fault, Faults, ParsedEntry
from pollwise.simulator.job_plan import ApiCall, JobPlan
from pollwise.simulator.jobs import Plan, SimulatedJob
from pollwise.simulator.oracle_content import ORACLE_CONTENT, ExtractionPlan
from pollwise.simulator.oracle_content_calls import ORACLE_CONTENT_CALLS
from pollwise.simulator.progress_curves import curve_named
from pollwise.simulator.rate_limits import RateLimiter, RateLimitState
from pollwise.simulator.replies import ReplyOverride, SimulatedReply
from pollwise.simulator.request_log import RequestLog, SeenRequest
from pollwise.simulator.response_cache import ResponseCache
from pollwise.simulator.socket_faults import SOCKET_FAULTS
from pollwise.simulator.vendor import Asked, Vendor

__all__ = ["CALLS", "Decision", "ReceivedRequest", "Router", "SpuriousRefusals"]

CALLS: Mapping[str, ApiCall] = {call.call: call for call in (*DOCUMENT360_CALLS, *ORACLE_CONTENT_CALLS)}
_VENDORS: tuple[Vendor, ...] = (DOCUMENT360, ORACLE_CONTENT, *CALLS.values())
_TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path, no secret
# the reply is large, slow or the last on its connection, but arrives whole
_WHOLE_IN_THE_END = {
    Fault.HUGE_CHUNKED,
    Fault.SLOW_DRIP,
    Fault.NO_CONTENT_TYPE,
    Fault.CLOSED_AFTER,
    Fault.CLOSED_AT_NEXT,
}


@attrs.frozen
class ReceivedRequest:
    """One request and its time of arrival."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@attrs.frozen
class Decision:
    """The reply to send, and the socket fault that keeps it from arriving, if any."""

    reply: SimulatedReply
    fault: Fault | None = None


@attrs.define
class SpuriousRefusals:
    """Refusals without a rate limit: `refused` of the next `of` requests, evenly spread, get the status code `status`."""

    refused: int = 0
    of: int = 0
    status: int = 429
    _seen: int = attrs.field(init=False, default=0)

    def refuses_next(self) -> bool:
        """True if the next request is refused. Counts it."""
        if self._seen >= self.of:
            return False
        self._seen += 1
        return self._seen * self.refused // self.of > (self._seen - 1) * self.refused // self.of


@attrs.define(kw_only=True, eq=False)
class Router:
    """The state of both vendors: jobs, credentials, rate limits and faults.

    Attributes:
        seed: Decides everything that is random.
        access: The credentials.
        limiter: The rate limit, if there is one.
        faults: Faults by chance; can be replaced at any time.
        started_plans: The plans of jobs that a request starts, by the name of the call.
        start_script: Its n-th entry applies to the n-th start.
        log: The received requests.
        cache: The cache in front of the vendors, if there is one.
        odd: The odd forms of correct replies.
        reply_headers: Header fields of every reply, verbatim.
        outage: Applies to every request; None is no outage.
        spurious: Refusals without a rate limit.
        origin: The simulator's scheme, host and port.
        jobs: All jobs by their keys.
    """

    seed: int
    access: Access
    limiter: RateLimiter | None
    faults: Faults
    started_plans: Mapping[str, Plan]
    start_script: tuple[ParsedEntry, ...]
    log: RequestLog
    cache: ResponseCache | None = None
    odd: tuple[Fault, ...] = ()
    reply_headers: Mapping[str, str] = attrs.field(factory=dict)
    outage: ParsedEntry = None
    spurious: SpuriousRefusals = attrs.field(factory=SpuriousRefusals)
    origin: str = ""
    jobs: dict[tuple[str, ...], SimulatedJob] = attrs.field(init=False, factory=dict)

    def add(self, vendor: Vendor, keys: tuple[str, ...], plan: Plan, now: float | None) -> SimulatedJob:
        """Add a job whose time begins at `now`, or later if `now` is None or the plan has `starts_when_polled`."""
        if not all(keys):
            raise ValueError("a key of a job is empty")
        if keys in self.jobs:
            raise ValueError(f"a job {keys!r} exists already")
        curve = plan.curve if callable(plan.curve) else curve_named(plan.curve, seed=f"{self.seed}/{keys!r}")
        job = SimulatedJob(vendor=vendor, keys=keys, plan=plan, curve=curve)
        job.started_at = None if plan.starts_when_polled else now
        self.jobs[keys] = job
        return job

    def decide(self, request: ReceivedRequest) -> Decision:
        """Decide one request and log it."""
        path = request.path.partition("?")[0]
        for vendor in _VENDORS:
            asked = vendor.asked(path)
            if asked is not None:
                return self._through_cache(request, vendor, asked)
        if path == _TOKEN_PATH:
            return self._issue_token(request)
        self.log.unrouted += 1
        if self.outage is not None:
            return self._finish(request, DOCUMENT360, SimulatedReply.of_json({}), self.outage)
        return self._finish(
            request, DOCUMENT360, SimulatedReply(404, b"no such path\n", {"Content-Type": "text/plain"})
        )

    def _through_cache(self, request: ReceivedRequest, vendor: Vendor, asked: Asked) -> Decision:
        if self.cache is None or request.method != "GET" or asked.action != "status":
            return self._route_job(request, vendor, asked)
        stored = self.cache.find(request.path, request.headers, request.at)
        if stored is not None:
            self.log.cached += 1
            self.log.decided(
                SeenRequest(request.at, request.method, request.path, request.headers, stored.status, None), whole=True
            )
            return Decision(stored)
        decision = self._route_job(request, vendor, asked)
        if decision.fault is None:
            self.cache.store(request.path, request.headers, decision.reply, request.at)
        return decision

    def _route_job(self, request: ReceivedRequest, vendor: Vendor, asked: Asked) -> Decision:
        starts = asked.action == "start"
        job = None if starts else self.jobs.get(asked.keys)
        if job is not None and asked.action == "status":
            job.polls += 1
        if self.outage is not None:
            status_document = {} if job is None else self._document(request, job, job.admitted)
            return self._finish(request, vendor, SimulatedReply.of_json(status_document), self.outage)
        method = vendor.start_method if starts else "GET"
        if request.method != method:
            return self._finish(request, vendor, SimulatedReply(405, headers={"Allow": method}))
        if asked.signed:
            return self._finish(request, vendor, self._result(request, vendor, job))
        token = vendor.token_in(request.headers)
        if not self.access.admits(vendor, token, request.at):
            return self._finish(request, vendor, vendor.refusal(401))
        if self.spurious.refuses_next():
            self.log.refused += 1
            return self._finish(request, vendor, vendor.refusal(self.spurious.status, like=429))
        return self._answer(request, vendor, asked, job, vendor.limit_key(token, asked.keys))

    def _answer(
        self, request: ReceivedRequest, vendor: Vendor, asked: Asked, job: SimulatedJob | None, limit_key: str
    ) -> Decision:
        state = self._count(vendor, limit_key, request.at)
        if state is not None and not state.accepted and self.limiter is not None:
            return self._finish(request, vendor, vendor.refusal(self.limiter.rule.refusal, like=429), None, state)
        entry: ParsedEntry = None
        if asked.action == "start":
            reply, entry = self._start(request, vendor, asked.keys)
        elif job is None:
            reply = vendor.unknown_job()
        elif asked.action == "result":
            reply = self._result(request, vendor, job)
        else:
            reply, entry = self._poll(request, job)
        return self._finish(request, vendor, reply, entry, state)

    def _count(self, vendor: Vendor, token: str, now: float) -> RateLimitState | None:
        if self.limiter is None or vendor.name not in self.limiter.rule.vendors:
            return None
        state = self.limiter.acquire(vendor.name, token, now)
        if state.accepted:
            self.log.accepted += 1
        else:
            self.log.refused += 1
        return state

    def _poll(self, request: ReceivedRequest, job: SimulatedJob) -> tuple[SimulatedReply, ParsedEntry]:
        script, nth = job.plan.script, job.admitted
        job.admitted += 1
        if job.started_at is None:
            job.started_at = request.at
        entry = script[nth] if nth < len(script) else self.faults.choose(self.seed, job.keys, nth)
        if job.plan.forbidden:
            return job.vendor.refusal(403), entry
        if job.is_hidden(request.at):
            return job.vendor.refusal(404), entry
        stage = job.stage(request.at)
        if stage.final and entry is None:
            job.finals += 1
            if job.first_final_at is None:
                job.first_final_at = request.at
        return SimulatedReply.of_json(self._document(request, job, nth)), entry

    def _document(self, request: ReceivedRequest, job: SimulatedJob, nth: int) -> dict[str, Any]:
        document = job.status_document(job.stage(request.at))
        return job.vendor.completed(document, origin=self.origin, now=request.at, nth=nth)

    def _result(self, request: ReceivedRequest, vendor: Vendor, job: SimulatedJob | None) -> SimulatedReply:
        """What a finished job made. A signed link has the time until which it is valid, in the clock's seconds."""
        until = parse_qs(request.path.partition("?")[2]).get("expires", [""])[0]
        if job is None or not isinstance(job.plan, JobPlan) or not job.stage(request.at).final:
            return vendor.unknown_job()
        if until and not request.at < _number(until):
            return SimulatedReply(
                403, b"<Error><Code>AuthenticationFailed</Code></Error>", {"Content-Type": "application/xml"}
            )
        return SimulatedReply(200, job.plan.result, {"Content-Type": "application/zip"})

    def _start(
        self, request: ReceivedRequest, vendor: Vendor, keys: tuple[str, ...]
    ) -> tuple[SimulatedReply, ParsedEntry]:
        nth = self.log.starts
        digest = hashlib.blake2b(f"{self.seed}/start/{nth}".encode(), digest_size=16).hexdigest().upper()
        started = vendor.start(request.body, keys, nth, digest, self.origin)
        if started is None:
            return vendor.refusal(400), None
        self.log.starts += 1
        self.add(vendor, started.keys, self.started_plans.get(vendor.call) or _default_plan(vendor), request.at)
        return started.reply, _entry_at(self.start_script, nth)

    def _issue_token(self, request: ReceivedRequest) -> Decision:
        nth = self.log.tokens
        self.log.tokens += 1
        if self.outage is not None:
            return self._finish(request, ORACLE_CONTENT, SimulatedReply.of_json({}), self.outage)
        if request.method != "POST":
            return self._finish(request, ORACLE_CONTENT, SimulatedReply(405, headers={"Allow": "POST"}))
        script = () if self.access.oauth is None else self.access.oauth.script
        reply = self.access.issue_token(request.headers, request.body, request.at)
        return self._finish(request, ORACLE_CONTENT, reply, _entry_at(script, nth))

    def _finish(
        self,
        request: ReceivedRequest,
        vendor: Vendor,
        reply: SimulatedReply,
        entry: ParsedEntry = None,
        state: RateLimitState | None = None,
    ) -> Decision:
        reply, fault = self._apply(vendor, reply, entry)
        socket_fault = fault
        if entry is None and 200 <= reply.status < 300:
            for odd in self.odd:
                reply, found = self._apply(vendor, reply, odd)
                socket_fault = found if found in SOCKET_FAULTS else socket_fault
        if state is not None and self.limiter is not None:
            reply = reply.with_headers(self.limiter.rule.fields(state))
        reply = reply.with_headers(self.reply_headers)
        if isinstance(entry, ReplyOverride):
            reply = reply.with_headers(entry.headers)
        self.log.decided(
            SeenRequest(request.at, request.method, request.path, request.headers, reply.status, fault),
            whole=socket_fault not in SOCKET_FAULTS or socket_fault in _WHOLE_IN_THE_END,
        )
        return Decision(reply, socket_fault if socket_fault in SOCKET_FAULTS else None)

    def _apply(self, vendor: Vendor, reply: SimulatedReply, entry: ParsedEntry) -> tuple[SimulatedReply, Fault | None]:
        match entry:
            case None:
                return reply, None
            case SimulatedReply():
                return entry, None
            case ReplyOverride(status=status):
                return _with_status(reply, vendor, reply.status if status is None else status), None
        body_fault = BODY_FAULTS.get(entry)
        if body_fault is not None:
            reply = body_fault(BodyFaultContext(reply=reply, vendor=vendor, faults=self.faults, origin=self.origin))
        return reply, entry


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _default_plan(vendor: Vendor) -> Plan:
    if vendor is ORACLE_CONTENT:
        return ExtractionPlan()
    return DeletePlan() if vendor is DOCUMENT360 else JobPlan()


def _with_status(reply: SimulatedReply, vendor: Vendor, status: int) -> SimulatedReply:
    """The reply with this status code."""
    if 200 <= status < 300 or status == reply.status:
        return attrs.evolve(reply, status=status)
    return vendor.refusal(status) if status >= 400 else SimulatedReply(status)


def _entry_at(script: tuple[ParsedEntry, ...], nth: int) -> ParsedEntry:
    return script[nth] if nth < len(script) else None
