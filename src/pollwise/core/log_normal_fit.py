"""A log-normal distribution that fits durations of which only bounds are known.

Rule 1: the fit is the most likely one, with weak priors. So few durations give the usual distribution and a large
uncertainty, and many outweigh the priors.
Rule 2: it takes some tens of evaluations of the likelihood. Each costs as much as there are different bounds, which are few,
because durations are in bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import attrs

__all__ = ["USUAL_SPREAD", "USUAL_SPREAD_SD", "Fit", "LogNormal", "fit_log_normal"]

USUAL_SPREAD = 0.6  # of the logarithms of durations of jobs, as a standard deviation
USUAL_SPREAD_SD = 0.5  # of the logarithm of that spread
_USUAL_MEAN, _USUAL_MEAN_SD = math.log(60.0), 3.0  # of the logarithms: a median of a minute, within a factor of 20
_LEAST = 1e-12  # a smaller probability counts as this
# the search begins at the best of these means, from the mean of the upper bounds, and of these spreads
_MEANS = (-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0)
_SPREADS = (0.1, 0.3, 0.8)
_DIFFERENCE = 1e-3  # for derivatives
_STEPS, _HALVINGS = 8, 5  # of Newton's method, at most
_ENOUGH = 0.01  # a step that gains less log-likelihood is the last one
_LONGEST = (2.0, 1.0)  # longest step, in mean and in logarithm of the spread
_TAIL = 2.5  # the standard score at which the uncertainty is taken


@attrs.frozen
class LogNormal:
    """The distribution: mean and spread (standard deviation) of the logarithms of seconds."""

    mean: float
    spread: float

    def hazard(self, age_s: float) -> float:
        """The cumulative hazard: exp of its negative is the share of jobs that take longer."""
        return 0.0 if age_s <= 0.0 else -math.log(_survival(self.mean, self.spread, math.log(age_s)))


@attrs.frozen
class Fit:
    """The likeliest distribution, and two that fit as well: one with earlier ends, and one with later ends."""

    early: LogNormal
    likeliest: LogNormal
    late: LogNormal


def fit_log_normal(
    between: Mapping[tuple[int, int], int], beyond: Mapping[int, int], edges: Sequence[float], sure: float
) -> Fit:
    """The distribution that fits these durations.

    Args:
        between: How many durations are known to be between two of the edges, by their indices.
        beyond: How many are known to be longer than an edge, by its index.
        edges: In seconds, from 0 on.
        sure: By how many standard deviations the early and the late distribution differ from the likeliest one.
    """
    last = max([1, *(until for _, until in between), *beyond])
    logs = [math.log(edge) for edge in edges[1 : last + 1]]
    known = [(since, until, count) for (since, until), count in between.items()]
    open_ = [(since, count) for since, count in beyond.items() if since > 0]

    def likelihood(mean: float, log_spread: float) -> float:
        spread = math.exp(log_spread)
        share = [1.0, *(_survival(mean, spread, log) for log in logs)]
        found = -0.5 * ((mean - _USUAL_MEAN) / _USUAL_MEAN_SD) ** 2
        found -= 0.5 * ((log_spread - math.log(USUAL_SPREAD)) / USUAL_SPREAD_SD) ** 2
        for since, until, count in known:
            found += count * math.log(max(share[since] - share[until], _LEAST))
        for since, count in open_:
            found += count * math.log(max(share[since], _LEAST))
        return found

    total = sum(count for _, _, count in known)
    middle = sum(count * logs[until - 1] for _, until, count in known) / total if total else _USUAL_MEAN
    _, mean, log_spread = max(
        (likelihood(middle + shift, math.log(spread)), middle + shift, math.log(spread))
        for shift in _MEANS
        for spread in _SPREADS
    )
    return _around(likelihood, mean, log_spread, sure)


def _survival(mean: float, spread: float, log_s: float) -> float:
    return max(0.5 * math.erfc((log_s - mean) / (spread * math.sqrt(2.0))), 1e-200)


def _around(likelihood: Callable[[float, float], float], mean: float, log_spread: float, sure: float) -> Fit:
    """Newton's method from this mean and spread, and the distributions around its result."""
    best = likelihood(mean, log_spread)
    for _ in range(_STEPS):
        slope, curvature = _derivatives(likelihood, mean, log_spread, best)
        covariance = _inverse(curvature)
        move = [min(most, max(-most, step)) for step, most in zip(_times(covariance, slope), _LONGEST, strict=True)]
        for halving in range(_HALVINGS):
            share = 0.5**halving
            moved = mean + share * move[0], log_spread + share * move[1]
            found = likelihood(*moved)
            if found > best:
                break
        else:
            break
        gained, best = found - best, found
        mean, log_spread = moved
        if gained < _ENOUGH:
            break
    slope, curvature = _derivatives(likelihood, mean, log_spread, best)
    covariance = _inverse(curvature)
    direction = (1.0, _TAIL * math.exp(log_spread))  # of the logarithm of an age in the tail
    shift = _times(covariance, direction)
    size = math.sqrt(max(1e-12, direction[0] * shift[0] + direction[1] * shift[1]))
    early, likeliest, late = (
        LogNormal(mean + move * shift[0] / size, math.exp(log_spread + move * shift[1] / size))
        for move in (-sure, 0.0, sure)
    )
    return Fit(early, likeliest, late)


def _derivatives(
    f: Callable[[float, float], float], x: float, y: float, value: float
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    """The gradient, and the negative second derivatives xx, xy and yy, which are made positive definite."""
    left, right, below, above = (
        f(x - _DIFFERENCE, y),
        f(x + _DIFFERENCE, y),
        f(x, y - _DIFFERENCE),
        f(x, y + _DIFFERENCE),
    )
    corner = f(x + _DIFFERENCE, y + _DIFFERENCE)
    xx = max(1e-3, (2.0 * value - left - right) / _DIFFERENCE**2)
    yy = max(1e-3, (2.0 * value - below - above) / _DIFFERENCE**2)
    xy = (right + above - value - corner) / _DIFFERENCE**2
    most = 0.99 * math.sqrt(xx * yy)
    return ((right - left) / (2 * _DIFFERENCE), (above - below) / (2 * _DIFFERENCE)), (
        xx,
        min(most, max(-most, xy)),
        yy,
    )


def _inverse(matrix: tuple[float, float, float]) -> tuple[float, float, float]:
    xx, xy, yy = matrix
    determinant = xx * yy - xy * xy
    return yy / determinant, -xy / determinant, xx / determinant


def _times(matrix: tuple[float, float, float], vector: tuple[float, float]) -> tuple[float, float]:
    xx, xy, yy = matrix
    return xx * vector[0] + xy * vector[1], xy * vector[0] + yy * vector[1]
