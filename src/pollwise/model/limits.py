"""Limits that a caller or an endpoint states."""

from __future__ import annotations

import math

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["RateLimit"]


@attrs.frozen
class RateLimit:
    """A rate limit that a vendor documents: `RateLimit(60, per_s=60.0)`.

    Attributes:
        requests: Requests that the server allows in one window, at least 1.
        per_s: Length of the window in seconds.

    Raises:
        ConfigurationError: A value cannot be right.
    """

    requests: int
    per_s: float = attrs.field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        whole = type(self.requests) is int and self.requests >= 1
        if not whole or type(self.per_s) not in (int, float) or not 0 < self.per_s < math.inf:
            raise ConfigurationError(
                "a rate limit needs at least 1 request in a positive number of seconds, such as"
                f" RateLimit(60, per_s=60.0); got {self.requests!r} in {self.per_s!r}"
            )
