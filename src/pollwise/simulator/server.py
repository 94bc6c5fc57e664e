"""The simulator as a server: a socket and a clock in front of a router.

Rule 1: the router decides; this file listens, calls the router and sends its decision.
Rule 2: `aclose` ends everything at once: open connections are aborted, and no task or socket remains.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Self, Unpack
from weakref import WeakSet

import attrs
from aiohttp import web

from pollwise.simulator.access import Access, OAuthClient
from pollwise.simulator.document360 import DOCUMENT360, DeleteOptions, DeletePlan
from pollwise.simulator.faults import ODD, Fault, Faults, Script, ScriptEntry, parse_script
from pollwise.simulator.job_mix import generate_jobs
from pollwise.simulator.job_plan import JobOptions, JobPlan
from pollwise.simulator.jobs import JobOutcome, Plan, SimulatedJob
from pollwise.simulator.oracle_content import ORACLE_CONTENT, ExtractionOptions, ExtractionPlan
from pollwise.simulator.outages import REFUSED, Outage, OutageKind, parse_outage
from pollwise.simulator.rate_limits import RateLimit, RateLimiter
from pollwise.simulator.request_log import RequestLog
from pollwise.simulator.response_cache import ResponseCache
from pollwise.simulator.router import CALLS, ReceivedRequest, Router, SpuriousRefusals
from pollwise.simulator.socket_faults import SOCKET_FAULTS, SocketFaultContext, to_response

__all__ = ["Simulator"]

_log = logging.getLogger(__name__)
_SHUTDOWN_TIMEOUT_S = 0.05
_LOOP_PASSES = 20  # iterations of the loop in which handlers can end; they need about three
_BACKLOG = 1024


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Simulator:
    """A real HTTP server on the loopback that behaves, and misbehaves, like Document360 and Oracle Content Management.

    Use it as `async with Simulator(seed=7) as sim:`, or call `start` and `aclose`. A closed simulator can be started
    again on the same port with its jobs and counts, as after an outage. Time is the running loop's, so a job of an hour
    takes no time on a loop with virtual time.

    Args:
        seed: Decides everything that is random. The same seed and the same requests give the same replies.
        host: The address to listen on.
        port: The port to listen on; 0 chooses a free one.
        clock: Gives the seconds for jobs, rate limits and expiry; None is the running loop's time.
        api_token: The `api_token` that Document360 requires; None requires none.
        basic: User and password that Oracle Content Management accepts.
        bearer: A bearer token that it accepts. Without `basic`, `bearer` and `oauth` it requires no credential.
        oauth: The client that can fetch bearer tokens at `token_url`.
        rate_limit: The rate limit of each token; None is no limit.
        faults: Faults by chance.
        odd: Odd forms of correct replies, members of `ODD` or their names; several can be combined.
        reply_headers: Header fields of every reply, verbatim, such as `{"Retry-After": "0.5"}`.
        cache_s: Seconds that a cache answers for a job in place of the vendor; 0 is no cache. It obeys a request's
            `Cache-Control`.
        started: The plan of extractions that a client starts; or plans of what clients start, by the names of the calls.
        start_script: Its n-th entry applies to the n-th start. The job starts even if the reply is lost.
        log_size: How many of the latest requests are kept in full.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] | None = None,
        api_token: str | None = None,
        basic: tuple[str, str] | None = None,
        bearer: str | None = None,
        oauth: OAuthClient | None = None,
        rate_limit: RateLimit | None = None,
        faults: Faults | None = None,
        odd: Iterable[Fault | str] = (),
        reply_headers: Mapping[str, str] | None = None,
        cache_s: float = 0.0,
        started: ExtractionPlan | Mapping[str, Plan] | None = None,
        start_script: Script = (),
        log_size: int = 1000,
    ) -> None:
        self._router = Router(
            seed=seed,
            access=Access(seed=seed, api_token=api_token, basic=basic, bearer=bearer, oauth=oauth),
            limiter=None if rate_limit is None else RateLimiter(rate_limit),
            faults=faults or Faults(),
            started_plans={ORACLE_CONTENT.call: started} if isinstance(started, ExtractionPlan) else started or {},
            start_script=parse_script(start_script),
            log=RequestLog(size=log_size),
            cache=ResponseCache(cache_s) if cache_s else None,
            odd=_parse_odd(odd),
            reply_headers=dict(reply_headers or {}),
        )
        self._stale: WeakSet[asyncio.Transport] = WeakSet()
        self._host = host
        self._port = port
        self._clock = clock or _loop_time
        self._closing = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._http: web.Server | None = None

    # --- start and close ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Jobs that were added before start now. Raises OSError if the port is in use."""
        if self._listener is not None:
            raise RuntimeError("the simulator is running already")
        self._closing = asyncio.Event()
        http = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._listener = await self._listen(http)
        self._http = http
        self._port = self._listener.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._router.origin = f"http://{host}:{self._port}"
        now = self._clock()
        for job in self._router.jobs.values():
            if job.started_at is None and not job.plan.starts_when_polled:
                job.started_at = now
        _log.debug("listening on %s", self._router.origin)

    async def aclose(self) -> None:
        """Stop listening and abort all connections. Safe to call again."""
        if self._listener is None or self._http is None:
            return
        listener, http = self._listener, self._http
        self._listener = self._http = None
        listener.close()
        self._closing.set()
        await _abort_connections(http)
        await http.shutdown(_SHUTDOWN_TIMEOUT_S)
        await listener.wait_closed()
        _log.debug("closed %s", self._router.origin)

    async def _listen(self, http: web.Server) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(http, self._host, self._port, backlog=_BACKLOG)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- URLs --------------------------------------------------------------------------

    @property
    def document360_url(self) -> str:
        """Document360's base URL, without a slash at its end. Raises RuntimeError before the first start."""
        if not self._router.origin:
            raise RuntimeError("the simulator has no address before it is started")
        return self._router.origin

    @property
    def oracle_content_url(self) -> str:
        """Oracle Content Management's base URL, without a slash at its end."""
        return self.document360_url

    @property
    def token_url(self) -> str:
        """The URL where an OAuth client fetches bearer tokens."""
        return f"{self.document360_url}/oauth2/v1/token"

    # --- jobs ---------------------------------------------------------------------------------

    def add_delete(self, task_id: str, /, **options: Unpack[DeleteOptions]) -> SimulatedJob:
        """Add a delete-file task of Document360; the options are `DeletePlan`'s.

        Raises:
            ValueError: The task exists already, or an option is not valid.
        """
        return self._router.add(DOCUMENT360, (task_id,), DeletePlan(**options), self._now())

    def add_extraction(self, file_id: str, job_id: str, /, **options: Unpack[ExtractionOptions]) -> SimulatedJob:
        """Add an extraction job of Oracle Content Management; the options are `ExtractionPlan`'s.

        Raises:
            ValueError: The job exists already, or an option is not valid.
        """
        return self._router.add(ORACLE_CONTENT, (file_id, job_id), ExtractionPlan(**options), self._now())

    def add_job(self, call: str, /, *keys: str, **options: Unpack[JobOptions]) -> SimulatedJob:
        """Add a job of another call, such as `add_job("document360-v3-export", project_id, export_id)`.

        Its keys in `jobs`, `polls`, `finish` and `remove` begin with the name of the call. The options are `JobPlan`'s.

        Raises:
            ValueError: There is no such call, the job exists already, or an option is not valid.
        """
        if call not in CALLS or len(keys) != CALLS[call].key_count:
            raise ValueError(f"no call {call} with {len(keys)} keys; there are {', '.join(CALLS)}")
        return self._router.add(CALLS[call], (call, *keys), JobPlan(**options), self._now())

    def populate(
        self,
        *,
        document360: int = 6,
        oracle_content: int = 6,
        seed: int | None = None,
        duration_s: tuple[float, float] = (1.0, 8.0),
    ) -> list[SimulatedJob]:
        """Add a seeded mix of jobs with every outcome; see each job's `keys` and `outcome`.

        Args:
            document360: How many delete-file tasks.
            oracle_content: How many extractions.
            seed: Decides keys, durations and curves; None is the simulator's own.
            duration_s: The shortest and the longest duration in seconds.
        """
        # The number of jobs is in the seed, so that a second call adds other jobs.
        rng = random.Random(f"{self._router.seed if seed is None else seed}/{len(self._router.jobs)}")
        planned = generate_jobs(rng, document360=document360, oracle_content=oracle_content, duration_s=duration_s)
        return [self._router.add(vendor, keys, plan, self._now()) for vendor, keys, plan in planned]

    @property
    def jobs(self) -> Mapping[tuple[str, ...], SimulatedJob]:
        """All jobs by their keys, also those that clients started."""
        return MappingProxyType(self._router.jobs)

    def finish(self, *keys: str, outcome: JobOutcome | None = None) -> None:
        """End a job now, with another outcome than planned if one is given. Raises KeyError for an unknown job."""
        job = self._router.jobs[keys]
        now = self._now()
        if now is None:
            raise RuntimeError("a job can only end while the simulator runs")
        if job.started_at is None:
            job.started_at = now
        elapsed_s = max(0.0, min(now - job.started_at, job.plan.duration_s))
        job.plan = attrs.evolve(job.plan, duration_s=elapsed_s, outcome=outcome or job.outcome)

    def remove(self, *keys: str) -> None:
        """Remove a job: from now on it is unknown. Raises KeyError for an unknown job."""
        del self._router.jobs[keys]

    # --- faults ----------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """Faults by chance. Assign another value to change them."""
        return self._router.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._router.faults = faults

    @property
    def odd(self) -> tuple[Fault, ...]:
        """Odd forms of correct replies. Assign another value to change them."""
        return self._router.odd

    @odd.setter
    def odd(self, odd: Iterable[Fault | str]) -> None:
        self._router.odd = _parse_odd(odd)

    @property
    def reply_headers(self) -> Mapping[str, str]:
        """Header fields of every reply, verbatim. Assign another value to change them."""
        return self._router.reply_headers

    @reply_headers.setter
    def reply_headers(self, headers: Mapping[str, str]) -> None:
        self._router.reply_headers = dict(headers)

    def outage(self, kind: ScriptEntry) -> Outage:
        """An outage of the whole server, for every request, token requests and starts included.

            async with sim.outage("bad-gateway"):
                await asyncio.sleep(120)

        Or call `await outage.begin()` and `await outage.end()`.

        Args:
            kind: A fault or its name, a `SimulatedReply` or a `ReplyOverride`; or `"connection-refused"` for no listener.

        Raises:
            ValueError: No fault has that name.
        """
        return Outage(parse_outage(kind), self._set_outage)

    def refuse(self, count: int, *, of: int, status: int = 429) -> None:
        """Refuse `count` of the next `of` authenticated requests without any header, as servers do to shed load.

        Args:
            count: Number of refusals, evenly spread.
            of: Number of requests.
            status: The status code of these refusals.
        """
        if not 0 <= count <= of:
            raise ValueError(f"{count} of {of} requests cannot be refused")
        self._router.spurious = SpuriousRefusals(count, of, status)

    def revoke(self, *, api_token: str | None = None, bearer: str | None = None) -> None:
        """Answer 401 to every bearer token issued so far, until the client sends a newer one.

        Args:
            api_token: Replaces Document360's `api_token`.
            bearer: A fixed bearer token that is valid from now on. Fetched tokens do not need it.
        """
        self._router.access.revoke(api_token=api_token, bearer=bearer)

    def spend(self, requests: int, *, token: str = "") -> None:
        """Use up `requests` of a Document360 token's rate limit, as other users of the same token do."""
        now = self._now()
        if self._router.limiter is None or now is None:
            raise RuntimeError("a rate limit can only be spent if there is one, while the simulator runs")
        for _ in range(requests):
            self._router.limiter.acquire(DOCUMENT360.name, token, now)

    # --- received requests -----------------------------------------------------------------------

    @property
    def requests(self) -> RequestLog:
        """Counts and the latest requests."""
        return self._router.log

    def polls(self, *keys: str) -> int:
        """Number of status requests for the job with these keys. Raises KeyError for an unknown job."""
        return self._router.jobs[keys].polls

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return 0 if self._http is None else len(self._http.connections)

    # --- internals -------------------------------------------------------------------------------

    async def _set_outage(self, kind: OutageKind) -> OutageKind:
        """Set the outage; returns the previous one."""
        if self._listener is None or self._http is None:
            raise RuntimeError("an outage needs a running simulator")
        before: OutageKind = self._router.outage if self._listener.is_serving() else REFUSED
        self._router.outage = None if kind == REFUSED else kind
        if kind == REFUSED:
            self._listener.close()
            await _abort_connections(self._http)
        elif before == REFUSED:
            self._listener = await self._listen(self._http)
        return before

    def _now(self) -> float | None:
        return None if self._listener is None else self._clock()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        router = self._router
        router.log.arrived()
        try:
            transport = request.transport
            if transport is not None and transport in self._stale:
                transport.close()
                return web.Response()
            body = await request.read() if request.method == "POST" else b""
            received = ReceivedRequest(request.method, request.raw_path, request.headers, body, self._clock())
            decision = router.decide(received)
            if decision.fault is None:
                return to_response(decision.reply)
            context = SocketFaultContext(
                request=request,
                reply=decision.reply,
                faults=router.faults,
                closing=self._closing,
                stale=self._stale,
            )
            return await SOCKET_FAULTS[decision.fault](context)
        except ConnectionError:
            return web.Response()  # the client disconnected; this is never sent
        finally:
            router.log.left()


def _parse_odd(odd: Iterable[Fault | str]) -> tuple[Fault, ...]:
    faults = tuple(Fault(entry) for entry in odd)
    if not set(faults) <= set(ODD):
        raise ValueError(f"odd forms are {', '.join(fault.value for fault in ODD)}")
    return faults


async def _abort_connections(http: web.Server) -> None:
    for _ in range(_LOOP_PASSES):
        for connection in http.connections:
            if connection.transport is not None:
                connection.transport.abort()  # close() would wait for a client that does not read
        await asyncio.sleep(0)  # lets the handlers end, which a lost connection cancels
        if not http.connections:
            break
