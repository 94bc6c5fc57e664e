"""The queries of the dashboard for Grafana, and what a scrape has for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

DASHBOARD: dict[str, Any] = json.loads((Path(__file__).parents[1] / "docs" / "grafana" / "pollwise.json").read_text())
_SELECTOR = re.compile(r"\b(pollwise_\w+|http_client_\w+)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")

Scrape: TypeAlias = list[tuple[str, dict[str, str]]]
"""Names and labels of samples."""


def scrape_of(text: str) -> Scrape:
    return [
        (sample.name, dict(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def queries() -> Iterator[tuple[str, str, str]]:
    """Title, expression and legend of each."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def queries_of_a_batch() -> Iterator[tuple[str, str, str]]:
    """The same without those about leases, which only a worker of a fleet has."""
    return (found for found in queries() if "pollwise_lease_" not in found[1])


def grafana_would_ask(query: str) -> str:
    """The query with all endpoints and accounts, over half a minute."""
    return re.sub(r"\$(endpoint|account)\b", ".*", query).replace("$__rate_interval", "30s")


def unanswered(scrape: Scrape, query: str, legend: str) -> list[str]:
    """The selectors of a query that no sample matches, and the labels that matching samples do not have."""
    selectors = _SELECTOR.findall(query)
    assert len(selectors) == len(re.findall(r"\b(?:pollwise|http_client)_\w+\{", query)) > 0
    grouped = {name.strip() for group in _GROUPED.findall(query) for name in group.split(",")}
    missing = sorted(set(re.findall(r"{{(\w+)}}", legend)) - grouped)
    for metric, matchers in selectors:
        found = [labels for name, labels in scrape if name == metric and _matches(labels, matchers)]
        if not found:
            missing.append(f"{metric}{{{matchers}}}")
        missing += sorted({name for labels in found for name in grouped - labels.keys()})
    return missing


def _matches(labels: dict[str, str], matchers: str) -> bool:
    """Whether Prometheus would select a sample with these labels. A label that is not there is an empty text."""
    for name, how, text in _MATCHER.findall(matchers):
        value = labels.get(name, "")
        wanted = re.sub(r"\$\w+", ".*", text)
        found = re.fullmatch(wanted, value) is not None if "~" in how else value == wanted
        if found is how.startswith("!"):
            return False
    return True
