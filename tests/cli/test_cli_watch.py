from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import termios
from collections.abc import Callable
from typing import Any

import pytest

from drawn_terminal import DrawnTerminal
from pollwise.simulator import Fault, Simulator

Run = Callable[..., Any]
Start = Callable[..., Any]
QUICK = ("--interval", "0.05")
LEFT = "stopped watching; the job may still be running. Run the same command to go on."


def extraction(simulator: Simulator, *more: str, file_id: str = "F", job_id: str = "J") -> list[str]:
    return ["watch", "oracle-content", file_id, job_id, "--base-url", simulator.oracle_content_url, *QUICK, *more]


def deletion(simulator: Simulator, *more: str, task_id: str = "T") -> list[str]:
    return ["watch", "document360", task_id, "--base-url", simulator.document360_url, *QUICK, *more]


async def first_request(simulator: Simulator) -> None:
    """Wait for the first request."""
    while not simulator.requests.total:
        await asyncio.sleep(0.01)


async def test_a_success_as_plain_lines(simulator: Simulator, command: Run) -> None:
    """In a pipe each event is one plain line. The last line is the outcome, with the names of skipped files."""
    simulator.add_extraction("F", "J", duration_s=0.3, starts_when_polled=True, skipped=3)
    status, out, err = await command(*extraction(simulator))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("oracle-content F / J running (0%, 1 poll, ")
    assert lines[-1].startswith("oracle-content F / J succeeded (")
    assert "3 skipped; skipped: exif-xmp.jpg, Mugs.jpg" in lines[-1]
    assert all(line.isprintable() for line in lines)
    assert simulator.requests.latest[0].headers["Authorization"] == "Bearer test-bearer-token"


async def test_the_keys_may_be_named_as_in_every_other_command(simulator: Simulator, command: Run) -> None:
    """`task_id=T` is the job T, and the named keys of an extraction may be in any order."""
    simulator.add_delete("T", duration_s=0.0)
    simulator.add_extraction("F", "J", duration_s=0.0)
    for arguments, job in (
        (deletion(simulator, task_id="task_id=T"), "document360 T"),
        (extraction(simulator, file_id="job_id=J", job_id="file_id=F"), "oracle-content F / J"),
    ):
        status, out, err = await command(*arguments)
        assert (status, err) == (0, "")
        assert out.splitlines()[-1].startswith(f"{job} succeeded (")


