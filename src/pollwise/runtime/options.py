"""What a JobWatcher is made with, as its watches use it."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["fraction_warning"]

_log = logging.getLogger(__name__)


def fraction_warning(endpoint_name: str) -> Callable[[float], None]:
    """A function that logs the first fraction that it is called with, and no other."""
    warned = False

    def warn(fraction: float) -> None:
        nonlocal warned
        if not warned:
            warned = True
            _log.warning(
                "%s: fraction %r is no share of the work; it must be from 0 to 1. It counts as None;"
                " this is logged once.",
                endpoint_name,
                fraction,
            )

    return warn
