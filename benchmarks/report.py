"""The outputs of every benchmark: a table, a line that names the machine, a JSON file, a plot.

Rule 1: each number is shown with the machine and the versions that it was measured with.
Rule 2: the JSON file contains no host name, no user name and no path.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["COLOURS", "GREY", "Row", "arguments", "installed", "machine", "plot", "save", "table"]

Row: TypeAlias = Sequence[object]

_HERE = Path(__file__).resolve().parent
_RESULTS = _HERE / "results"
_PLOTS = _HERE.parent / "docs" / "benchmarks"
GREY = "#808080"  # readable on white and on black
COLOURS = ("#2f8fd8", "#e0752d", "#3aa655", "#c44fb0", "#b59b1c", "#8a6fd6")


def arguments(about: str) -> argparse.ArgumentParser:
    """A parser with the options of all benchmarks."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "--quick", action="store_true", help="a small run that only shows that it works; writes no file"
    )
    parser.add_argument("--plot", action="store_true", help="draw docs/benchmarks/*.svg as well")
    return parser


def machine(*packages: str) -> str:
    """The processor, its cores, Python and the versions of the measured packages."""
    versions = [f"{name} {_version(name)}" for name in ("aiohttp", *packages)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join([f"{_processor()}, {cores} cores", f"Python {platform.python_version()}", *versions])


def table(title: str, headers: Row, rows: Iterable[Row]) -> None:
    """Print rows in columns; floats have three significant digits."""
    lines = [[_shown(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    print(f"\n{title}")
    for line in lines:
        cells = [
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), flush=True)


def save(name: str, found: dict[str, Any], *packages: str, quick: bool) -> None:
    """Write the results to results/NAME.json; a quick run writes no file."""
    print(f"\nmeasured on: {machine(*packages)}")
    if quick:
        return
    _RESULTS.mkdir(exist_ok=True)
    kept = {"benchmark": name, "machine": machine(*packages), **found}
    (_RESULTS / f"{name}.json").write_text(json.dumps(_rounded(kept), indent=1) + "\n")
    print(f"written to: benchmarks/results/{name}.json")


def plot(name: str, columns: int, draw: Callable[[Any], None], *, size: tuple[float, float]) -> None:
    """Draw docs/benchmarks/NAME.svg: `draw` gets the axes, one for each column."""
    import matplotlib as mpl  # noqa: PLC0415  # only a plot needs it

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    grey = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)
    look = {"svg.fonttype": "none", "svg.hashsalt": "pollwise", "font.family": "sans-serif", "font.size": 11.0}
    with mpl.rc_context(
        {**grey, **look, "grid.color": GREY, "grid.alpha": 0.3, "axes.prop_cycle": mpl.cycler(color=COLOURS)}
    ):
        figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, layout="constrained")
        for axis in axes[0]:
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(visible=True)
        draw(axes[0])
        _PLOTS.mkdir(parents=True, exist_ok=True)
        figure.savefig(_PLOTS / f"{name}.svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    print(f"drawn: docs/benchmarks/{name}.svg")


def installed(package: str) -> bool:
    """True if the package is installed."""
    return _version(package) != "none"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) < 100 else f"{cell:.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
