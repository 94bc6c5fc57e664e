"""The metrics of watchers: names, labels, and what several watchers give together."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from kept_toy import MemoryLedger, keeping
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConnectFailed
from pollwise.model.stats import Histogram
from pollwise.telemetry.series import METRICS, Kind, Watchers, series_of
from toy import RUNNING, SUCCEEDED, ToyJob, events_of, watching

pytestmark = pytest.mark.looptime


def value_of(watchers: Watchers, name: str, **labels: str) -> object:
    """The value of the one series with these labels, whose dots are underscores here."""
    (found,) = [
        value
        for these, value in watchers.series()[name]
        if labels.items() <= {label.replace(".", "_"): text for label, text in these}.items()
    ]
    return found


async def test_every_series_is_of_a_metric_with_its_labels() -> None:
    """No exporter meets a name or a label that it has not announced."""
    async with keeping(MemoryLedger(), [503, 429, RUNNING, RUNNING, SUCCEEDED]) as (watcher, _):
        await events_of(watcher.watch(ToyJob()))
        found = list(series_of(watcher.stats()))
    assert found
    for name, labels, value in found:
        metric = METRICS[name]
        assert tuple(label for label, _ in labels) == metric.labels
        assert isinstance(value, Histogram) == (metric.kind is Kind.HISTOGRAM)
    assert len({(name, labels) for name, labels, _ in found}) == len(found)


async def test_watchers_of_one_endpoint_are_one() -> None:
    """Their counts are added, and the budget that they share is counted once."""
    budget = RateBudget(60, per_s=60)
    async with (
        watching([RUNNING, SUCCEEDED], budget=budget) as (one, _),
        watching([429, SUCCEEDED], budget=budget) as (two, _),
    ):
        watchers = Watchers([one])
        watchers.add(two)
        watchers.add(two)
        await one.watch(ToyJob())
        await two.watch(ToyJob())
        assert value_of(watchers, "pollwise.polls", pollwise_poll_result="read") == 3
        assert value_of(watchers, "pollwise.budget.limit") == 60
        assert value_of(watchers, "pollwise.budget.refused") == 1
        jobs = value_of(watchers, "pollwise.job.duration", pollwise_outcome="succeeded")
        assert isinstance(jobs, Histogram)
        assert jobs.count == 2


async def test_a_host_that_is_down_is_shown_by_its_name() -> None:
    """1 while it fails for every watch, 0 for the server of an endpoint otherwise."""
    budget = RateBudget()
    async with (
        watching([ConnectFailed("no")], budget=budget) as (one, _),
        watching([ConnectFailed("no")], budget=budget) as (two, _),
    ):
        watchers = Watchers([one, two])
        for name in "abcd":
            one.watch(ToyJob(name))
        assert watchers.series()["pollwise.hosts.down"] == []
        await asyncio.sleep(30.0)
        assert value_of(watchers, "pollwise.hosts.down", server_address="toy.example") == 1
        stats = attrs.evolve(one.stats(), server="https://other.example:8443")
        assert [
            (dict(labels)["server.address"], dict(labels)["server.port"], value)
            for name, labels, value in series_of(stats)
            if name == "pollwise.hosts.down"
        ] == [("other.example", 8443, 0), ("toy.example", 443, 1)]


async def test_a_counter_does_not_fall_when_a_watcher_is_removed() -> None:
    """Its counts stay; what it does now is gone."""
    async with watching([RUNNING]) as (watcher, _):
        watchers = Watchers([watcher])
        watch = watcher.watch(ToyJob())
        async for _event in watch:
            break
        watchers.remove(watcher)
        watchers.remove(watcher)
        assert value_of(watchers, "pollwise.polls", pollwise_poll_result="read") == 1
        assert watchers.series()["pollwise.watches"] == []
