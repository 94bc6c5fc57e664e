"""A real HTTP server that behaves, and misbehaves, like the two vendors: for tests.

    async with Simulator(seed=7, faults=Faults(rate=0.2)) as sim:
        sim.add_extraction("FILE", "ZX-1", duration_s=3.0, skipped=3)
        ...  # point your code at sim.oracle_content_url

`add_job(call, *keys)` adds a job of any further call; `CALLS` has their names, which are those of the endpoints.

A script, a fault rate or an outage can change a reply in three ways: a `Fault`, a `SimulatedReply` in its place, or a
`ReplyOverride` of its header fields and status code. `ODD` lists correct replies in unusual forms. The options of a
`Plan` make the job itself behave unusually.

The simulator imports no other package of pollwise, so it serves what the vendors document, not what pollwise expects.
"""

from __future__ import annotations

from pollwise.simulator.access import OAuthClient
from pollwise.simulator.document360 import DeletePlan
from pollwise.simulator.faults import ODD, PROMPT, TRANSIENT, Fault, Faults, Script
from pollwise.simulator.field_overrides import ABSENT
from pollwise.simulator.job_plan import JobPlan
from pollwise.simulator.jobs import JobOutcome, SimulatedJob
from pollwise.simulator.oracle_content import ExtractionPlan
from pollwise.simulator.outages import REFUSED, Outage
from pollwise.simulator.progress_curves import Curve, CurveName
from pollwise.simulator.rate_limits import RateLimit
from pollwise.simulator.replies import ReplyOverride, SimulatedReply
from pollwise.simulator.request_log import RequestLog, SeenRequest
from pollwise.simulator.router import CALLS
from pollwise.simulator.server import Simulator

__all__ = [
    "ABSENT",
    "CALLS",
    "ODD",
    "PROMPT",
    "REFUSED",
    "TRANSIENT",
    "Curve",
    "CurveName",
    "DeletePlan",
    "ExtractionPlan",
    "Fault",
    "Faults",
    "JobOutcome",
    "JobPlan",
    "OAuthClient",
    "Outage",
    "RateLimit",
    "ReplyOverride",
    "RequestLog",
    "Script",
    "SeenRequest",
    "SimulatedJob",
    "SimulatedReply",
    "Simulator",
]
