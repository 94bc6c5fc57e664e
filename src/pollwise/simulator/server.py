"""The simulator as a server: a socket, a clock and a desk behind them.

Rule 1: the desk decides, this file listens, asks it, and does what it says.
Rule 2: closing ends everything at once: whoever hangs is hung up on, and no task or socket stays behind.
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
from pollwise.simulator.faults import ODD, Fault, Faults, Script, ScriptEntry, read_script
from pollwise.simulator.job_mix import draw_jobs
from pollwise.simulator.jobs import JobOutcome, SimulatedJob
from pollwise.simulator.oracle_content import ORACLE_CONTENT, ExtractionOptions, ExtractionPlan
from pollwise.simulator.outages import REFUSED, Manner, Outage, read_outage
from pollwise.simulator.rate_limits import RateLimit, RateLimiter
from pollwise.simulator.request_log import RequestLog
from pollwise.simulator.response_cache import Cache
from pollwise.simulator.router import Asked, Desk, Spurious
from pollwise.simulator.socket_faults import ACTORS, Acting, plain

__all__ = ["Simulator"]

_log = logging.getLogger(__name__)
_PATIENCE_S = 0.05
_TURNS = 20  # of the loop, for handlers to end in; they need about three
_BACKLOG = 1024


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Simulator:
    """A real HTTP server on the loopback that behaves, and misbehaves, like Document360 and Oracle Content Management.

    Use it as `async with Simulator(seed=7) as sim:`, or call `start` and `close`. A closed simulator can be started
    again, on the same port and with its jobs and counts kept: that is an outage. Time is the running loop's, so under
    a loop with virtual time an hour-long job takes as long as the test wants.

    Args:
        seed: Decides everything that is random. The same seed and the same requests give the same replies.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        clock: What tells the seconds for jobs, rate limits and expiry; None is the running loop's time.
        api_token: The `api_token` that Document360 asks for; None asks for none.
        basic: User and password that Oracle Content Management takes.
        bearer: A bearer token that it takes. Without `basic`, `bearer` and `oauth` it asks for nothing.
        oauth: The client that may fetch bearer tokens at `token_url`.
        rate_limit: How many requests a token has; None is no limit.
        faults: What goes wrong by chance.
        odd: In which odd forms right replies are sent, by the names of `ODD`; several may go together.
        reply_headers: Header fields of every reply, verbatim, such as `{"Retry-After": "0.5"}`.
        cache_s: Seconds that a cache in front answers for a job without asking the vendor; 0 is no cache. It honours a
            request's `Cache-Control`.
        started: How extractions go that a client starts by POST.
        start_script: What the n-th of these POSTs gets. The job is started also if the reply is lost.
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
        started: ExtractionPlan | None = None,
        start_script: Script = (),
        log_size: int = 1000,
    ) -> None:
        self._desk = Desk(
            seed=seed,
            access=Access(seed=seed, api_token=api_token, basic=basic, bearer=bearer, oauth=oauth),
            limiter=None if rate_limit is None else RateLimiter(rate_limit),
            faults=faults or Faults(),
            started_plan=started or ExtractionPlan(),
            start_script=read_script(start_script),
            log=RequestLog(size=log_size),
            cache=Cache(cache_s) if cache_s else None,
            odd=_read_odd(odd),
            reply_headers=dict(reply_headers or {}),
        )
        self._stale: WeakSet[asyncio.Transport] = WeakSet()
        self._host = host
        self._port = port
        self._clock = clock or _loop_time
        self._closing = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._http: web.Server | None = None

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Jobs that were added before begin now. Raises OSError if the port is taken."""
        if self._listener is not None:
            raise RuntimeError("the simulator is running already")
        self._closing = asyncio.Event()
        http = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._listener = await self._listen(http)
        self._http = http
        self._port = self._listener.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._desk.origin = f"http://{host}:{self._port}"
        now = self._clock()
        for job in self._desk.jobs.values():
            if job.started_at is None and not job.plan.starts_when_polled:
                job.started_at = now
        _log.debug("listening on %s", self._desk.origin)

    async def close(self) -> None:
        """Stop listening and hang up on everybody. Safe to call again."""
        if self._listener is None or self._http is None:
            return
        listener, http = self._listener, self._http
        self._listener = self._http = None
        listener.close()
        self._closing.set()
        await _hang_up_on_all(http)
        await http.shutdown(_PATIENCE_S)
        await listener.wait_closed()
        _log.debug("closed %s", self._desk.origin)

    async def _listen(self, http: web.Server) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(http, self._host, self._port, backlog=_BACKLOG)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # --- where it is --------------------------------------------------------------------------

    @property
    def document360_url(self) -> str:
        """Document360's base URL, without a slash at its end. Raises RuntimeError before the first start."""
        if not self._desk.origin:
            raise RuntimeError("the simulator has no address before it was started")
        return self._desk.origin

    @property
    def oracle_content_url(self) -> str:
        """Oracle Content Management's base URL, without a slash at its end."""
        return self.document360_url

    @property
    def token_url(self) -> str:
        """Where an OAuth client fetches bearer tokens."""
        return f"{self.document360_url}/oauth2/v1/token"

    # --- jobs ---------------------------------------------------------------------------------

    def add_delete(self, task_id: str, /, **options: Unpack[DeleteOptions]) -> SimulatedJob:
        """Add a delete-file task of Document360; the options are `DeletePlan`'s.

        Raises:
            ValueError: There is such a task already, or an option cannot be.
        """
        return self._desk.add(DOCUMENT360, (task_id,), DeletePlan(**options), self._now())

    def add_extraction(self, file_id: str, job_id: str, /, **options: Unpack[ExtractionOptions]) -> SimulatedJob:
        """Add an extraction job of Oracle Content Management; the options are `ExtractionPlan`'s.

        Raises:
            ValueError: There is such a job already, or an option cannot be.
        """
        return self._desk.add(ORACLE_CONTENT, (file_id, job_id), ExtractionPlan(**options), self._now())

    def populate(
        self,
        *,
        document360: int = 6,
        oracle_content: int = 6,
        seed: int | None = None,
        duration_s: tuple[float, float] = (1.0, 8.0),
    ) -> list[SimulatedJob]:
        """Add a seeded crowd in which every outcome occurs; each job's `keys` and `outcome` tell the truth about it.

        Args:
            document360: How many delete-file tasks.
            oracle_content: How many extractions.
            seed: Decides keys, durations and curves; None is the simulator's own.
            duration_s: The shortest and the longest duration in seconds.
        """
        # The number of jobs is in the seed, so that a second crowd is another one.
        rng = random.Random(f"{self._desk.seed if seed is None else seed}/{len(self._desk.jobs)}")
        drafts = draw_jobs(rng, document360=document360, oracle_content=oracle_content, duration_s=duration_s)
        return [self._desk.add(vendor, keys, plan, self._now()) for vendor, keys, plan in drafts]

    @property
    def jobs(self) -> Mapping[tuple[str, ...], SimulatedJob]:
        """All jobs by their keys, also those that clients have started."""
        return MappingProxyType(self._desk.jobs)

    def finish(self, *keys: str, outcome: JobOutcome | None = None) -> None:
        """End a job now, with another outcome than planned if one is given. Raises KeyError for an unknown one."""
        job = self._desk.jobs[keys]
        now = self._now()
        if now is None:
            raise RuntimeError("a job can end only while the simulator runs")
        if job.started_at is None:
            job.started_at = now
        elapsed_s = max(0.0, min(now - job.started_at, job.plan.duration_s))
        job.plan = attrs.evolve(job.plan, duration_s=elapsed_s, outcome=outcome or job.outcome)

    def remove(self, *keys: str) -> None:
        """Forget a job: from now on it is unknown. Raises KeyError if it is already."""
        del self._desk.jobs[keys]

    # --- what goes wrong ----------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """What goes wrong by chance. Assign another value to begin or end a storm."""
        return self._desk.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._desk.faults = faults

    @property
    def odd(self) -> tuple[Fault, ...]:
        """In which odd forms right replies are sent. Assign another value to change it."""
        return self._desk.odd

    @odd.setter
    def odd(self, odd: Iterable[Fault | str]) -> None:
        self._desk.odd = _read_odd(odd)

    @property
    def reply_headers(self) -> Mapping[str, str]:
        """Header fields of every reply, verbatim. Assign another value to change it."""
        return self._desk.reply_headers

    @reply_headers.setter
    def reply_headers(self, headers: Mapping[str, str]) -> None:
        self._desk.reply_headers = dict(headers)

    def outage(self, kind: ScriptEntry) -> Outage:
        """An outage of the whole server: every request meets this, token requests and starts included.

            async with sim.outage("bad-gateway"):
                await asyncio.sleep(120)

        It may also be begun and ended by `await outage.begin()` and `await outage.end()`.

        Args:
            kind: A fault or its name, an `Answer` or an `Amended`; or `"connection-refused"`, when nothing listens.

        Raises:
            ValueError: No fault has that name.
        """
        return Outage(read_outage(kind), self._change_manner)

    def refuse(self, count: int, *, of: int, status: int = 429) -> None:
        """Refuse so many of the next `of` admitted requests without any header, as servers do that shed load.

        Args:
            count: How many, evenly spread.
            of: Out of how many.
            status: The status code of these refusals.
        """
        if not 0 <= count <= of:
            raise ValueError(f"{count} of {of} requests cannot be refused")
        self._desk.spurious = Spurious(count, of, status)

    def revoke(self, *, api_token: str | None = None, bearer: str | None = None) -> None:
        """Answer 401 to every bearer token that was good so far, until the client brings a newer one.

        Args:
            api_token: Replaces Document360's `api_token`.
            bearer: A fixed bearer token that is good from now on. Fetched ones need none of this.
        """
        self._desk.access.revoke(api_token=api_token, bearer=bearer)

    def spend(self, requests: int, *, token: str = "") -> None:
        """Use up so much of a Document360 token's rate limit, as other users of the same token do."""
        now = self._now()
        if self._desk.limiter is None or now is None:
            raise RuntimeError("there is a budget to spend only with a rate limit, and while the simulator runs")
        for _ in range(requests):
            self._desk.limiter.take(DOCUMENT360.name, token, now)

    # --- what was asked -----------------------------------------------------------------------

    @property
    def requests(self) -> RequestLog:
        """Counts and the latest requests."""
        return self._desk.log

    def polls(self, *keys: str) -> int:
        """How often the job with these keys was asked about. Raises KeyError for an unknown one."""
        return self._desk.jobs[keys].polls

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return 0 if self._http is None else len(self._http.connections)

    # --- inside -------------------------------------------------------------------------------

    async def _change_manner(self, manner: Manner) -> Manner:
        """Set what every request meets; returns what it was before."""
        if self._listener is None or self._http is None:
            raise RuntimeError("there is an outage only while the simulator runs")
        before: Manner = self._desk.outage if self._listener.is_serving() else REFUSED
        self._desk.outage = None if manner == REFUSED else manner
        if manner == REFUSED:
            self._listener.close()
            await _hang_up_on_all(self._http)
        elif before == REFUSED:
            self._listener = await self._listen(self._http)
        return before

    def _now(self) -> float | None:
        return None if self._listener is None else self._clock()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        desk = self._desk
        desk.log.arrived()
        try:
            transport = request.transport
            if transport is not None and transport in self._stale:
                transport.close()
                return web.Response()
            body = await request.read() if request.method == "POST" else b""
            asked = Asked(request.method, request.raw_path, request.headers, body, self._clock())
            verdict = desk.decide(asked)
            if verdict.fault is None:
                return plain(verdict.answer)
            acting = Acting(
                request=request,
                answer=verdict.answer,
                faults=desk.faults,
                closing=self._closing,
                stale=self._stale,
            )
            return await ACTORS[verdict.fault](acting)
        except ConnectionError:
            return web.Response()  # the client has gone in mid-act; this goes nowhere
        finally:
            desk.log.left()


def _read_odd(odd: Iterable[Fault | str]) -> tuple[Fault, ...]:
    found = tuple(Fault(one) for one in odd)
    if not set(found) <= set(ODD):
        raise ValueError(f"odd forms are {', '.join(one.value for one in ODD)}")
    return found


async def _hang_up_on_all(http: web.Server) -> None:
    for _ in range(_TURNS):
        for connection in http.connections:
            if connection.transport is not None:
                connection.transport.abort()  # close() would wait for a client that does not read
        await asyncio.sleep(0)  # handlers are cancelled by the loss of their connection
        if not http.connections:
            break
