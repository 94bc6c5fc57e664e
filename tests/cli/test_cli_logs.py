from __future__ import annotations

import io
import logging
import re
import sys

import pytest

from pollwise.cli.logs import log_to_stderr


class ClosedStream(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def broken(states: str) -> None:
    raise ValueError(states)


log = logging.getLogger("pollwise.somewhere")


def test_warnings_are_shown_and_the_rest_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Without -v a warning or an error is one line on stderr, and lower levels are not shown."""
    with log_to_stderr():
        log.info("chatter")
        log.warning("unknown value %s", "x")
        try:
            broken("inside")
        except ValueError:
            log.exception("it broke")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "pollwise: warning: unknown value x\npollwise: error: it broke\n"


def test_a_request_that_is_sent_again_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """No event says it, and the command may wait for minutes. After the command the log is as quiet as before."""
    tries = logging.getLogger("pollwise.runtime.single_call")
    with log_to_stderr():
        tries.info("sent again")
    assert capsys.readouterr().err == "pollwise: info: sent again\n"
    assert not tries.isEnabledFor(logging.INFO)


def test_verbose_shows_the_whole_log(capsys: pytest.CaptureFixture[str]) -> None:
    """-v shows all of pollwise's own log with times, logger names and tracebacks, but no debug lines of other libraries."""
    with log_to_stderr() as show_all:
        show_all()
        logging.getLogger("asyncio").debug("other chatter")
        try:
            broken("inside")
        except ValueError:
            log.debug("it broke", exc_info=True)
    err = capsys.readouterr().err
    line = r"pollwise: \d\d:\d\d:\d\d\.\d{3} debug: it broke \[pollwise\.somewhere\]\n"
    assert re.match(rf"{line}Traceback \(most recent call last\):\n  File ", err)
    assert err.endswith("ValueError: inside\n")


def test_a_log_line_is_safe_to_print(capsys: pytest.CaptureFixture[str], hostile: str) -> None:
    """Untrusted text in a log line or in a traceback is made safe."""
    with log_to_stderr() as show_all:
        log.warning("said %s", hostile)
        show_all()
        try:
            broken(hostile)
        except ValueError:
            log.debug("broke", exc_info=True)
    for line in capsys.readouterr().err.splitlines():
        assert line.isprintable()


def test_logging_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the command the handlers and the level are as before. A closed stderr raises nothing."""
    root, ours = logging.getLogger(), logging.getLogger("pollwise")
    before = (list(root.handlers), ours.level)
    with log_to_stderr() as show_all:
        show_all()
        monkeypatch.setattr(sys, "stderr", ClosedStream())
        log.warning("into the void")
    assert (list(root.handlers), ours.level) == before
