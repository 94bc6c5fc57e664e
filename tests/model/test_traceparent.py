"""A traceparent beside a cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.model.traceparent import checked_traceparent, with_traceparent, without_traceparent

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CURSORS = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.dictionaries(st.sampled_from(["pollwise.traceparent", "cursor", "next"]), st.one_of(st.none(), st.text())),
)


@given(CURSORS, st.sampled_from([None, TRACE]))
def test_a_cursor_comes_back_as_it_was(cursor: object, trace: str | None) -> None:
    """With a traceparent or without one, and whatever the cursor looks like."""
    assert without_traceparent(with_traceparent(cursor, trace)) == (cursor, trace)  # type: ignore[arg-type]


def test_a_cursor_without_a_traceparent_is_kept_bare() -> None:
    """A ledger of a program without traces is as before."""
    assert with_traceparent({"next": "/2"}, None) == {"next": "/2"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        TRACE[:-1],
        TRACE + "0",
        TRACE.upper(),
        f"{TRACE}\n",
        "ff" + TRACE[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_only_the_form_of_the_w3c_is_kept(value: object) -> None:
    """Any other value of a token or a row counts as none."""
    assert checked_traceparent(value) is None
    assert checked_traceparent(TRACE) == TRACE
