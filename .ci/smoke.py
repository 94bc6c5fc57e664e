"""What the wheel must do alone, with no extra installed: import, keep its public promises, carry its types.

Run by an environment that holds the wheel and its dependencies, from a folder that is not the checkout.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

PUBLIC = [
    "pollwise",
    "pollwise.endpoints.document360",
    "pollwise.endpoints.oracle_content",
    "pollwise.errors",
    "pollwise.progress",
    "pollwise.sync",
]
OF_EXTRAS = ["cyclopts", "jmespath", "looptime", "pytest", "rich", "tqdm", "uvloop"]


def main() -> None:
    """Check one promise after the other; the first that is broken ends the run."""
    if present := [name for name in OF_EXTRAS if find_spec(name) is not None]:
        fail(f"this environment is not bare: it has {present}")
    for name in PUBLIC:
        check_module(name)
    if not resources.files("pollwise").joinpath("py.typed").is_file():
        fail("py.typed is missing, so callers get no types")
    if metadata.metadata("pollwise").get_all("License-File") != ["LICENSE"]:
        fail("the licence is missing")
    check_command()
    sys.stdout.write(f"pollwise {metadata.version('pollwise')} works alone on Python {sys.version.split()[0]}\n")


def check_module(name: str) -> None:
    """A public module comes from the wheel and has every name of its `__all__`."""
    module = import_module(name)
    if "site-packages" not in str(module.__file__):
        fail(f"{name} comes from {module.__file__}, not from the wheel")
    if missing := [public for public in module.__all__ if not hasattr(module, public)]:
        fail(f"{name} promises {missing} and has none of it")


def check_command() -> None:
    """The command without its extra shows its version, and else says what to install, without a traceback."""
    version = run("--version")
    if (version.returncode, version.stdout) != (0, f"pollwise {metadata.version('pollwise')}\n"):
        fail(f"the command does not show its version: {version.stdout}{version.stderr}")
    demo = run("demo")
    said = demo.stdout + demo.stderr
    if demo.returncode == 0 or "Traceback" in said or "pollwise[cli]" not in said:
        fail(f"the command does not say that it needs its extra: {said}")


def run(argument: str) -> subprocess.CompletedProcess[str]:
    """Run the command of this environment."""
    command = Path(sys.executable).with_name("pollwise")
    return subprocess.run([command, argument], capture_output=True, text=True, check=False)  # noqa: S603 - our own


def fail(reason: str) -> NoReturn:
    """End the run, saying why."""
    raise SystemExit(f"smoke test: {reason}")


if __name__ == "__main__":
    main()
