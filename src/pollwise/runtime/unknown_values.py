"""Logs each enum value that an endpoint does not know, once."""

from __future__ import annotations

import logging

from pollwise.model.log_fields import log_fields

__all__ = ["UnknownValues"]

_MOST_VALUES = 1_000
_LONGEST_VALUE = 200

_log = logging.getLogger(__name__)


class UnknownValues:
    """The values that one endpoint's replies had and this version does not know.

    Args:
        endpoint: The endpoint's name, for the log.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._logged: set[str] = set()

    def log_once(self, value: str) -> None:
        """Log `field=value`, unless it has been logged."""
        value = value[:_LONGEST_VALUE]
        if value not in self._logged and len(self._logged) < _MOST_VALUES:
            self._logged.add(value)
            _log.warning(
                "%s: unknown value %s",
                self._endpoint,
                ascii(value),
                extra=log_fields(endpoint=self._endpoint, value=ascii(value)),
            )
