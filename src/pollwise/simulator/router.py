"""What each request gets.

Rule 1: one request is decided at one moment, in this order: path, a cache, an outage, method, credentials, a spurious
    refusal, rate limit, the job's own answer, and last what goes wrong with it or is odd about it.
Rule 2: a request that is refused for its credentials or by the rate limit uses up no entry of a job's script.
Rule 3: a fault spoils the reply, never the deed: a job that was started is started, also if nobody hears of it.
Rule 4: an outage hides the vendors: it counts no request against a rate limit, uses up no script and starts nothing.
Rule 5: this file decides with the time that it is given; sockets and clocks are the server's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import attrs

from pollwise.simulator.access import Access
from pollwise.simulator.body_faults import SPOILERS, Spoiling
from pollwise.simulator.document360 import DOCUMENT360
from pollwise.simulator.faults import Entry, Fault, Faults
from pollwise.simulator.jobs import Plan, SimulatedJob
from pollwise.simulator.oracle_content import ORACLE_CONTENT, ExtractionPlan, read_start, started
from pollwise.simulator.progress_curves import curve_named
from pollwise.simulator.rate_limits import RateLimiter, Standing
from pollwise.simulator.replies import Amended, Answer
from pollwise.simulator.request_log import RequestLog, SeenRequest
from pollwise.simulator.response_cache import Cache
from pollwise.simulator.socket_faults import ACTORS
from pollwise.simulator.vendor import Vendor

__all__ = ["Asked", "Desk", "Spurious", "Verdict"]

_TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path, no secret
# large, slow or the last of their connection, but whole in the end
_ARRIVING = {Fault.HUGE_CHUNKED, Fault.SLOW_DRIP, Fault.NO_CONTENT_TYPE, Fault.CLOSED_AFTER, Fault.CLOSED_AT_NEXT}


@attrs.frozen
class Asked:
    """One request, and when it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@attrs.frozen
class Verdict:
    """What to send, and the fault of the connection that keeps it from arriving, if any."""

    answer: Answer
    fault: Fault | None = None


@attrs.define
class Spurious:
    """Refusals that no rate limit asks for: `refused` of the next `of` requests, evenly spread, with that code."""

    refused: int = 0
    of: int = 0
    status: int = 429
    _seen: int = attrs.field(init=False, default=0)

    def strikes(self) -> bool:
        """Is the next request refused?"""
        if self._seen >= self.of:
            return False
        self._seen += 1
        return self._seen * self.refused // self.of > (self._seen - 1) * self.refused // self.of


