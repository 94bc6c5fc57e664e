"""`pollwise demo` and `pollwise simulator`: their arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from pollwise.cli.options import Count, Duration, EventOptions, LogOptions, Names, Port, Seed, Share

__all__ = ["demo", "simulator"]

_USUAL = EventOptions()
_USUAL_LOG = LogOptions()


async def demo(*, seed: Seed = 0, seconds: Duration = 10.0, options: EventOptions = _USUAL) -> int:
    """Watch a dozen jobs of both vendors on a simulator that fails on purpose.

    Args:
        seed: Decides which faults happen, and when.
        seconds: Approximate duration of the demo.
        options: What to show.
    """
    from pollwise.cli.demo import run_demo

    return await run_demo(seed=seed, seconds=seconds, options=options)


async def simulator(
    *,
    port: Port = 0,
    seed: Seed = 0,
    jobs: Count = 12,
    seconds: Duration = 30.0,
    faults: Share = 0.0,
    fault: Names = (),
    odd: Names = (),
    cache: Duration | None = None,
    requests_per_minute: Count | None = None,
    options: LogOptions = _USUAL_LOG,  # noqa: ARG001  read by run.py, as every command's
) -> int:
    """Serve both vendors' status calls on this machine, with jobs to watch.

    Args:
        port: The port to listen on; 0 chooses a free one.
        seed: Decides everything that is random.
        jobs: How many jobs to offer.
        seconds: Duration of the longest job; a job starts with its first poll.
        faults: Share of the requests with a fault, from 0 to 1.
        fault: A fault to choose from, such as bad-gateway; may be repeated. Without it: all common faults.
        odd: An odd form of correct replies, such as text-json; may be repeated.
        cache: How long a cache repeats replies, unless a request says no-cache.
        requests_per_minute: Document360's rate limit for each token; without it: no limit.
        options: What to log; read by run.py.
    """
    from pollwise.cli.simulate import run_simulator

    return await run_simulator(
        port=port,
        seed=seed,
        jobs=jobs,
        seconds=seconds,
        fault_rate=faults,
        fault_names=fault,
        odd=odd,
        cache_s=cache or 0.0,
        requests_per_minute=requests_per_minute,
    )
