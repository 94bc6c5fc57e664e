"""The bound without progress: the least mean delay of any policy that knows how long jobs take, and no job's progress.

Rule 1: this is a bound on every policy, not a policy. Each request has a price, and each job is then polled at the
cheapest ages. That cost, less the price of all requests that the limit allows, is a lower bound (a Lagrangian
relaxation). The bound is the largest value over all prices.
Rule 2: the bound is optimistic. It knows the durations from the beginning, and no job waits for another job. For jobs
that start at once it assumes only that requests come evenly after the first window.
Rule 3: ages are rounded to spans. A poll within a span counts as if it came at the begin and saw every end of the span.
So rounding makes the bound lower, never higher. The bound holds for the mean over sets of jobs, not for each set.
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
    """A grid of ages. For each age: the survival (share of jobs that run longer), and the survival summed up to the age."""

    def __init__(self, workload: str, count: int, longer_s: float) -> None:
        dice, draw = random.Random(0), WORKLOADS[workload]
        drawn = sorted(draw(dice) for _ in range(_DRAWS))
        summed = [0.0, *accumulate(drawn)]
        quantiles = [drawn[n * _DRAWS // count] for n in range(count)]
        spread = [drawn[-1] ** (n / count) for n in range(count + 1)]
        beyond = [drawn[-1] + longer_s * n / 40 for n in range(1, 41) if longer_s]
        self.at = [0.0, *sorted({*quantiles, *spread}), *beyond]
        over = [bisect_right(drawn, age) for age in self.at]
        self.survival = [1.0 - n / _DRAWS for n in over]
        self.summed = [(summed[n] + (_DRAWS - n) * age) / _DRAWS for n, age in zip(over, self.at, strict=True)]

    def cheapest(self, prices: list[float]) -> tuple[float, list[float]]:
        """The least mean of delay plus price for one job, and how many requests it sends at each age."""
        at, survival, summed = self.at, self.survival, self.summed
        last = len(at) - 1
        costs, nexts = [0.0] * (last + 1), [last] * (last + 1)
        for n in range(last - 1, -1, -1):
            alive, base = survival[n], summed[n] - at[n] * survival[n]
            costs[n], nexts[n] = min(
                (at[m - 1] * alive - summed[m - 1] + base + prices[m] * alive + costs[m], m)
                for m in range(n + 1, last + 1)
            )
        requests = [0.0] * (last + 1)
        n = 0
        while n < last and survival[n] > 0.0:
            requests[nexts[n]] = survival[n]
            n = nexts[n]
        return costs[0], requests


def informed_mean_s(workload: str, batches: list[list[Job]], limit: Limit) -> float:
    """The least mean delay in seconds, under this limit, of jobs that start as in these sets."""
    if all(job.begins_at == 0.0 for batch in batches for job in batch):
        return _at_once(workload, len(batches[0]), limit)
    return _over_time(workload, batches, limit)


def _over_time(workload: str, batches: list[list[Job]], limit: Limit) -> float:
    """One price for all requests, from the first job to the end of the last."""
    ages = _Ages(workload, 300, 0.0)
    allowed = sum(limit[0] + max(job.ends_at for job in batch) * limit[0] / limit[1] for batch in batches)
    a_job = allowed / sum(map(len, batches))
    return max(ages.cheapest([price] * len(ages.at))[0] - price * a_job for price in _PRICES_S)


def _at_once(workload: str, jobs: int, limit: Limit) -> float:
    """A price for each age, because age and time are the same here. Polyak's steps raise it where too many are sent."""
    rate = limit[0] / limit[1]
    ages = _Ages(workload, 120, jobs / rate)
    allowed = [limit[0] / jobs, *((later - age) * rate / jobs for age, later in pairwise(ages.at))]
    best_prices = prices = [0.0] * len(allowed)
    best, aim, idle = 0.0, jobs / rate / 4, 0
    for _ in range(_ROUNDS):
        cost, sent = ages.cheapest(prices)
        found = cost - sum(map(mul, prices, allowed))
        idle = 0 if found > best + aim / 100 else idle + 1
        if found > best:
            best, best_prices = found, prices
        if idle > _PATIENCE:
            idle, aim, prices = 0, aim / 2, best_prices
        excess = [
            most if price or most > 0 else 0.0 for price, most in zip(prices, map(sub, sent, allowed), strict=True)
        ]
        step = (best + aim - found) / max(1e-9, sum(map(mul, excess, excess)))
        prices = [max(0.0, price + step * more) for price, more in zip(prices, excess, strict=True)]
    return best
