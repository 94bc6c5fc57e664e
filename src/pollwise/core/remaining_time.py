"""How long it probably takes until the last job of an endpoint is over, as a range.

Rule 1: times are monotonic seconds, and are arguments.
Rule 2: the range is None where too little is known.
"""

from __future__ import annotations

import attrs

__all__ = ["Remaining"]


@attrs.frozen(kw_only=True)
class Remaining:
    """The time that is left: between these two numbers of seconds, in nine of ten cases."""

    low_s: float
    high_s: float
