"""The vendors' endpoints, one module or folder each, and what the author of another endpoint needs.

Import a vendor's module by its name, because none of them is loaded here.
"""

from __future__ import annotations

from pollwise.endpoints._address import path_segment
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.errors import MalformedReply, Problem, RateLimited
from pollwise.model.cursor import Cursor
from pollwise.model.limits import RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint, EndpointLike, LedgerCodec
from pollwise.model.reading import Phase, Reading
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

__all__ = [
    "AttrsCodec",
    "Auth",
    "Cursor",
    "Endpoint",
    "EndpointLike",
    "LedgerCodec",
    "MalformedReply",
    "Phase",
    "Problem",
    "RateLimit",
    "RateLimited",
    "Reading",
    "Reply",
    "Request",
    "ResultPage",
    "Submitted",
    "path_segment",
]
