"""Jobs that were over in the reply to their start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.endpoints._at_once import check_asked, content_of, is_at_once, named_at_once, with_end
from pollwise.errors import ConfigurationError, MalformedReply, ServerUnavailable
from pollwise.model.reading import Reading
from pollwise.model.submitting import Submitted

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(JSON | st.binary(max_size=9))
def test_a_result_comes_back_as_it_was(content: object) -> None:
    """JSON values, and bytes. Its status can be kept in a ledger."""
    name, kept = named_at_once(content)
    assert is_at_once(name)
    assert not isinstance(kept, bytes)
    assert content_of(name, kept) == content


@pytest.mark.parametrize("kept", [None, [1, 2], [1, 2, 3, 4], "[1,2,3]"])
def test_a_result_that_is_not_whole_is_refused(kept: object) -> None:
    """The error says what to do before the next start."""
    name, _ = named_at_once([1, 2, 3])
    with pytest.raises(ConfigurationError, match="allow more before the next start"):
        content_of(name, kept)


def test_each_job_has_a_name_of_its_own() -> None:
    """Also with the same result."""
    assert named_at_once(None)[0] != named_at_once(None)[0]


@pytest.mark.parametrize(
    "name", ["", "7", "at-once-json-3", "at-once-xml-3-" + "0" * 32, "xat-once-json-1-" + "0" * 32]
)
def test_any_other_name_is_that_of_a_job_of_the_server(name: str) -> None:
    """It is asked about."""
    check_asked(name)
    assert not is_at_once(name)


def test_a_job_that_was_over_at_once_is_not_asked_about() -> None:
    """The server has no status of it."""
    with pytest.raises(ConfigurationError, match="no status of it"):
        check_asked(named_at_once(1)[0])


def test_an_end_in_the_reply_to_a_start_is_taken_and_nothing_else() -> None:
    """A job that goes on is polled at once, as ever, and a reply that says nothing is no error."""

    def refuse(error: Exception) -> Reading[str]:
        raise error

    end = Reading.succeeded("x")
    assert with_end("job", lambda: end) == Submitted("job", reading=end)
    assert with_end("job", lambda: Reading.running("x")) == "job"
    assert with_end("job", lambda: refuse(MalformedReply("no", 200))) == "job"
    assert with_end("job", lambda: refuse(ServerUnavailable(503))) == "job"
