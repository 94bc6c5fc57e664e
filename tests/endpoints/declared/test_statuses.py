"""The status of a declared endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import attrs
import pytest

from pollwise.endpoints.declared.statuses import StatusForm
from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.testing import reply


@attrs.frozen
class Status:
    state: str
    rows: int = 0


@dataclass(frozen=True)
class Plain:
    state: str


@pytest.mark.parametrize("data", [{"state": "done"}, [1], "text", None])
def test_without_a_class_a_status_is_the_json(data: Any) -> None:
    """Nothing is converted, so nothing can be wrong."""
    form: StatusForm[Any] = StatusForm(None)
    assert form.structured(data, reply(data)) == form.to_json(data) == form.from_json(data) == data


def test_a_class_makes_typed_statuses() -> None:
    """Classes of attrs, and dataclasses. Unknown fields are ignored, and fields with defaults may be missing."""
    assert StatusForm(Status).structured({"state": "done", "more": 1}, reply({})) == Status("done")
    assert StatusForm(Plain).structured({"state": "done"}, reply({})) == Plain("done")
    form = StatusForm(Status)
    assert form.from_json(form.to_json(Status("done", 7))) == Status("done", 7)


@pytest.mark.parametrize("data", [{}, {"state": 7}, {"state": "done", "rows": "7"}, None, []])
def test_a_reply_that_does_not_fit_is_malformed(data: Any) -> None:
    """No value is converted, and the error shows none."""
    with pytest.raises(MalformedReply, match="this is no Status"):
        StatusForm(Status).structured(data, reply(data))
    with pytest.raises(ConfigurationError):
        StatusForm(Status).from_json(data)
