"""The effect of a tuned constant of the core: runs a simulation with other values for it.

    python -m benchmarks.constants                                all constants with their committed values
    python -m benchmarks.constants scheduler._PATIENCE            with the values of the catalogue
    python -m benchmarks.constants scheduler._PATIENCE 0.5 2      with these values
    python -m benchmarks.constants --all                          the whole table; about ten minutes of CPU time

All simulations are seeded and in virtual time (simulations.py), and run one after the other on one core. The committed
value is marked with `*`. docs/scheduling.md has the reasons of the values. Each run is in its own process, which loads
the source with that one value replaced. So values that are computed from the constant change with it.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

from benchmarks import report

__all__ = ["CATALOGUE", "MODULES", "committed", "main", "values_in"]

MODULES = (
    "forecast",
    "scheduler",
    "host_health",
    "host_queue",
    "share",
    "token_budget",
    "slow_start",
    "rate_limiter",
    "rate_window",
    "pauses",
    "concurrency_limiter",
    "ready_queue",
    "pacing",
)

CATALOGUE: dict[str, tuple[str, tuple[float, ...]]] = {
    "forecast._PRIOR_JOBS": ("shared", (0.01, 1.0)),
    "forecast._HEADSTART_S": ("shared", (0.25, 20.0)),
    "forecast._MEMORY": ("shared", (100, 100_000)),
    "forecast._ENDS_TO_GO_BY": ("shared", (1, 50)),
    "forecast._ENDS_TO_KNOW": ("shared", (3.0, 60.0)),
    "forecast._SOME": ("shared", (0.0, 0.2)),
    "forecast._RARE": ("shared", (0.01, 0.5)),
    "forecast._UNFAIR": ("shared", (0.0005, 0.03)),
    "forecast._STRAGGLE": ("shared", (1.0, 3.0)),
    "forecast._SMEAR": ("shared", (0, 12)),
    "forecast._RATIO": ("shared", (1.02, 1.3)),
    "forecast._LEAST_ETA_S": ("alone", (0.005, 2.0)),
    "forecast._GAIN_MEMORY": ("shared", (0.0005, 0.1)),
    "forecast._LEAST_CHANCE": ("shared", (1e-8, 0.05)),
    "forecast.LEVELS_TO_DOUBLE": ("shared", (1, 8)),
    "scheduler._PATIENCE": ("shared", (0.5, 2.0)),
    "scheduler._PATIENCE_WITH_PROGRESS": ("shared", (0.9, 3.0)),
    "scheduler._MOST_PATIENCE": ("shared", (1.5, 10.0)),
    "scheduler._RISE": ("shared", (0.03, 0.5)),
    "scheduler._RISES_A_ROUND": ("shared", (3, 48)),
    "scheduler._SURE": ("shared", (1.0, 1.5)),
    "scheduler._LEAST_RISE_S": ("shared", (0.005, 5.0)),
    "scheduler._PRICE_MEMORY": ("shared", (0.002, 0.2)),
    "slow_start.FIRST_IN_FLIGHT": ("start", (1, 64)),
    "slow_start._SLOW_REPLY_S": ("start", (0.05, 5.0)),
    "slow_start._FIRST_REPLIES": ("start", (1, 200)),
    "token_budget._LOOK_AGAIN_S": ("start", (0.001, 0.5)),
    "token_budget._PLENTY": ("few", (1, 100)),
    "token_budget._SILENT_REPLIES": ("lapse", (1, 100)),
    "token_budget._FIRST_PROBE_S": ("outage", (0.1, 10.0)),
    "token_budget._OTHERS": ("windows", (2, 1_000)),
    "rate_limiter._SHORTEST_GOODPUT_S": ("unstated", (0.1, 10.0)),
    "rate_limiter._DOUBTFUL_GOODPUT_S": ("spurious", (1.0, 60.0)),
    "rate_limiter._SAME": ("unstated", (1.05, 3.0)),
    "rate_limiter._AS_MANY": ("unstated", (0.0, 0.3)),
    "rate_limiter._OFTEN_ENOUGH": ("unstated", (1, 8)),
    "rate_limiter._QUIET_S": ("unstated", (5.0, 600.0)),
    "rate_limiter._REFUSED_PROBES": ("unstated", (2, 20)),
    "rate_limiter._CLIMB": ("unstated", (0.05, 1.0)),
    "rate_limiter._CLOSE": ("unstated", (1.01, 1.2)),
    "rate_limiter._LOWER": ("unstated", (0.9, 0.995)),
    "rate_limiter._MUCH_LOWER": ("unstated", (0.5, 0.97)),
    "rate_limiter._LOWEST": ("unstated", (0.3, 0.95)),
    "rate_limiter._FORGET": ("moved", (1.5, 100.0)),
    "rate_limiter._MOVED": ("moved", (1.05, 10.0)),
    "rate_limiter._REFUTED": ("moved", (0.1, 0.9)),
    "rate_limiter._SHORTEST_TRIAL": ("unstated", (2, 100)),
    "rate_limiter._SHORTEST_TRIAL_S": ("unstated", (0.05, 10.0)),
    "rate_limiter._LONGEST_TRIAL_S": ("unstated", (5.0, 600.0)),
    "rate_limiter._HOLD": ("moved", (100, 8_000)),
    "rate_limiter._LONGEST_HOLD": ("moved", (1_000, 100_000)),
    "rate_limiter._TRIALS_A_HOLD": ("moved", (1, 64)),
    "rate_limiter._LONGEST_HOLD_S": ("moved", (60.0, 36_000.0)),
    "rate_limiter._BUSY": ("unstated", (0.1, 0.99)),
    "rate_limiter._CATCH_UP_S": ("unstated", (0.0, 1.0)),
    "rate_window._WINDOWS": ("windows", (1, 50)),
    "rate_window._LONG_S": ("windows", (1.0, 100.0)),
    "pauses._FIRST_S": ("outage", (0.02, 5.0)),
    "pauses._GROWTH": ("outage", (1.1, 8.0)),
    "pauses._LONGEST_S": ("outage", (1.0, 60.0)),
    "pauses._FEW": ("spurious", (0, 20)),
    "pauses._AT_ONCE_S": ("spurious", (0.001, 1.0)),
    "pauses._ENOUGH": ("spurious", (1, 1_000)),
    "pauses._CONTRADICTED": ("spurious", (1, 100)),
    "pacing.GROWTH": ("few", (1.1, 3.0)),
}
"""For each constant whose effect a simulation shows: that simulation, and the values to try besides the committed one."""

_CORE = Path(__file__).resolve().parents[1] / "src" / "pollwise" / "core"


# --- the constants of the source ----------------------------------------------------------------


def values_in(tree: ast.Module) -> Iterator[tuple[ast.Assign | ast.AnnAssign, str, float]]:
    """The numbers that a module assigns to UPPER_CASE names at its top level, also by arithmetic such as 1 / 64."""
    known: dict[str, float] = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name.isupper() and _is_arithmetic(value, known):
                known[name] = eval(compile(ast.Expression(value), name, "eval"), dict(known))  # noqa: S307  # arithmetic
                yield node, name, known[name]


def _is_arithmetic(value: ast.expr, known: dict[str, float]) -> bool:
    parts = list(ast.walk(value))
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    numbers = [part.value for part in parts if isinstance(part, ast.Constant)]
    return (
        all(isinstance(part, (*_ARITHMETIC, ast.Name, ast.Constant)) for part in parts)
        and all(isinstance(number, int | float) for number in numbers)
        and known.keys() >= set(names)
    )


_ARITHMETIC = (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)


def committed() -> dict[str, float]:
    """Each constant of `MODULES`, as `module.NAME`, with its value in the source."""
    trees = {module: ast.parse((_CORE / f"{module}.py").read_text()) for module in MODULES}
    return {f"{module}.{name}": value for module, tree in trees.items() for _, name, value in values_in(tree)}


class _Changed(MetaPathFinder, Loader):
    """Loads one module of the core with another value for one of its constants."""

    def __init__(self, module: str, name: str, value: float) -> None:
        self._module, self._path = f"pollwise.core.{module}", _CORE / f"{module}.py"
        self._name, self._value = name, value

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        tree = ast.parse(self._path.read_text())
        for node, name, _ in values_in(tree):
            if name == self._name:
                node.value = ast.copy_location(ast.Constant(self._value), node)
        exec(compile(tree, self._path, "exec"), module.__dict__)  # noqa: S102  # the module's own source


# --- runs ---------------------------------------------------------------------------------------


def _run_here(simulation: str, constant: str, value: float) -> None:
    """Print the figures of the simulation with this value."""
    module, _, name = constant.partition(".")
    sys.meta_path.insert(0, _Changed(module, name, value))
    from benchmarks.simulations import SIMULATIONS  # noqa: PLC0415  # which imports the core

    print(json.dumps(SIMULATIONS[simulation]()))


@functools.cache
def _committed_figures(simulation: str) -> dict[str, float]:
    """The figures with all committed values. They are the same for every constant."""
    constant, value = next(iter(committed().items()))
    return _figures(simulation, constant, value)


def _figures(simulation: str, constant: str, value: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.constants", "--run", simulation, constant, repr(value)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{constant} = {value!r}: {done.stderr.strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _show(constant: str, values: Sequence[float], simulation: str, committed_value: float) -> None:
    rows, headers = [], list[str]()
    for value in sorted({*values, committed_value}):
        is_committed = value == committed_value
        found = _committed_figures(simulation) if is_committed else _figures(simulation, constant, value)
        headers = list(found)
        rows.append((f"{'*' if is_committed else ' '} {value:g}", *found.values()))
    report.table(f"{constant}, by the simulation `{simulation}`", ("", *headers), rows)


def _number(text: str) -> float:
    return float(text) if not text.lstrip("-").isdigit() else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("constant", nargs="?", help="module.NAME, as in the list")
    parser.add_argument("values", nargs="*", type=_number, help="values to try; the committed one is always run")
    parser.add_argument("--simulation", help="the simulation to run instead of the catalogue's")
    parser.add_argument("--all", action="store_true", help="every constant of the catalogue, each with its values")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        _run_here(args.run[0], args.run[1], _number(args.run[2]))
        return
    values = committed()
    if args.constant and args.constant not in values:
        parser.error(f"no constant {args.constant!r}; without arguments the command lists all")
    if args.constant:
        simulation, tried = CATALOGUE.get(args.constant, ("shared", ()))
        _show(args.constant, args.values or tried, args.simulation or simulation, values[args.constant])
    elif args.all:
        for constant, (simulation, tried) in CATALOGUE.items():
            _show(constant, tried, simulation, values[constant])
    else:
        cells = [(name, f"{value:g}", CATALOGUE.get(name, ("-",))[0]) for name, value in values.items()]
        report.table("constants of the core", ("", "value", "simulation"), cells)


if __name__ == "__main__":
    main()
