"""The CPU time of starting: of the command, and of the imports of a program.

    python -m benchmarks.startup
    python -m benchmarks.startup --runs 30

Each figure is the CPU time (user and system) of a whole process: the median and the least of the runs, which take turns, so
that other load on the machine meets all of them. The last column is the ratio to `import aiohttp` in the same run.

It writes no file. The tests count imported modules instead (tests/test_start_up.py), because a time is no test.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from typing import Final

PEER: Final = "import aiohttp"
PROGRAMS: Final = {
    "an empty program": ["-c", "pass"],
    PEER: ["-c", "import aiohttp"],
    "import pollwise": ["-c", "import pollwise"],
    "from pollwise import JobFailed": ["-c", "from pollwise import JobFailed"],
    "from pollwise import JobWatcher": ["-c", "from pollwise import JobWatcher"],
    "pollwise --version": ["-m", "pollwise", "--version"],
    "pollwise --help": ["-m", "pollwise", "--help"],
    "pollwise watch --help": ["-m", "pollwise", "watch", "--help"],
}


def cpu_s(arguments: list[str]) -> float:
    """The CPU seconds of a new interpreter with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(runs + 1):
        for name, arguments in PROGRAMS.items():
            seconds = cpu_s(arguments)
            if number:  # the first run may write the compiled modules
                taken[name].append(seconds)
    peer = statistics.median(taken[PEER])
    print(f"{'program':<34}{'median ms':>10}{'least ms':>10}{'ratio':>8}")
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"{name:<34}{1000 * median:>10.0f}{1000 * min(seconds):>10.0f}{median / peer:>8.2f}")


if __name__ == "__main__":
    main()
