"""How far a job says that it is, over its time.

Rule 1: a curve is a pure function from the share of the job's time, 0..1, to the share of its work, 0..1.
Rule 2: a curve need not rise. Real servers stall, jump, and answer from a replica that lags behind.
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
_SLIP = (0.02, 0.1)
_LAG = 0.15
_SLICES = 20


def linear(x: float) -> float:
    """Work is time."""
    return x


def ease(x: float) -> float:
    """Slow, fast, slow."""
    return x * x * (3 - 2 * x)


def stalls(x: float) -> float:
    """Fast to 60 %, then nothing for half of the job's time, then the rest."""
    if x < 0.3:
        return 2 * x
    return 0.6 if x < 0.8 else 0.6 + 2 * (x - 0.8)


def backwards(x: float) -> float:
    """Every second twentieth of the time is answered by a replica that lags behind: progress out of order."""
    return max(0.0, x - _LAG) if int(x * _SLICES) % 2 else x


def jumpy(seed: int | str) -> Curve:
    """A seeded curve that stands still, leaps, and every third time slips back a little."""
    rng = random.Random(f"jumpy/{seed}")
    moments = sorted(rng.random() for _ in range(_JUMPS))
    levels = sorted(rng.random() for _ in range(_JUMPS))
    for slip in range(2, _JUMPS, 3):
        levels[slip] = max(0.0, levels[slip - 1] - rng.uniform(*_SLIP))

    def curve(x: float) -> float:
        return levels[bisect.bisect_right(moments, x) - 1] if x >= moments[0] else 0.0

    return curve


_NAMED: dict[str, Curve] = {"linear": linear, "ease": ease, "stalls": stalls, "backwards": backwards}


def curve_named(name: CurveName, *, seed: int | str) -> Curve:
    """The curve of that name; `seed` matters to `jumpy` alone. Raises ValueError for another name."""
    if name == "jumpy":
        return jumpy(seed)
    if name not in _NAMED:
        raise ValueError(f"no curve is called {name!r}; there are {', '.join([*_NAMED, 'jumpy'])}")
    return _NAMED[name]
