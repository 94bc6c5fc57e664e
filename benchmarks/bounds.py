"""How well anybody could do who knows how long jobs take, but nothing of any one job: the bound with the same information.

Rule 1: it is a bound on every policy, not a policy. Requests get a price, and each job is then asked as suits it best; what
that costs, less what the requests bring in that there are, is less than any policy within the limit can come to (a
Lagrangian relaxation). The best price gives the bound.
Rule 2: it is more than kind: the durations are known from the beginning, and no job ever waits for another. Of jobs that
come at once it takes only that requests come evenly after the first window's worth, as they do while all of them go.
Rule 3: ages are gathered into spans. A request within one counts as if it came at the begin and saw all that is over
at the end: so what is rounded makes the bound lower, never too high. It holds for the mean over crowds; one crowd may be
a little luckier.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate, pairwise
from operator import mul, sub

from benchmarks.lab import WORKLOADS, Job, Limit

__all__ = ["informed_mean_s"]

_DRAWS = 20_000
_PRICES_S = [0.25 * 1.4**n for n in range(24)]
_ROUNDS = 1_000
_PATIENCE = 25  # rounds without a gain, after which the step is halved


class _Ages:
    """A grid of ages, with the share of jobs that live beyond each and that share summed up to it."""

    def __init__(self, workload: str, count: int, longer_s: float) -> None:
        dice, draw = random.Random(0), WORKLOADS[workload]
        drawn = sorted(draw(dice) for _ in range(_DRAWS))
        summed = [0.0, *accumulate(drawn)]
        quantiles = [drawn[n * _DRAWS // count] for n in range(count)]
        spread = [drawn[-1] ** (n / count) for n in range(count + 1)]
        beyond = [drawn[-1] + longer_s * n / 40 for n in range(1, 41) if longer_s]
        self.at = [0.0, *sorted({*quantiles, *spread}), *beyond]
        over = [bisect_right(drawn, age) for age in self.at]
        self.living = [1.0 - n / _DRAWS for n in over]
        self.lived = [(summed[n] + (_DRAWS - n) * age) / _DRAWS for n, age in zip(over, self.at, strict=True)]

    def cheapest(self, prices: list[float]) -> tuple[float, list[float]]:
        """The least delay and price together for one job in the mean, and how many requests go at each age for it."""
        at, living, lived = self.at, self.living, self.lived
        last = len(at) - 1
        costs, nexts = [0.0] * (last + 1), [last] * (last + 1)
        for n in range(last - 1, -1, -1):
            alive, base = living[n], lived[n] - at[n] * living[n]
            costs[n], nexts[n] = min(
                (at[m - 1] * alive - lived[m - 1] + base + prices[m] * alive + costs[m], m)
                for m in range(n + 1, last + 1)
            )
        requests = [0.0] * (last + 1)
        n = 0
        while n < last and living[n] > 0.0:
            requests[nexts[n]] = living[n]
            n = nexts[n]
        return costs[0], requests


def informed_mean_s(workload: str, crowds: list[list[Job]], limit: Limit) -> float:
    """The least mean delay in seconds, under this limit, of jobs that come as in these crowds."""
    if all(job.begins_at == 0.0 for crowd in crowds for job in crowd):
        return _at_once(workload, len(crowds[0]), limit)
    return _over_time(workload, crowds, limit)


def _over_time(workload: str, crowds: list[list[Job]], limit: Limit) -> float:
    """One price for all requests, from the first job to the end of the last."""
    ages = _Ages(workload, 300, 0.0)
    there_are = sum(limit[0] + max(job.ends_at for job in crowd) * limit[0] / limit[1] for crowd in crowds)
    a_job = there_are / sum(map(len, crowds))
    return max(ages.cheapest([price] * len(ages.at))[0] - price * a_job for price in _PRICES_S)


def _at_once(workload: str, jobs: int, limit: Limit) -> float:
    """A price for each age, which is the same time for all: raised where more is asked than there is (Polyak's steps)."""
    rate = limit[0] / limit[1]
    ages = _Ages(workload, 120, jobs / rate)
    there_are = [limit[0] / jobs, *((later - age) * rate / jobs for age, later in pairwise(ages.at))]
    best_prices = prices = [0.0] * len(there_are)
    best, aim, idle = 0.0, jobs / rate / 4, 0
    for _ in range(_ROUNDS):
        cost, asked = ages.cheapest(prices)
        found = cost - sum(map(mul, prices, there_are))
        idle = 0 if found > best + aim / 100 else idle + 1
        if found > best:
            best, best_prices = found, prices
        if idle > _PATIENCE:
            idle, aim, prices = 0, aim / 2, best_prices
        excess = [
            most if price or most > 0 else 0.0 for price, most in zip(prices, map(sub, asked, there_are), strict=True)
        ]
        step = (best + aim - found) / max(1e-9, sum(map(mul, excess, excess)))
        prices = [max(0.0, price + step * more) for price, more in zip(prices, excess, strict=True)]
    return best
