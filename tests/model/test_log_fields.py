"""The fields of log records."""

from __future__ import annotations

from pollwise.model.log_fields import log_fields


def test_a_field_has_a_name_of_its_own() -> None:
    """No field of the logging module or of another library is overwritten, and what is not known is left out."""
    assert log_fields(endpoint="toy", error_type=None) == {"pollwise_endpoint": "toy"}
