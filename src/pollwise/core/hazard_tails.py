"""Hazards of ages that no job has reached yet.

A tail is a function from an age in seconds to a cumulative hazard: exp of its negative is the share of jobs that still run.

Rule 1: up to the end of what was observed, a tail is the observed curve. Beyond it, a tail is a straight line on the axes of
a family of distributions. Its slope is that of the curve since half of the hazard at the end.
Rule 2: with few ends the slope is uncertain, so the usual slope of the family counts as well. For a range, the slope is
steeper or flatter by a part of its uncertainty.
Rule 3: an early tail is between a Weibull and a log-normal distribution, and a late one is log-normal. Most durations of jobs
are between the two.
Rule 4: where most jobs were polled so seldom that their ends are not known well, the tails are fits (`log_normal_fit.py`),
unless the jobs are clearly not log-normal, such as those of two groups.
Rule 5: a server that does one job after another ends as many jobs in each quarter of the time. If that was observed, the
early tail may have this rate. The late tail has it if most jobs have ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TypeAlias

import attrs

from pollwise.core.job_durations import EDGES, Curve, JobDurations
from pollwise.core.log_normal_fit import USUAL_SPREAD, USUAL_SPREAD_SD

__all__ = ["Tail", "early_and_late"]

Tail: TypeAlias = Callable[[float], float]

_SURE = 0.8  # standard deviations of the slope by which it is changed
_UNEVEN = 0.02  # the share by which an even rate may be uneven, besides its noise
_FEWEST_EVEN = 10  # ends that show an even rate
_MOST = 0.6  # the share of jobs whose even ends decide for the late tail as well
# a fit is poor, and not used, if the curve is better by so much log-likelihood, and by so much for each job that has ended
_POOR, _POOR_SHARE = 40.0, 0.08
_MOST_HAZARD = 500.0  # exp of more overflows

_NORMAL = NormalDist()


def early_and_late(durations: JobDurations) -> tuple[list[Tail], Tail]:
    """Tails of early ends, the earliest of which counts, and a tail of late ends."""
    curve = durations.curve()
    beyond = None if curve.hazards[-1] <= 0.0 else _beyond(curve)
    if beyond is not None and durations.are_known_well:
        return beyond
    fit = durations.fit(_SURE)
    if beyond is None:
        return [fit.early.hazard], fit.late.hazard
    fitted = durations.log_likelihood([math.exp(-fit.likeliest.hazard(edge)) for edge in EDGES])
    if curve.log_likelihood - fitted > _POOR + _POOR_SHARE * durations.ended:
        return beyond
    return [fit.early.hazard, *beyond[0]], fit.late.hazard


def _beyond(curve: Curve) -> tuple[list[Tail], Tail]:
    even = _is_even(curve)
    if even and _share_over(curve.hazards[-1]) > _MOST:
        return [_tail(curve, _UNIFORM, +1)], _tail(curve, _UNIFORM, -1)
    weibull, log_normal = _tail(curve, _WEIBULL, +1), _tail(curve, _LOG_NORMAL, +1)
    early: list[Tail] = [lambda age_s: math.sqrt(weibull(age_s) * log_normal(age_s))]
    if even:
        early.append(_tail(curve, _UNIFORM, +1))
    return early, _tail(curve, _LOG_NORMAL, -1)


@attrs.frozen(kw_only=True)
class _Family:
    """Distributions whose cumulative hazards are straight lines, with these axes.

    Attributes:
        height: The ordinate of a cumulative hazard.
        hazard: The cumulative hazard of an ordinate.
        logarithmic: Whether the abscissa is the logarithm of the age, and not the age.
        usual_slope: The slope that counts while there are few ends, or None.
    """

    height: Callable[[float], float]
    hazard: Callable[[float], float]
    logarithmic: bool = True
    usual_slope: float | None = None

    def slope(self, curve: Curve, sign: int) -> float:
        """The slope at the end of the curve: steeper than what is likeliest for +1, flatter for -1."""
        end = curve.hazards[-1]
        half_s, end_s = curve.age_of(end / 2.0), curve.frontier_s
        run = math.log(end_s / half_s) if self.logarithmic else end_s - half_s
        slope = math.log(max(self.height(end) - self.height(end / 2.0), 1e-9) / max(run, 1e-9))
        variance = 2.0 / max(curve.ends, 1)
        if self.usual_slope is not None:
            usual, sum_ = USUAL_SPREAD_SD**2, variance + USUAL_SPREAD_SD**2
            slope = (slope * usual + math.log(self.usual_slope) * variance) / sum_
            variance *= usual / sum_
        return math.exp(slope + sign * _SURE * math.sqrt(variance))


def _share_over(hazard: float) -> float:
    return -math.expm1(-hazard)


def _probit(hazard: float) -> float:
    return _NORMAL.inv_cdf(min(max(_share_over(hazard), 1e-9), 1.0 - 1e-12))


def _of_probit(height: float) -> float:
    return -math.log(max(math.erfc(height / math.sqrt(2.0)) / 2.0, 1e-300))


_WEIBULL = _Family(
    height=math.log,
    hazard=lambda height: math.exp(min(height, 50.0)),
    usual_slope=math.pi / math.sqrt(6.0) / USUAL_SPREAD,  # its logarithms have the usual spread
)
_LOG_NORMAL = _Family(height=_probit, hazard=_of_probit, usual_slope=1.0 / USUAL_SPREAD)
_UNIFORM = _Family(height=_share_over, hazard=lambda height: -math.log(max(1e-15, 1.0 - height)), logarithmic=False)


def _tail(curve: Curve, family: _Family, sign: int) -> Tail:
    end, end_s, slope = curve.hazards[-1], curve.frontier_s, family.slope(curve, sign)
    height = family.height(end)

    def hazard(age_s: float) -> float:
        if age_s <= end_s:
            return curve.at(age_s)
        run = math.log(age_s / end_s) if family.logarithmic else age_s - end_s
        return min(_MOST_HAZARD, max(end, family.hazard(height + slope * run)))

    return hazard


def _is_even(curve: Curve) -> bool:
    """Whether as many jobs have ended in each quarter of the time."""
    if curve.ends < _FEWEST_EVEN:
        return False
    over, end_s = _share_over(curve.hazards[-1]), curve.frontier_s
    noise = _UNEVEN + 0.5 / math.sqrt(curve.ends)
    quarters = (abs(_share_over(curve.at(share * end_s)) / over - share) for share in (0.25, 0.5, 0.75))
    return all(error < noise for error in quarters)
