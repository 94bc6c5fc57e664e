"""A real HTTP server that behaves, and misbehaves, like the two vendors: for your tests, and for ours.

    async with Simulator(seed=7, faults=Faults(rate=0.2)) as sim:
        sim.add_extraction("FILE", "ZX-1", duration_s=3.0, skipped=3)
        ...  # point your code at sim.oracle_content_url

What a script, a chance or an outage does to a reply is a `Fault`, an `Answer` in place of it, or the same reply
`Amended`; `ODD` names right replies in an odd form. A `Plan`'s options say how a job itself behaves oddly.

It knows nothing of the rest of pollwise, so what it serves is the vendors' documentation, not our reading of it.
"""

from __future__ import annotations

from pollwise.simulator.access import OAuthClient
from pollwise.simulator.document360 import DeletePlan
from pollwise.simulator.faults import ODD, PROMPT, TRANSIENT, Fault, Faults, Script
from pollwise.simulator.field_overrides import ABSENT
from pollwise.simulator.jobs import JobOutcome, SimulatedJob
from pollwise.simulator.oracle_content import ExtractionPlan
from pollwise.simulator.outages import REFUSED, Outage
from pollwise.simulator.progress_curves import Curve, CurveName
from pollwise.simulator.rate_limits import RateLimit
from pollwise.simulator.replies import Amended, Answer
from pollwise.simulator.request_log import RequestLog, SeenRequest
from pollwise.simulator.server import Simulator

__all__ = [
    "ABSENT",
    "ODD",
    "PROMPT",
    "REFUSED",
    "TRANSIENT",
    "Amended",
    "Answer",
    "Curve",
    "CurveName",
    "DeletePlan",
    "ExtractionPlan",
    "Fault",
    "Faults",
    "JobOutcome",
    "OAuthClient",
    "Outage",
    "RateLimit",
    "RequestLog",
    "Script",
    "SeenRequest",
    "SimulatedJob",
    "Simulator",
]
