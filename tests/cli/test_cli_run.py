from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

import pollwise
from pollwise.cli import main
from pollwise.cli.exit_status import UsageError
from pollwise.cli.options import LogOptions
from pollwise.cli.run import run
from pollwise.errors import ConfigurationError, InsecureUrl
from pollwise.ledger import LedgerInUse

USUAL = LogOptions()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> App:
    """The test's own commands instead of pollwise's."""
    app = App(name="pollwise")
    monkeypatch.setattr("pollwise.cli.run.app", app)
    return app


def raising(commands: App, error: BaseException) -> None:
    @commands.command
    async def go(*, options: LogOptions = USUAL) -> int:
        raise error


def test_a_command_gives_the_exit_status(commands: App) -> None:
    """The exit status is the command's return value."""

    @commands.command
    async def go() -> int:
        return 3

    assert run(["go"]) == 3


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UsageError("set X"), 2, "pollwise: set X\n"),
        (ConfigurationError("base_url is wrong"), 2, "pollwise: the base URL is wrong\n"),
        (
            InsecureUrl("http://x"),
            2,
            "pollwise: http://x is plain http to another machine; use https, or --allow-plain",
        ),
        (
            LedgerInUse("x.ledger"),
            74,
            (
                "pollwise: x.ledger is in use: one ledger is written by one process at a time. Stop the other one, use"
                " another file with --ledger, or only look at it with `pollwise ledger show`.\n"
            ),
        ),
        (KeyError("k"), 70, "pollwise: KeyError: 'k'. This is a bug in pollwise; -v shows where.\n"),
        (
            OSError(28, "No space left on device"),
            74,
            "pollwise: the output cannot be written (No space left on device)",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, words: str, commands: App, capsys: pytest.CaptureFixture[str]
) -> None:
    """No error prints a traceback, and each kind of error has its own exit status."""
    raising(commands, error)
    assert run(["go"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(words)
    assert err.count("\n") == (1 if words else 0)


def test_verbose_shows_the_traceback_of_a_bug(commands: App, capsys: pytest.CaptureFixture[str]) -> None:
    """-v shows the traceback of a bug. Afterwards the log level is as before."""
    raising(commands, KeyError("k"))
    assert run(["go", "-v"]) == 70
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("This is a bug in pollwise; -v shows where.\n")
    assert logging.getLogger("pollwise").level == logging.NOTSET


def test_hostile_arguments_are_shown_as_text(capsys: pytest.CaptureFixture[str], hostile: str) -> None:
    """An argument in an error message is safe to print."""
    assert run([hostile]) == 2
    err = capsys.readouterr().err
    assert err.rstrip("\n").isprintable()
    assert "[bold]x[/]" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("wacht", "Unknown command"),
        ("watch document360", "TASK_ID"),
        ("watch oracle-content F --base-url https://example.com", "JOB_ID"),
        ("watch document360 T --base-url", "--base-url needs a value: --base-url URL."),
        ("watch document360 T --base-url https://example.com --token s3cret", "Unknown option: --token"),
        ("watch document360 T --base-url https://example.com --token=s3cret", "Unknown option: --token"),
        ("watch document360 T --base-url https://example.com --timeout 0", "Invalid value for --timeout"),
        ("watch document360 T --base-url https://u:s3cret@example.com", "the base URL must not hold credentials"),
        ("watch document360 T --base-url example.com", "the base URL must be an absolute http or https URL"),
        ("watch document360 .. --base-url https://example.com", "task_id must not be '..'"),
        ("watch oracle-content F . --base-url https://example.com", "job_id must not be '.'"),
        ("watch document360 T --base-url https://example.com --interval 9 --max-interval 2", "swap them"),
        ("watch oracle-content F J --base-url http://example.com", "--allow-plain-http"),
        ("demo --seconds nan", "Invalid value for --seconds"),
        ("simulator --faults 2", "from 0 to 1"),
        ("simulator --port 99999", "from 0 to 65535"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    arguments: str, words: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in the arguments is reported in one line with its place. No request is sent, and no secret is shown."""
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pollwise: ")
    assert err.count("\n") == 1
    assert words in err
    assert "s3cret" not in err


@pytest.mark.parametrize("name", ["DOCUMENT360_API_TOKEN", "ORACLE_CONTENT_TOKEN"])
def test_a_missing_secret_is_a_usage_error(
    name: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its secret in the environment a watch does not start, and the message names the variable."""
    environment.delenv(name)
    keys = ["document360", "T"] if name.startswith("D") else ["oracle-content", "F", "J"]
    assert main(["watch", *keys, "--base-url", "https://example.com"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_command_clean_up(number: signal.Signals, status: int, commands: App) -> None:
    """Ctrl-C and SIGTERM cancel the command, which closes what it opened and then ends."""
    cleaned = []

    @commands.command
    async def go() -> int:
        os.kill(os.getpid(), number)
        try:
            await asyncio.get_running_loop().create_future()
            return 0
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    assert run(["go"]) == status
    assert cleaned == [True]


TWICE = """
import asyncio, sys, time
from pollwise.cli.run import app, run
@app.command
async def linger() -> int:
    print("ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaning", flush=True)
        time.sleep(60)
sys.exit(run(["linger"]))
"""


def test_a_second_signal_does_not_wait() -> None:
    """A second Ctrl-C ends the process at once, also while it cleans up."""
    child = subprocess.Popen([sys.executable, "-c", TWICE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        for state in (b"ready\n", b"cleaning\n"):
            assert child.stdout.readline() == state
            child.send_signal(signal.SIGINT)
        assert child.wait() == 130
        assert child.stderr.read() == b""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99


@pytest.mark.parametrize(("stdout", "written"), [(Terminal(), [(99, b"\x1b[?25h")]), (io.StringIO(), [])])
def test_a_second_signal_shows_the_cursor(
    stdout: io.StringIO, written: list[Any], commands: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second signal shows a terminal's cursor again before it ends the process; a pipe gets nothing."""
    seen: list[Any] = []

    def leave(status: int) -> None:
        seen.append(status)
        raise KeyboardInterrupt  # instead of ending the test's process

    @commands.command
    async def go() -> int:
        with contextlib.suppress(KeyboardInterrupt):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
        return await asyncio.sleep(60, 0)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(os, "write", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(sys, "stdout", stdout)
    assert run(["go"]) == 143
    assert seen == [*written, 143]


def test_a_signal_that_is_ignored_stays_ignored(commands: App) -> None:
    """A command that a shell started in the background ignores Ctrl-C, because it is meant for another command."""

    @commands.command
    async def go() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        return 0

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(["go"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_cancellation_without_a_signal_is_a_bug(commands: App) -> None:
    """A command that was cancelled without a signal has the exit status of a bug, not of an interruption."""
    raising(commands, asyncio.CancelledError())
    assert run(["go"]) == 70


def test_an_output_without_a_reader(commands: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stdout ends the command without a message and with status 141, also at the last flush."""
    # The command puts the null device in the place of the file of stdout.
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    raising(commands, BrokenPipeError())
    assert run(["go"]) == 141

    class ClosedAtFlush(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    @commands.command
    async def stay() -> int:
        return 0

    monkeypatch.setattr(sys, "stdout", ClosedAtFlush())
    assert run(["stay"]) == 141


def test_a_terminal_that_lacks_a_character(commands: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A character that stdout's encoding lacks is written escaped, and the command succeeds."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", write_through=True)

    @commands.command
    async def go() -> int:
        sys.stdout.write("✓ 日本\n")
        return 0

    monkeypatch.setattr(sys, "stdout", out)
    assert run(["go"]) == 0
    assert raw.getvalue() == b"\\u2713 \\u65e5\\u672c\n"


def test_streams_that_the_shell_has_closed(commands: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `>&- 2>&-` nothing is printed, and the exit status is still right."""
    raising(commands, UsageError("not printed"))
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(["go"]) == 2
    assert (sys.stdout, sys.stderr) == (None, None)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If the extra is not installed, one line says how to install it."""
    for name in ("run", "app", "options"):
        monkeypatch.delitem(sys.modules, f"pollwise.cli.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert main([]) == 2
    assert capsys.readouterr() == ("", "pollwise: the command line needs its extra: pip install 'pollwise[cli]'\n")


def test_another_missing_module_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module that is not part of the extra raises ModuleNotFoundError."""
    monkeypatch.delitem(sys.modules, "pollwise.cli.run", raising=False)
    monkeypatch.setitem(sys.modules, "pollwise.cli.streams", None)
    with pytest.raises(ModuleNotFoundError, match=r"pollwise\.cli\.streams"):
        main([])


def test_ctrl_c_during_the_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the modules are imported gives status 130, too."""

    class Interrupting:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "pollwise.cli.run":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "pollwise.cli.run", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main([]) == 130


CONSOLE_SCRIPT = "import sys\nfrom pollwise.cli import main\nsys.exit(main())\n"
INTERRUPT = "import os, signal, sys, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0)\n"
THEN_LOAD = "sys.path.remove(os.path.dirname(__file__))\ndel sys.modules[__name__]\n__import__(__name__)\n"


@pytest.mark.parametrize("module", ["cyclopts", "aiohttp"])  # before the arguments are parsed, and by a command
@pytest.mark.parametrize("started_as", ["module", "console script"])
def test_an_interrupt_while_the_command_is_loaded(started_as: str, module: str, tmp_path: Path) -> None:
    """Ctrl-C during the imports ends the command with 130 and without a traceback, however it was started."""
    (tmp_path / f"{module}.py").write_text(INTERRUPT + THEN_LOAD)
    script = tmp_path / "bin" / "pollwise"
    script.parent.mkdir()
    script.write_text(CONSOLE_SCRIPT)
    command = ["-m", "pollwise"] if started_as == "module" else [str(script)]
    done = run_python([*command, "simulator"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("name", ["program.py", "pollwise"])
def test_a_program_handles_its_own_interrupts(name: str, tmp_path: Path) -> None:
    """After `import pollwise` Ctrl-C raises KeyboardInterrupt, also in a program of the command's name."""
    program = tmp_path / name
    program.write_text("import pollwise, signal\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)")
    done = run_python([str(program)], None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_program_that_runs_the_command_keeps_its_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `main()` Ctrl-C and the garbage collection are as before, also after a usage error."""
    before = signal.getsignal(signal.SIGINT)
    for arguments, status in ((["--version"], 0), (["wacht"], 2), (["help", "batch"], 0)):
        monkeypatch.setattr(sys, "argv", ["pollwise", *arguments])
        assert (main(), gc.isenabled(), signal.getsignal(signal.SIGINT)) == (status, True, before)


def test_an_interrupt_while_a_program_imports_the_library(tmp_path: Path) -> None:
    """A program that imports pollwise gets the KeyboardInterrupt of its imports, also one that runs with `-m`."""
    (tmp_path / "aiohttp.py").write_text(INTERRUPT)
    program = "try:\n    from pollwise import JobWatcher\nexcept KeyboardInterrupt:\n    print('caught')\n"
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__init__.py").write_text(program)
    (tmp_path / "program" / "__main__.py").write_text("")
    done = run_python(["-m", "program", "pollwise"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "caught\n", "")


def run_python(arguments: list[str], first_on_path: Path | None) -> subprocess.CompletedProcess[str]:
    path = [str(Path(pollwise.__file__).parents[1])]
    if first_on_path is not None:
        path.insert(0, str(first_on_path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False, text=True)