async def test_a_failure_as_json(simulator: Simulator, command: Run) -> None:
    """With --json each event, retries included, is one JSON object. A failed job gives status 1."""
    simulator.add_delete("T", duration_s=0.0, outcome="failed", script=[Fault.SERVER_ERROR])
    status, out, err = await command(*deletion(simulator, "--json"))
    assert (status, err) == (1, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["retrying", "failed"]
    assert events[0]["error"]["type"] == "ServerUnavailable"
    assert events[1]["job"] == {"task_id": "T"}
    assert events[1]["endpoint"] == "document360"
    assert events[1]["error"]["type"] == "JobFailed"
    assert events[1]["status"]["task_status"] == {"is_complete": True, "status": 4, "task_id": "T"}
    assert simulator.requests.latest[0].headers["api_token"] == "test-api-token"


async def test_a_cancellation_and_an_abandonment(simulator: Simulator, command: Run) -> None:
    """A cancelled job gives status 1, a deadline status 3, and an unknown job status 4."""
    simulator.add_delete("T", duration_s=0.0, outcome="cancelled")
    simulator.add_extraction("F", "J", duration_s=60.0)
    for arguments, status, kind, error in (
        (deletion(simulator), 1, "cancelled", "JobCancelled"),
        (extraction(simulator, "--timeout", "0.3"), 3, "abandoned", "DeadlineExceeded"),
        (extraction(simulator, job_id="unknown"), 4, "abandoned", "JobNotFound"),
    ):
        ended, out, err = await command(*arguments, "--json")
        assert (ended, err) == (status, "")
        outcome = json.loads(out.splitlines()[-1])
        assert (outcome["event"], outcome["error"]["type"]) == (kind, error)


async def test_each_line_is_written_at_once(simulator: Simulator, start: Start) -> None:
    """The reader of a pipe gets the first event while the job runs. If it closes the pipe, the command ends quietly."""
    simulator.add_extraction("F", "J", duration_s=60.0)
    child = await start(*extraction(simulator, "--json"))
    assert json.loads(await child.line())["event"] == "progressed"
    child.process.stdout._transport.close()  # as `| head -1` does
    assert await child.process.wait() == 141
    assert (await child.process.stderr.read()) == b""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_it_while_a_request_hangs(
    number: signal.Signals, status: int, simulator: Simulator, start: Start
) -> None:
    """Ctrl-C and SIGTERM end the command at once and without a traceback, also while a request hangs."""
    simulator.add_extraction("F", "J", script=[Fault.HANG])
    child = await start(*extraction(simulator, "--json"))
    await first_request(simulator)
    child.process.send_signal(number)
    assert await child.end() == (status, "", f"pollwise: {LEFT}\n")


async def test_hostile_texts_are_safe_in_a_pipe(simulator: Simulator, command: Run, hostile: str) -> None:
    """Markup, escape codes and reordering in a job's key or a vendor's message are written as safe text."""
    simulator.add_extraction("[bold]\u202e", "../x", duration_s=0.0, outcome="failed", message=hostile)
    status, out, err = await command(*extraction(simulator, file_id="[bold]\u202e", job_id="../x"))
    assert (status, err) == (1, "")
    assert out.rstrip("\n").isprintable()
    assert "oracle-content [bold] / ../x failed" in out
    assert "[bold]x[/]" in out


class Terminal:
    """A pseudo-terminal to run the command on."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (24, 80))

    async def output(self) -> str:
        """The output until the command has closed the terminal."""
        os.close(self.theirs)
        return await asyncio.to_thread(self._read)

    def _read(self) -> str:
        parts = []
        with contextlib.suppress(OSError):  # EIO on Linux after the last writer has closed it
            while part := os.read(self.ours, 65536):
                parts.append(part)
        os.close(self.ours)
        return b"".join(parts).decode()


@pytest.fixture
def on_terminal(start: Start, environment: pytest.MonkeyPatch) -> Start:
    """Runs a command on a terminal of 80 columns and returns its exit status and output."""
    environment.setenv("COLUMNS", "80")
    environment.setenv("LINES", "24")

    async def run(
        *arguments: str, term: str = "xterm-256color", signal_when: Any = None, keys: bytes = b""
    ) -> tuple[int, str]:
        environment.setenv("TERM", term)
        terminal = Terminal()
        ends = {"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs}
        child = await start(*arguments, **ends)
        reading = asyncio.create_task(terminal.output())
        if signal_when is not None:
            await signal_when
            os.write(terminal.ours, keys)
            child.process.send_signal(signal.SIGINT)
        return await child.process.wait(), await reading

    return run


async def test_live_rows_on_a_terminal(simulator: Simulator, on_terminal: Start, hostile: str) -> None:
    """A terminal gets live rows, and at the end a line with the outcome. Hostile texts are safe."""
    simulator.add_extraction("[red]F", "J", duration_s=0.8, starts_when_polled=True, message=hostile)
    status, out = await on_terminal(*extraction(simulator, file_id="[red]F"))
    assert status == 0
    assert "▸ running" in out
    assert "─" in out
    assert "\x1b[?25l" in out
    shown = DrawnTerminal()
    shown.write(out)
    assert shown.cursor
    assert shown.text[0].startswith("✓ succeeded  oracle-content [red]F / J (")
    assert "\x1b[31m\x9b" not in out
    assert "\u202e" not in out
    assert "\x07" not in out


async def test_a_terminal_that_cannot_move_its_cursor(simulator: Simulator, on_terminal: Start) -> None:
    """With TERM=dumb there is no escape code, and the output has the same lines as in a pipe."""
    simulator.add_delete("T", duration_s=0.0)
    status, out = await on_terminal(*deletion(simulator), term="dumb")
    assert status == 0
    assert "\x1b" not in out
    assert "document360 T succeeded (1 poll" in out


async def test_ctrl_c_on_a_terminal(simulator: Simulator, on_terminal: Start) -> None:
    """After Ctrl-C the last rows stay, each once, and a line below them says that the job may still be running."""
    simulator.add_extraction("F", "J", script=[Fault.HANG])
    status, out = await on_terminal(*extraction(simulator), signal_when=first_request(simulator), keys=b"\x03\n")
    assert status == 130
    shown = DrawnTerminal()
    shown.write(out)
    head, row, *words = shown.text
    assert head == "oracle-content  F / J"
    assert row.startswith("· waiting  0:0")
    assert " ".join(words) == f"pollwise: {LEFT}"
    assert max(map(len, words)) < 80
    assert shown.cursor
    assert shown.place == (4, 0)
