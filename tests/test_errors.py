"""Every error carries its data, crosses a process, and says what to do next."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import attrs
import pytest

from pollwise import errors, ledger
from pollwise.errors import PollwiseError, Problem
from pollwise.ledger import errors as ledger_errors

PROBLEM = Problem(("-96", "7"), ("No such job.",), "!key")
EXAMPLES: dict[str, object] = {
    "job": "job-1",
    "status": {"any": "status"},
    "reason": "disk full",
    "timeout_s": 30.0,
    "last_error": errors.PollTimeout(5.0),
    "failures": 8,
    "http_status": 503,
    "problem": PROBLEM,
    "detail": "what happened.",
    "kind": "KeyError",
    "seconds": 5.0,
    "outage_s": 600.0,
    "retry_after_s": 7.0,
    "ahead_s": 612.0,
    "content_type": "text/html",
    "excerpt": "<html>",
    "origin": "http://example.com",
}


def every_error() -> list[PollwiseError]:
    """One of each concrete kind, with every field set."""
    found = []
    for kind in [getattr(home, name) for home in (errors, ledger) for name in home.__all__]:
        if isinstance(kind, type) and issubclass(kind, PollwiseError) and attrs.has(kind):
            fields = [field.name for field in attrs.fields(kind)]
            found.append(kind(*[EXAMPLES.get(field, f"some {field}") for field in fields]))
    return found


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: PollwiseError) -> None:
    """The same kind, the same data, the same words, on the other side of a process."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own pickle
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert [getattr(again, field.name) for field in attrs.fields(type(error)) if field.name != "last_error"] == [
        getattr(error, field.name) for field in attrs.fields(type(error)) if field.name != "last_error"
    ]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_notes_go_along(error: PollwiseError, again: Callable[[PollwiseError], PollwiseError]) -> None:
    """A note may say what matters most, such as that a job may have been started all the same."""
    error = type(error)(*error.args)
    error.add_note("it may be running")
    error.ours = 1  # as a caller may do
    made = again(error)
    made.add_note("another")
    assert error.__notes__ == ["it may be running"]
    assert made.__notes__ == ["it may be running", "another"]
    assert made.ours == 1


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_a_field_that_was_set_later_goes_along(again: Callable[[PollwiseError], PollwiseError]) -> None:
    """An error of `dice` has no job until its watch is known, and awaiting that watch raises a copy."""
    error = errors.CallbackFailed(None, "dice", "ValueError", "it gave nan")
    error.job = "job 7"
    limited = errors.RateLimited(math.nan)
    limited.retry_after_s = None
    assert repr(again(error)) == repr(error)
    assert repr(again(limited)) == repr(limited)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_a_message_is_a_sentence(error: PollwiseError) -> None:
    """It ends like one, fits on a screen, and shows no internals."""
    text = str(error)
    assert 20 < len(text) < 400 or type(error) is ledger.LedgerError  # never raised itself
    assert "object at 0x" not in text


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.DeadlineExceeded, TimeoutError),
        (errors.PollTimeout, TimeoutError),
        (errors.ConnectFailed, ConnectionError),
        (errors.TlsFailed, ConnectionError),
        (errors.ConfigurationError, ValueError),
        (errors.InsecureUrl, errors.WatchError),
        (errors.OriginChanged, errors.WatchError),
    ],
)
def test_an_error_is_also_what_python_calls_it(kind: type, builtin: type) -> None:
    """`except TimeoutError` catches what is one."""
    assert issubclass(kind, builtin)


def test_the_drawing_of_the_tree_is_true() -> None:
    """Every name in `__all__` but the values is in the module's drawing."""
    names = [name for name in errors.__all__ if issubclass(getattr(errors, name), BaseException)]
    assert [name for name in names if name not in (errors.__doc__ or "")] == []


def test_the_drawing_of_the_ledgers_tree_is_true() -> None:
    """The same for the errors of a ledger, and every one of them is public in `pollwise.ledger`."""
    assert [name for name in ledger_errors.__all__ if name not in (ledger_errors.__doc__ or "")] == []
    assert set(ledger_errors.__all__) <= set(ledger.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_named_where_it_is_imported_from(name: str) -> None:
    """In tracebacks, logs and pickles: the files of the package are no part of its name."""
    assert getattr(errors, name).__module__ == "pollwise.errors"


def test_a_vendors_text_cannot_drive_a_terminal() -> None:
    """Escape codes, line breaks and reordering marks are shown, not obeyed; the attributes keep the text unaltered."""
    hostile = "no\x1b[2J\r\nroom\u202e"
    error = errors.JobFailed("job", None, hostile)
    assert str(error).isprintable()
    assert str(Problem((hostile,), (hostile,), hostile)).isprintable()
    assert error.reason == hostile


def test_a_problem_reads_well() -> None:
    """The vendor's words, its key and its codes; or that there were none."""
    assert str(PROBLEM) == "No such job; !key; code -96, 7"
    assert str(Problem((), ("No such job.",))) == "No such job."
    assert str(Problem(("7",), ("Wait...",))) == "Wait...; code 7"
    assert str(Problem()) == "no details given"


def test_the_words_of_a_server_end_with_one_full_stop() -> None:
    """Whether the server wrote one or not."""
    for words in ("No such job.", "No such job"):
        error = errors.PermissionDenied("job", 403, Problem((), (words,)))
        assert str(error).endswith(" The server said: No such job.")
