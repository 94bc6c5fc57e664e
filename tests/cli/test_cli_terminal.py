from __future__ import annotations

import io
import os
import pty
import signal
import sys
import termios
from collections.abc import Iterator

import pytest

from drawn_terminal import DrawnTerminal
from pollwise.cli.terminal import RowsTerminal, leave_at_once, print_note


class Pair:
    """A pseudo-terminal: the end of the command as a stream, and the end of the user."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        os.set_blocking(self.ours, False)
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        termios.tcsetwinsize(theirs, (24, 80))

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.stream.fileno())[3] & termios.ECHO)

    def output(self) -> str:
        try:
            return os.read(self.ours, 65536).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.stream.close()
    os.close(pair.ours)


def test_keys_are_not_echoed_while_rows_are_drawn(pair: Pair) -> None:
    """What a user types does not move the rows. Afterwards the terminal echoes again."""
    terminal = RowsTerminal(pair.stream)
    assert pair.echoes
    terminal.open()
    assert not pair.echoes
    terminal.close()
    assert pair.echoes
    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL


def test_a_terminal_that_did_not_echo(pair: Pair) -> None:
    """A terminal without echo keeps being without it."""
    settings = termios.tcgetattr(pair.stream.fileno())
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(pair.stream.fileno(), termios.TCSANOW, settings)
    terminal = RowsTerminal(pair.stream)
    terminal.open()
    terminal.close()
    assert not pair.echoes


def test_the_process_ends_at_once(pair: Pair) -> None:
    """After a second Ctrl-C the cursor is shown, and is below the rows. Keys are echoed again."""
    shown = DrawnTerminal()
    terminal = RowsTerminal(pair.stream)
    terminal.open()
    shown.write("one\ntwo\nthree\x1b[?25l\x1b[?7l\r\x1b[2A")
    terminal.rows = 3
    leave_at_once()
    shown.write(pair.output().replace("\r\r\n", "\n"))
    assert shown.place == (3, 0)
    assert shown.cursor
    assert shown.text == ["one", "two", "three"]
    assert pair.echoes
    terminal.close()
    leave_at_once()
    assert pair.output() == ""


def test_ctrl_z_leaves_the_terminal_to_the_shell(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the process is stopped, keys are echoed and the cursor is shown below the rows; then all is as before."""
    terminal = RowsTerminal(pair.stream)
    terminal.open()
    terminal.rows = 2
    seen = []

    def stop(_process: int, number: int) -> None:
        seen.append((number, pair.echoes, pair.output()))

    monkeypatch.setattr(os, "kill", stop)
    signal.raise_signal(signal.SIGTSTP)
    assert seen == [(signal.SIGTSTP, True, "\x1b[1B\r\r\n\x1b[?7h\x1b[?25h")]
    assert not pair.echoes
    assert pair.output() == "\x1b[?25l"
    terminal.close()


def test_a_stream_that_is_no_terminal() -> None:
    """A stream in memory, such as that of an embedding program, is left alone."""
    stream = io.StringIO()
    terminal = RowsTerminal(stream)
    terminal.open()
    terminal.leave()
    terminal.close()
    assert stream.getvalue() == ""
    assert not terminal.in_background
    assert terminal.size(80, 24) == (80, 24)


def test_the_size_is_that_of_the_terminal(pair: Pair) -> None:
    """A stated size that is larger than the terminal is not used: its lines would be wrapped."""
    terminal = RowsTerminal(pair.stream)
    assert terminal.size(200, 50) == (80, 24)
    assert terminal.size(20, 10) == (20, 10)
    termios.tcsetwinsize(pair.stream.fileno(), (0, 0))  # as over some serial lines
    assert terminal.size(90, 30) == (90, 30)


def test_in_the_background_nothing_is_changed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background of a shell the terminal belongs to another command."""
    monkeypatch.setattr(os, "tcgetpgrp", lambda _descriptor: os.getpgrp() + 1)
    terminal = RowsTerminal(pair.stream)
    assert terminal.in_background
    terminal.open()
    assert pair.echoes
    terminal.close()


def test_a_note_on_a_terminal_is_wrapped_between_words(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of a message is cut at the end of a line."""
    monkeypatch.setattr(sys, "stderr", pair.stream)
    print_note("pollwise: " + "words that fill a line " * 5)
    lines = pair.output().splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) < 80
    assert lines[0].endswith((" a", " words", " that", " fill", " line"))


def test_a_command_in_a_note_is_whole(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in backquotes has no line end in it, so that a user can copy it."""
    monkeypatch.setattr(sys, "stderr", pair.stream)
    command = "`pollwise ledger export the-jobs-of-monday.jsonl.ledger`"
    print_note(f"pollwise: 3 of 7 jobs are over; {command} has the known outcomes.")
    assert command in pair.output()


def test_a_note_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that reads stderr gets one line."""
    print_note("pollwise: " + "words " * 50)
    assert capsys.readouterr().err.count("\n") == 1
