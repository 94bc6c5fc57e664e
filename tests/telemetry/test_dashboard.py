"""The dashboard for Grafana: every query of it has an answer in a real scrape."""

from __future__ import annotations

import asyncio
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from dashboard import DASHBOARD, Scrape, grafana_would_ask, queries, scrape_of, unanswered
from kept_toy import MemoryLedger, keeping
from pollwise.core.rate_budget import RateBudget
from pollwise.fleet.lease_counts import LeaseCounts
from pollwise.ledger import LedgerFailed, Shard
from pollwise.model.stats import LeaseStats
from pollwise.telemetry.prometheus import WatcherCollector, prometheus_name
from pollwise.telemetry.series import METRICS
from pollwise.testing import run
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, by_job


class Counting(MemoryLedger):
    async def count_unacknowledged(self, _endpoint: str, _account: str = "", /) -> int:
        return 0


class Leasing:
    """A worker of a fleet that has had a lease, and has another one."""

    def lease_stats(self) -> list[LeaseStats]:
        counts = LeaseCounts()
        shard = Shard("toy")
        counts.acquired(shard)
        counts.renewed([shard], 0.02)
        counts.over(shard, 60.0)
        return list(counts.stats([shard]))


@pytest.fixture(scope="module")
def scrape() -> Scrape:
    """Names and labels of the samples after a run with successes, failures, a rate limit, and a ledger and a host that fail."""

    async def demo() -> bytes:
        ledger = Counting()
        ledger.failures["record"] = [LedgerFailed("toy", "no")]
        failing = {name: [RUNNING, 503] for name in "cde"}
        script = by_job({"a": [RUNNING, 503, 429, SUCCEEDED], "b": [FAILED], **failing})
        registry = CollectorRegistry()
        async with keeping(ledger, script, budget=RateBudget(60, per_s=60)) as (watcher, _):
            registry.register(WatcherCollector(watcher, Leasing()))
            await watcher.gather([ToyJob("a"), ToyJob("b")])
            for name in failing:
                watcher.watch(ToyJob(name))
            await asyncio.sleep(60.0)
            assert watcher.hosts_down
            return generate_latest(registry)

    return scrape_of(run(demo()).decode())


@pytest.mark.parametrize(("title", "query", "legend"), list(queries()), ids=lambda text: text[:40])
def test_every_query_has_an_answer(scrape: Scrape, title: str, query: str, legend: str) -> None:
    """Each metric is there, with labels that match, and with the labels of groups and legends."""
    assert unanswered(scrape, query, legend) == [], title


def test_every_query_is_promql() -> None:
    """A parser that follows Prometheus' own finds no error in its syntax, and none in the types of its parts."""
    promql_parser = pytest.importorskip("promql_parser")
    for _, query, _ in queries():
        promql_parser.parse(grafana_would_ask(query))
    for wrong in ("rate(a[5m]", "rate(a)", "sum(a[5m])", "histogram_quantile(a)"):
        with pytest.raises(ValueError, match=r"paren|expected"):
            promql_parser.parse(wrong)


def test_its_variables_are_labels_of_a_metric(scrape: Scrape) -> None:
    """The lists of endpoints and accounts are filled from one metric, which every watcher has."""
    found = [variable["definition"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
    assert found
    for definition in found:
        parts = re.fullmatch(r"label_values\((\w+), (\w+)\)", definition)
        assert parts is not None
        assert [labels for name, labels in scrape if name == parts[1] and parts[2] in labels]


def test_every_metric_is_on_it() -> None:
    """What is measured can be seen."""
    text = " ".join(query for _, query, _ in queries())
    assert [name for metric in METRICS.values() if (name := prometheus_name(metric)) not in text] == []


def test_no_panel_has_the_number_or_the_place_of_another() -> None:
    """Grafana would show one of the two."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
