"""Which keys the jobs of an endpoint have."""

from __future__ import annotations

import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.job_forms import VENDORS, JobForm, UnknownEndpoint, vendor_form
from pollwise.endpoints.oracle_content import ExtractionJob


def test_a_vendors_job_is_made_of_texts() -> None:
    """As `watch` makes it."""
    form = vendor_form("oracle-content")
    assert dict(form.columns) == {"file_id": str, "job_id": str}
    assert form.job_from_keys({"file_id": "F", "job_id": "J"}) == ExtractionJob("F", "J")
    with pytest.raises(UnknownEndpoint, match="no endpoint exports; there are document360 and oracle-content"):
        vendor_form("exports")
    assert list(VENDORS) == ["document360", "oracle-content"]


@pytest.mark.parametrize(
    ("types", "states"),
    [(None, "its codec has no key_types"), ({"endpoint": str}, "its key endpoint is a field that each row has")],
)
def test_rows_need_names_of_keys(types: dict[str, type] | None, states: str) -> None:
    """An endpoint without them can be watched, and is no endpoint of a row."""
    with pytest.raises(UsageError, match=f"rows cannot name jobs of exports: {states}"):
        _ = JobForm(name="exports", key_types=types, job_from_keys=dict).columns
