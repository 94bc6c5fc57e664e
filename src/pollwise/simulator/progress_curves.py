"""The progress that a job reports over its time.

Rule 1: a curve is a pure function from the share of the job's time, 0..1, to the share of its work, 0..1.
Rule 2: a curve can fall, because real servers stall, jump, and answer from replicas that lag behind.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable
from typing import Literal, TypeAlias

__all__ = ["Curve", "CurveName", "backwards", "curve_named", "ease", "jumpy", "linear", "stalls"]

Curve: TypeAlias = Callable[[float], float]
CurveName: TypeAlias = Literal["linear", "ease", "stalls", "backwards", "jumpy"]

_JUMPS = 9
_STEP_BACK = (0.02, 0.1)
_REPLICA_LAG = 0.15
_SLICES = 20


def linear(x: float) -> float:
    """The share of the work is the share of the time."""
    return x


def ease(x: float) -> float:
    """Slow, fast, slow."""
    return x * x * (3 - 2 * x)


def stalls(x: float) -> float:
    """Fast to 60 %, then no progress for half of the job's time, then the rest."""
    if x < 0.3:
        return 2 * x
    return 0.6 if x < 0.8 else 0.6 + 2 * (x - 0.8)


def backwards(x: float) -> float:
    """A lagging replica answers in every second twentieth of the time, so progress goes back."""
    return max(0.0, x - _REPLICA_LAG) if int(x * _SLICES) % 2 else x


def jumpy(seed: int | str) -> Curve:
    """A seeded curve that stalls, jumps, and at every third jump goes back a little."""
    rng = random.Random(f"jumpy/{seed}")
    moments = sorted(rng.random() for _ in range(_JUMPS))
    levels = sorted(rng.random() for _ in range(_JUMPS))
    for slip in range(2, _JUMPS, 3):
        levels[slip] = max(0.0, levels[slip - 1] - rng.uniform(*_STEP_BACK))

    def curve(x: float) -> float:
        return levels[bisect.bisect_right(moments, x) - 1] if x >= moments[0] else 0.0

    return curve


_NAMED: dict[str, Curve] = {"linear": linear, "ease": ease, "stalls": stalls, "backwards": backwards}


def curve_named(name: CurveName, *, seed: int | str) -> Curve:
    """The curve of that name. Only `jumpy` uses `seed`. Raises ValueError for an unknown name."""
    if name == "jumpy":
        return jumpy(seed)
    if name not in _NAMED:
        raise ValueError(f"no curve is called {name!r}; choose one of {', '.join([*_NAMED, 'jumpy'])}")
    return _NAMED[name]
