"""`pollwise simulator`: one server that simulates both vendors, to try the command and the SDK.

Rule 1: it listens on this machine alone, and accepts any credentials.
Rule 2: the time of a job begins with its first poll, so a job can be watched at any time.
Rule 3: each further call of the vendors has one job, and their starts create others.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Iterator, Sequence

from pollwise.cli.demo_jobs import DemoJob, demo_jobs
from pollwise.cli.endpoint_names import further_form
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.safe_text import counted, duration, safe
from pollwise.simulator import CALLS, ODD, PROMPT, Fault, Faults, RateLimit, SimulatedJob, Simulator

__all__ = ["run_simulator"]

_KEYS = ("handbook", "7")  # of the job of each further call


async def run_simulator(
    *,
    port: int,
    seed: int,
    jobs: int,
    seconds: float,
    fault_rate: float,
    fault_names: Sequence[str] = (),
    odd: Sequence[str] = (),
    cache_s: float = 0.0,
    requests_per_minute: int | None,
) -> ExitStatus:
    """Serve until the command is interrupted.

    Raises:
        UsageError: The port cannot be opened, or a fault or an odd form is unknown.
    """
    offered = list(demo_jobs(jobs))
    simulator = Simulator(
        seed=seed,
        port=port,
        faults=Faults(rate=fault_rate, kinds=_parse_faults(fault_names, tuple(Fault)) or PROMPT),
        odd=_parse_faults(odd, ODD),
        cache_s=cache_s,
        rate_limit=None if requests_per_minute is None else RateLimit(limit=requests_per_minute),
    )
    for job in offered:
        job.add_to(simulator, length_s=seconds, starts_when_polled=True)
    further = [
        simulator.add_job(name, *_KEYS[: call.key_count], duration_s=seconds, starts_when_polled=True)
        for name, call in CALLS.items()
    ]
    try:
        await simulator.start()
    except OSError as error:
        raise UsageError(f"port {port} cannot be opened ({error.strerror}); --port 0 chooses a free one") from error
    try:
        print("\n".join(_instructions(simulator, offered, further, seconds)), flush=True)
        await asyncio.Event().wait()
        return ExitStatus.SUCCEEDED
    finally:
        await simulator.aclose()
        print(f"pollwise: simulator stopped after {counted(simulator.requests.total, 'request')}", file=sys.stderr)


def _parse_faults(names: Sequence[str], allowed: Sequence[Fault]) -> list[Fault]:
    known = {fault.value: fault for fault in allowed}
    for name in names:
        if name not in known:
            raise UsageError(f"{safe(name)!r} is not one of {', '.join(known)}")
    return [known[name] for name in names]


def _instructions(
    simulator: Simulator, offered: Sequence[DemoJob], further: Sequence[SimulatedJob], seconds: float
) -> Iterator[str]:
    """The lines to paste into another terminal."""
    yield f"Document360 and Oracle Content Management, simulated at {simulator.document360_url}"
    yield f"A job's time begins with its first poll and is at most {duration(seconds)}. Any credentials will do."
    yield ""
    yield f"  export DOCUMENT360_BASE_URL={simulator.document360_url} DOCUMENT360_API_TOKEN=any"
    yield f"  export ORACLE_CONTENT_BASE_URL={simulator.oracle_content_url} ORACLE_CONTENT_TOKEN=any"
    for demo in offered:
        vendor = "document360" if len(demo.keys) == 1 else "oracle-content"
        command = f"pollwise watch {vendor} {shlex.join(demo.keys)} --interval 1"
        yield f"  {command:<68} # {demo.outcome}"
    first = simulator.jobs[offered[0].keys]
    yield f"  curl -i -H 'api_token: any' {simulator.document360_url}{first.path}"
    yield ""
    yield "Further calls, each with a job:"
    for job in further:
        name = job.vendor.call
        keys = (f"{key}={value}" for key, value in zip(further_form(name).columns, _KEYS, strict=False))
        yield f"  pollwise watch {name} {' '.join(keys)}"
    yield ""
    yield "Ctrl-C stops it."
