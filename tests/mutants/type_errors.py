"""Runs mypy, and prints its errors without those that a copy of an unchanged method has, too.

    type_errors.py mypy FILE --output json

mutmut copies a method once for each of its mutants. Some declarations are errors in any copy: an attribute that is
declared twice, and a `Final` outside of `__init__`. Such an error says nothing about the mutant.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

Kind = tuple[str, str, str]


@cache
def copies(file: str) -> list[tuple[int, int, str, str]]:
    """The copies of the functions of a file: first and last line, the function's name, and which copy it is."""
    functions = [node for node in ast.walk(ast.parse(Path(file).read_text())) if isinstance(node, ast.FunctionDef)]
    return [
        (node.lineno, node.end_lineno or node.lineno, function, copy)
        for node in functions
        for function, mark, copy in [node.name.rpartition("_mutmut_")]
        if mark
    ]


def kind_of(error: dict[str, Any]) -> tuple[Kind, str] | None:
    """What is wrong in which function, and in which copy of it."""
    for first, last, function, copy in copies(error["file"]):
        if first <= error["line"] <= last:
            return (function, str(error["code"]), re.sub(r"\d+", "", error["message"])), copy
    return None


def main() -> None:
    done = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    errors = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    found = [(error, kind_of(error)) for error in errors]
    always = {kind[0] for _, kind in found if kind is not None and kind[1] == "orig"}
    for error, kind in found:
        if kind is None or kind[0] not in always:
            print(json.dumps(error))


if __name__ == "__main__":
    main()
