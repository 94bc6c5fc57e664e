"""Errors that are kept: nothing of what their frames held."""

from __future__ import annotations

import pytest

from pollwise.model.tracebacks import endpoint_bug, strip_tracebacks


def broken(reply: str) -> None:
    """What an endpoint may be: it has something at hand when it fails."""
    raise ZeroDivisionError(reply)


def caught(error: type[BaseException] = ZeroDivisionError) -> BaseException:
    """An error with a cause that has a context, each with frames of its own."""
    with pytest.raises(error) as raised:
        try:
            try:
                broken("secret")
            finally:
                raise LookupError
        except LookupError as exc:
            raise error from exc
    return raised.value


def test_neither_an_error_nor_what_led_to_it_keeps_frames() -> None:
    """Along causes and contexts."""
    error = caught()
    assert strip_tracebacks(error) is error
    links = [error, error.__cause__, error.__context__, error.__cause__ and error.__cause__.__context__]
    assert [link.__traceback__ for link in links if link is not None] == [None] * 4


def test_a_bug_says_where_it_is_and_nothing_of_what_was_at_hand() -> None:
    """A note has the lines; the message of what was raised is with the cause alone."""
    reply = "secret"
    with pytest.raises(ZeroDivisionError) as raised:
        broken(reply)
    bug = endpoint_bug("job", raised.value, "see __cause__")
    (note,) = bug.__notes__
    assert "in broken" in note
    assert "raise ZeroDivisionError(reply)" in note
    assert reply not in f"{bug}{note}"
    assert bug.__cause__ is raised.value
    assert raised.value.__traceback__ is None
    assert not hasattr(endpoint_bug("job", ZeroDivisionError(), "never raised"), "__notes__")


def test_more_than_an_exception_goes_on_its_way_whole() -> None:
    """An error that ends the program shows where it was raised."""
    stop = caught(KeyboardInterrupt)
    assert endpoint_bug("job", stop, "see __cause__").__cause__ is stop
    assert stop.__traceback__ is not None