@attrs.define(kw_only=True, eq=False)
class Desk:
    """The two vendors' state: jobs, credentials, budgets and what goes wrong.

    Attributes:
        seed: Decides everything that is random.
        access: The credentials.
        limiter: The rate limit, if there is one.
        faults: What goes wrong by chance; may be replaced at any time.
        started_plan: How extractions go that are started by POST.
        start_script: What the n-th POST gets.
        log: What has been asked.
        cache: Stands before the vendors, if there is one.
        odd: In which odd forms right replies are sent.
        reply_headers: Header fields of every reply, verbatim.
        outage: What every request gets; None is no outage.
        spurious: Refusals that no rate limit asks for.
        origin: Our own scheme, host and port.
        jobs: All jobs by their keys.
    """

    seed: int
    access: Access
    limiter: RateLimiter | None
    faults: Faults
    started_plan: ExtractionPlan
    start_script: tuple[Entry, ...]
    log: RequestLog
    cache: Cache | None = None
    odd: tuple[Fault, ...] = ()
    reply_headers: Mapping[str, str] = attrs.field(factory=dict)
    outage: Entry = None
    spurious: Spurious = attrs.field(factory=Spurious)
    origin: str = ""
    jobs: dict[tuple[str, ...], SimulatedJob] = attrs.field(init=False, factory=dict)

    def add(self, vendor: Vendor, keys: tuple[str, ...], plan: Plan, now: float | None) -> SimulatedJob:
        """Add a job whose time begins now, or later if `now` is None or the plan says so."""
        if not all(keys):
            raise ValueError("a key of a job is empty")
        if keys in self.jobs:
            raise ValueError(f"there is a job {keys!r} already")
        curve = plan.curve if callable(plan.curve) else curve_named(plan.curve, seed=f"{self.seed}/{keys!r}")
        job = SimulatedJob(vendor=vendor, keys=keys, plan=plan, curve=curve)
        job.started_at = None if plan.starts_when_polled else now
        self.jobs[keys] = job
        return job

    def decide(self, asked: Asked) -> Verdict:
        """Decide one request, and write it down."""
        path = asked.path.partition("?")[0]
        for vendor in (DOCUMENT360, ORACLE_CONTENT):
            keys = vendor.keys_in(path)
            if keys is not None:
                return self._through_cache(asked, vendor, keys)
        if path == _TOKEN_PATH:
            return self._issue(asked)
        self.log.strays += 1
        if self.outage is not None:
            return self._settle(asked, DOCUMENT360, Answer.of_json({}), self.outage)
        return self._settle(asked, DOCUMENT360, Answer(404, b"no such path\n", {"Content-Type": "text/plain"}))

    def _through_cache(self, asked: Asked, vendor: Vendor, keys: tuple[str, ...]) -> Verdict:
        if self.cache is None or asked.method != "GET":
            return self._admit(asked, vendor, keys)
        stored = self.cache.find(asked.path, asked.headers, asked.at)
        if stored is not None:
            self.log.cached += 1
            self.log.decided(
                SeenRequest(asked.at, asked.method, asked.path, asked.headers, stored.status, None), whole=True
            )
            return Verdict(stored)
        verdict = self._admit(asked, vendor, keys)
        if verdict.fault is None:
            self.cache.store(asked.path, asked.headers, verdict.answer, asked.at)
        return verdict

    def _admit(self, asked: Asked, vendor: Vendor, keys: tuple[str, ...]) -> Verdict:
        starts = vendor is ORACLE_CONTENT and len(keys) == 1
        job = None if starts else self.jobs.get(keys)
        if job is not None:
            job.polls += 1
        if self.outage is not None:
            shown = {} if job is None else job.shown(job.stage(asked.at))
            return self._settle(asked, vendor, Answer.of_json(shown), self.outage)
        method = "POST" if starts else "GET"
        if asked.method != method:
            return self._settle(asked, vendor, Answer(405, headers={"Allow": method}))
        token = vendor.token_in(asked.headers)
        if not self.access.admits(vendor, token, asked.at):
            return self._settle(asked, vendor, vendor.refusal(401))
        if self.spurious.strikes():
            self.log.refused += 1
            return self._settle(asked, vendor, vendor.refusal(self.spurious.status, like=429))
        standing = self._count(vendor, token, asked.at)
        if standing is not None and not standing.accepted and self.limiter is not None:
            return self._settle(asked, vendor, vendor.refusal(self.limiter.rule.refusal, like=429), None, standing)
        if starts:
            answer, disturbance = self._start(asked, keys[0])
        elif job is None:
            answer, disturbance = vendor.unknown_job(), None
        else:
            answer, disturbance = self._poll(asked, job)
        return self._settle(asked, vendor, answer, disturbance, standing)

    def _count(self, vendor: Vendor, token: str, now: float) -> Standing | None:
        if self.limiter is None or vendor.name not in self.limiter.rule.vendors:
            return None
        standing = self.limiter.take(vendor.name, token, now)
        if standing.accepted:
            self.log.accepted += 1
        else:
            self.log.refused += 1
        return standing

    def _poll(self, asked: Asked, job: SimulatedJob) -> tuple[Answer, Entry]:
        script, nth = job.plan.script, job.admitted
        job.admitted += 1
        if job.started_at is None:
            job.started_at = asked.at
        disturbance = script[nth] if nth < len(script) else self.faults.draw(self.seed, job.keys, nth)
        if job.plan.forbidden:
            return job.vendor.refusal(403), disturbance
        if job.is_hidden(asked.at):
            return job.vendor.refusal(404), disturbance
        stage = job.stage(asked.at)
        if stage.final and disturbance is None:
            job.finals += 1
            if job.first_final_at is None:
                job.first_final_at = asked.at
        return Answer.of_json(job.shown(stage)), disturbance

    def _start(self, asked: Asked, file_id: str) -> tuple[Answer, Entry]:
        destination = read_start(asked.body)
        if destination is None:
            return ORACLE_CONTENT.refusal(400), None
        nth = self.log.starts
        self.log.starts += 1
        digest = hashlib.blake2b(f"{self.seed}/start/{nth}".encode(), digest_size=16).hexdigest().upper()
        keys = (file_id, f"ZX-{digest}{nth:013}")
        self.add(ORACLE_CONTENT, keys, self.started_plan, asked.at)
        return started(origin=self.origin, keys=keys, destination=destination), _entry(self.start_script, nth)

    def _issue(self, asked: Asked) -> Verdict:
        nth = self.log.tokens
        self.log.tokens += 1
        if self.outage is not None:
            return self._settle(asked, ORACLE_CONTENT, Answer.of_json({}), self.outage)
        if asked.method != "POST":
            return self._settle(asked, ORACLE_CONTENT, Answer(405, headers={"Allow": "POST"}))
        script = () if self.access.oauth is None else self.access.oauth.script
        answer = self.access.issue(asked.headers, asked.body, asked.at)
        return self._settle(asked, ORACLE_CONTENT, answer, _entry(script, nth))

    def _settle(
        self,
        asked: Asked,
        vendor: Vendor,
        answer: Answer,
        disturbance: Entry = None,
        standing: Standing | None = None,
    ) -> Verdict:
        answer, fault = self._disturb(vendor, answer, disturbance)
        acting = fault
        if disturbance is None and 200 <= answer.status < 300:
            for odd in self.odd:
                answer, found = self._disturb(vendor, answer, odd)
                acting = found if found in ACTORS else acting
        if standing is not None and self.limiter is not None:
            answer = answer.with_headers(self.limiter.rule.fields(standing))
        answer = answer.with_headers(self.reply_headers)
        if isinstance(disturbance, Amended):
            answer = answer.with_headers(disturbance.headers)
        self.log.decided(
            SeenRequest(asked.at, asked.method, asked.path, asked.headers, answer.status, fault),
            whole=acting not in ACTORS or acting in _ARRIVING,
        )
        return Verdict(answer, acting if acting in ACTORS else None)

    def _disturb(self, vendor: Vendor, answer: Answer, disturbance: Entry) -> tuple[Answer, Fault | None]:
        match disturbance:
            case None:
                return answer, None
            case Answer():
                return disturbance, None
            case Amended(status=status):
                return _under(answer, vendor, answer.status if status is None else status), None
        spoiler = SPOILERS.get(disturbance)
        if spoiler is not None:
            answer = spoiler(Spoiling(answer=answer, vendor=vendor, faults=self.faults, origin=self.origin))
        return answer, disturbance


def _under(answer: Answer, vendor: Vendor, status: int) -> Answer:
    """The answer under this status code."""
    if 200 <= status < 300 or status == answer.status:
        return attrs.evolve(answer, status=status)
    return vendor.refusal(status) if status >= 400 else Answer(status)


def _entry(script: tuple[Entry, ...], nth: int) -> Entry:
    return script[nth] if nth < len(script) else None
