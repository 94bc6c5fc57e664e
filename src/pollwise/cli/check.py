"""`pollwise check`: what is right with the set-up of an endpoint and what is not, one line for each step.

Rule 1: the steps are those of a poll: the name, the proxy, the connection, TLS, the credentials, one job. After a step that
fails, the later ones are not tried, and their lines say so.
Rule 2: one status request is sent at most, and nothing that changes anything on the server.
Rule 3: the exit status is that of the worst step.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Hashable, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import attrs
from yarl import URL

from pollwise.cli.connections import proxy_of, tls_of, transport_for
from pollwise.cli.error_text import error_text
from pollwise.cli.event_text import AnyEndpoint, AnyEvent
from pollwise.cli.exit_status import ExitStatus, exit_status_of
from pollwise.cli.options import EndpointOptions
from pollwise.cli.safe_text import safe
from pollwise.cli.stdout import StdoutWriter
from pollwise.core.setup_faults import looks_needed
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceeded,
    JobNotFound,
    NotVisibleYet,
    PollError,
    PollTimeout,
    PollwiseError,
    SetupError,
)
from pollwise.http.probe import addresses_of, connect, encrypt
from pollwise.http.proxies import Proxies, Proxy
from pollwise.model.events import Abandoned, Progressed, Retrying
from pollwise.model.protocols import Endpoint
from pollwise.watcher import JobWatcher

__all__ = ["check_set_up"]

J = TypeVar("J", bound=Hashable)
V = TypeVar("V")

_STEPS: Final = ("name", "proxy", "connection", "tls", "credentials", "job")
_STEP_S: Final = 10.0
_DAY_S: Final = 86_400.0
_SOON_DAYS: Final = 14
_WORST: Final = (
    ExitStatus.SUCCEEDED,
    ExitStatus.ABANDONED,
    ExitStatus.NOT_FOUND,
    ExitStatus.DENIED,
    ExitStatus.SETUP,
)


@attrs.frozen
class Finding:
    """What one step found.

    Attributes:
        step: One of `_STEPS`.
        result: `ok`, `wrong`, `warning`, or `-` for a step that was not made.
        text: What was found. Not yet safe to print.
        status: The exit status that it stands for.
    """

    step: str
    result: str
    text: str
    status: ExitStatus = ExitStatus.SUCCEEDED


class _StepFailed(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


async def check_set_up(endpoint: Endpoint[J, Any], job: J, options: EndpointOptions) -> ExitStatus:
    """Make each step of a poll, print what it found, and return the exit status of the worst one.

    Raises:
        UsageError: An option cannot be used.
        ConfigurationError: The endpoint makes no request for this job that may be sent.
    """
    url = endpoint.request(job).url
    async with transport_for(options) as transport:
        transport.check(url)
    done = list[Finding]()
    output = options.writer() if options.writes_documents else StdoutWriter()

    async def show(finding: Finding) -> None:
        if not options.quiet or finding.result not in {"ok", "-"}:
            await output.line(_line(finding, json_wanted=options.writes_documents))

    async with aclosing(_findings(endpoint, job, url, options)) as findings:
        async for finding in findings:
            done.append(finding)
            await show(finding)
    made = {finding.step for finding in done}
    for step in _STEPS:
        if step not in made:
            await show(Finding(step, "-", "not checked"))
    return max((finding.status for finding in done), key=_WORST.index)


async def _findings(
    endpoint: Endpoint[J, Any], job: J, url: URL, options: EndpointOptions
) -> AsyncGenerator[Finding, None]:
    try:
        given, trust_env = proxy_of(options)
        proxy = Proxies(given, trust_env=trust_env).of(url)
        yield await _name(url, proxy)
        async for finding in _connections(url, proxy, options):
            yield finding
        for finding in _of_poll(await _first_event(endpoint, job, options), endpoint):
            yield finding
    except _StepFailed as failed:
        yield failed.finding


# --- the steps ----------------------------------------------------------------------------------


async def _name(url: URL, proxy: Proxy | None) -> Finding:
    if proxy is not None:
        return Finding("name", "-", f"the proxy looks {url.host} up")
    addresses = await _made("name", addresses_of(url.raw_host or "", url.port or 0))
    more = "" if len(addresses) < 2 else f" and {len(addresses) - 1} more"
    return Finding("name", "ok", f"{url.host} is at {addresses[0]}{more}")


async def _connections(url: URL, proxy: Proxy | None, options: EndpointOptions) -> AsyncGenerator[Finding, None]:
    began_at = time.monotonic()
    line = await _made("connection" if proxy is None else "proxy", connect(url, proxy))
    took_ms = 1000.0 * (time.monotonic() - began_at)
    try:
        if proxy is None:
            yield Finding("proxy", "-", "none is set for this host")
        else:
            source = "--proxy" if proxy.source == "proxy" else proxy.source
            yield Finding("proxy", "ok", f"{proxy.url}, of {source}, connects to {url.host}:{url.port}")
        yield Finding("connection", "ok", f"to {line.peer}, in {took_ms:.0f} ms")
        if url.scheme == "https":
            certificate = await _made("tls", encrypt(line, url, tls_of(options)))
            days = (certificate.expires_at - time.time()) / _DAY_S
            until = time.strftime("%Y-%m-%d", time.gmtime(certificate.expires_at))
            yield Finding(
                "tls",
                "ok" if days > _SOON_DAYS else "warning",
                f"{certificate.protocol}, certificate by {certificate.issuer}, valid until {until} ({days:.0f} days)",
            )
        else:
            yield Finding("tls", "-", "none: plain http")
    finally:
        await line.close()


async def _first_event(endpoint: Endpoint[J, Any], job: J, options: EndpointOptions) -> AnyEvent:
    """What one poll gives."""
    async with (
        transport_for(options) as transport,
        JobWatcher(endpoint, timeout_s=_STEP_S, transport=transport) as watcher,
    ):
        async for event in watcher.watch(job):
            return event
    raise AssertionError("a watch ended without an outcome")


def _of_poll(event: AnyEvent, endpoint: AnyEndpoint) -> Sequence[Finding]:
    """What a poll says about the credentials and the job."""
    error = event.error if isinstance(event, (Retrying, Abandoned)) else None
    if isinstance(error, SetupError):
        error = error.last_error
    if isinstance(error, AuthenticationError):
        return [Finding("credentials", "wrong", error_text(error), ExitStatus.DENIED)]
    if error is None:
        state = event.phase.value if isinstance(event, Progressed) else type(event).__name__.lower()
        return [_accepted(endpoint), Finding("job", "ok", state.replace("_", " "))]
    if isinstance(error, ConfigurationError):
        raise error
    if isinstance(error, DeadlineExceeded):
        error = error.last_error or PollTimeout(_STEP_S)
    told = isinstance(error, NotVisibleYet) or not isinstance(error, PollError)
    if isinstance(error, NotVisibleYet):
        error = JobNotFound(event.job, 404, error.problem)
    return [_accepted(endpoint) if told else Finding("credentials", "-", "not known"), _wrong("job", error)]


def _accepted(endpoint: AnyEndpoint) -> Finding:
    if endpoint.auth is None:
        return Finding("credentials", "-", "the endpoint has none of its own")
    return Finding("credentials", "ok", "accepted")


async def _made(step: str, work: Awaitable[V]) -> V:
    """The result of a step. Raises _StepFailed."""
    try:
        async with asyncio.timeout(_STEP_S):
            return await work
    except TimeoutError:
        error: PollwiseError = PollTimeout(_STEP_S)
    except PollError as exc:
        error = exc
    raise _StepFailed(_wrong(step, error))


def _wrong(step: str, error: PollwiseError) -> Finding:
    is_set_up = isinstance(error, PollError) and looks_needed(error) > 0
    return Finding(step, "wrong", error_text(error), ExitStatus.SETUP if is_set_up else exit_status_of(error))


def _line(finding: Finding, *, json_wanted: bool) -> str:
    if json_wanted:
        fields = {"step": finding.step, "result": finding.result, "message": finding.text}
        return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
    return f"{finding.step:<12}{finding.result:<9}{safe(finding.text)}"
