"""The jobs of waiters as values, and as what a ledger keeps."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollwise import ConfigurationError
from pollwise.endpoints.aws.jobs import WaiterCodec, WaiterJob

SCALARS = (
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)  # fmt: skip


@settings(max_examples=30)
@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=4))
def test_a_job_comes_back_from_a_ledger(parameters: dict[str, Any]) -> None:
    """Equal, with equal parameters."""
    job = WaiterJob.of(parameters)
    again = WaiterCodec().job_from_keys(WaiterCodec().job_to_keys(job))
    assert again == job
    assert hash(again) == hash(job)
    assert job.parameters == parameters
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301  # pickled here


def test_equal_parameters_are_equal_jobs() -> None:
    """In whatever order, and as a list or a tuple."""
    one = WaiterJob.of({"b": ("x", {"d": 1, "c": 2}), "a": 1})
    other = WaiterJob.of({"a": 1, "b": ["x", {"c": 2, "d": 1}]})
    assert one == other
    assert repr(one) == 'WaiterJob(a=1, b=["x",{"c":2,"d":1}])'


def test_a_date_is_its_text() -> None:
    """Botocore takes such a text where it wants a date."""
    job = WaiterJob.of({"at": dt.datetime(2026, 11, 30, tzinfo=dt.UTC)})
    assert job.parameters == {"at": "2026-11-30T00:00:00+00:00"}


def _nested(depth: int) -> Any:
    return [] if depth == 0 else [_nested(depth - 1)]


@pytest.mark.parametrize(
    "value", [b"blob", float("nan"), 2**64, {1: 2}, object(), {"x"}, "\ud800", {"\ud800": 1}, _nested(30)]
)
def test_a_value_that_json_lacks_is_refused(value: Any) -> None:
    """The error names the parameter, and not the value."""
    with pytest.raises(ConfigurationError, match="the parameter Name "):
        WaiterJob.of({"Name": value})


@pytest.mark.parametrize("keys", [{"Name": "no json"}, {"Name": 1}, [], "text", {"Name": None}])
def test_keys_of_another_form_are_refused(keys: Any) -> None:
    """They come from a token or a file."""
    with pytest.raises(ConfigurationError, match="keys of a waiter's job"):
        WaiterCodec().job_from_keys(keys)


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_a_status_of_another_form_is_refused(data: Any) -> None:
    """A status is a JSON object."""
    assert WaiterCodec().status_from_json({"a": 1}) == {"a": 1}
    with pytest.raises(ConfigurationError, match="a JSON object"):
        WaiterCodec().status_from_json(data)
