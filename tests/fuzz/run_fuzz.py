"""Fuzzes the targets of fuzz_targets.py, guided by coverage.

    ./dev fuzz [TARGET...] [--seconds N | --runs N]

An input that breaks a property stays in the folder `crashes/`, and its target ends the run. Put a fixed one into the
corpus of its target: the tests replay it from then on.
"""
# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CRASHES = HERE.parents[1] / "crashes"


def fuzz(name: str, options: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 - optional

    with atheris.instrument_imports(include=["pollwise", "fuzz_targets"]):
        from fuzz_targets import TARGETS  # noqa: PLC0415 - instrumented

    atheris.Setup([sys.argv[0], *options], TARGETS[name].check)
    atheris.Fuzz()


def main() -> None:
    from fuzz_targets import TARGETS  # noqa: PLC0415 - a child imports it instrumented

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, help="inputs for each target instead, always the same ones")
    options = parser.parse_args()
    CRASHES.mkdir(exist_ok=True)
    for name in options.targets or TARGETS:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as found:
            words = Path(found, "words.dict")
            words.write_text("".join(f'"{_escaped(word)}"\n' for word in TARGETS[name].words))
            grown = Path(found, "corpus")
            grown.mkdir()
            limit = ["-seed=1", f"-runs={options.runs}"] if options.runs else [f"-max_total_time={options.seconds}"]
            limit += ["-timeout=5", "-max_len=4096", "-rss_limit_mb=2048", "-print_final_stats=1", f"-dict={words}"]
            limit += [f"-artifact_prefix={CRASHES}/{name}-", str(grown), str(HERE / "corpus" / name)]
            print(f"== {name}", flush=True)
            if subprocess.run([sys.executable, __file__, "--child", name, *limit], check=False).returncode:
                raise SystemExit(f"{name}: an input breaks a property; it is in {CRASHES}")


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        fuzz(sys.argv[2], sys.argv[3:])
    main()
