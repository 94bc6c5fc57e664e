"""Changes the code on purpose, one change at a time, and says which changes no test notices.

    ./dev mutants [--children N] [--keep] [MODULE...]

Rule 1: a module is changed in a copy of the checkout. The checkout stays as it is.
Rule 2: only the tests that modules.toml names for a module run against its mutants, with a time-out and fail-fast.
Rule 3: mypy is a test, too: a mutant that it refuses could not be merged.
Rule 4: a mutant that survives must be argued in argued.toml, by its function and its changed lines. Else the run fails.
Rule 5: so does a run with an argument for a mutant that is killed or does not exist any more.

mutmut makes the mutants and runs the tests. docs/testing.md has the scores.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOOLS = Path(sys.executable).parent
_FOR_MUTMUT = {  # it adds lines with a bare `type: ignore`
    '"ignore-without-code", ': "",
    "[tool.mypy]\nstrict = true": "[tool.mypy]\nstrict = true\nwarn_unused_ignores = false",
}
_MYPY = {  # mutmut makes each function a variable, which mypy does not take as a converter of attrs
    "http/credentials.py": ["--disable-error-code", "misc"],
}
SURVIVED = ("survived", "no tests", "suspicious")


@attrs.frozen(order=True)
class Mutant:
    """One change: the function that has it, and its lines before and after, without their indentation."""

    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.function}\n    - {self.before}\n    + {self.after}"


@attrs.frozen
class Result:
    """What became of the mutants of one module: how many by status, and which survived."""

    counts: Counter[str]
    survivors: list[Mutant]


def settings(module: str, tests: list[str], patterns: list[str]) -> str:
    """The table of mutmut. Each of these values is the same in JSON and in TOML."""
    options: dict[str, Any] = {
        "source_paths": ["src"],
        "only_mutate": [f"src/pollwise/{module}"],
        "do_not_mutate_patterns": patterns,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist", "-q"],
        "pytest_add_cli_args_test_selection": tests,
        "process_isolation": "forkserver",  # each mutant meets modules in which no test has run
        "timeout_multiplier": 5.0,
        "timeout_constant": 2.0,
        "type_check_command": [
            *(sys.executable, str(HERE / "type_errors.py")),
            *("mypy", f"src/pollwise/{module}", "--output", "json", *_MYPY.get(module, [])),
        ],
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    return "\n".join(["", "[tool.mutmut]", *lines, ""])


def copy(module: str, tests: list[str], patterns: list[str], place: Path) -> None:
    """A checkout with the settings of mutmut for one module."""
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    project = (ROOT / "pyproject.toml").read_text()
    for ours, theirs in _FOR_MUTMUT.items():
        project = project.replace(ours, theirs)
    (place / "pyproject.toml").write_text(project + settings(module, tests, patterns))
    (place / "mutants" / "src").mkdir(parents=True)  # else Python remembers that this part of its path does not exist


def mutmut(place: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
        "HYPOTHESIS_PROFILE": "brief",  # derandomized, so a survivor survives again
        "MYPY_CACHE_DIR": str(place.parent / "mypy"),
        "PYTHONPATH": str(place / "mutants" / "src"),  # for processes that a test starts
    }
    done = subprocess.run(
        [TOOLS / "mutmut", *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"mutmut {' '.join(arguments)} failed:\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}")
    return done.stdout


def described(place: Path, name: str) -> Mutant:
    """The mutant of this name. mutmut numbers them, and a number changes with the code before it."""
    lines = mutmut(place, "show", name).splitlines()
    before = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    after = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    mangled = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    return Mutant(re.sub("^xǁ|^x_", "", mangled).replace("ǁ", "."), " ".join(before), " ".join(after))


def mutate(module: str, tests: list[str], patterns: list[str], place: Path, children: int) -> Result:
    copy(module, tests, patterns, place)
    mutmut(place, "run", "--max-children", str(children))
    counts: Counter[str] = Counter()
    survivors = []
    for line in mutmut(place, "results", "--all", "true").splitlines():
        name, _, status = line.strip().rpartition(": ")
        if name:
            counts[status] += 1
            if status in SURVIVED:
                survivors.append(described(place, name))
    return Result(counts, sorted(survivors))


def score(counts: Counter[str]) -> str:
    total = counts.total()
    survived = sum(counts[status] for status in SURVIVED)
    by_type = counts["caught by type check"]
    return f"{total} mutants, {by_type} refused by mypy, {total - by_type - survived} killed, {survived} survived"


def judge(module: str, result: Result, argued: list[dict[str, str]]) -> bool:
    """Whether each survivor is argued, and each argument has its survivor."""
    known = {Mutant(one["function"], one["before"], one["after"]) for one in argued if one["module"] == module}
    unargued = [mutant for mutant in result.survivors if mutant not in known]
    gone = sorted(known - set(result.survivors))
    print(f"{module}: {score(result.counts)}, {len(unargued)} of them not argued", flush=True)
    for mutant in unargued:
        print(f"  survived: {mutant}")
    for mutant in gone:
        print(f"  argued, but killed or gone: {mutant}")
    return not unargued and not gone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="as in modules.toml, or a folder; all by default")
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="tests in parallel")
    parser.add_argument("--keep", type=Path, help="a folder in which to leave the copies")
    options = parser.parse_args()
    plan = tomllib.loads((HERE / "modules.toml").read_text())
    argued = tomllib.loads((HERE / "argued.toml").read_text()).get("argued", [])
    chosen = [name for name in plan["modules"] if not options.modules or name.startswith(tuple(options.modules))]
    if not chosen:
        raise SystemExit(f"modules.toml names none of {options.modules}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        folder = options.keep or Path(scratch)
        good = True
        for module in chosen:
            place = folder / module.replace("/", ".")
            result = mutate(module, plan["modules"][module], plan["not_mutated"], place, options.children)
            good = judge(module, result, argued) and good
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
