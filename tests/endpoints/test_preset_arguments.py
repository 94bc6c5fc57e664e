"""The presets have one face: the same arguments by the same names, in the same order."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from pollwise import BearerAuth, Endpoint
from pollwise.endpoints.aip151 import GoogleOperationsEndpoint
from pollwise.endpoints.azure import AzureOperationsEndpoint
from pollwise.endpoints.fhir_bulk_data import BulkExportEndpoint, BulkFileEndpoint
from pollwise.endpoints.http_async import HttpAsyncEndpoint
from pollwise.endpoints.kubernetes import ResourceEndpoint
from pollwise.endpoints.mcp_tasks import McpTasksEndpoint
from pollwise.endpoints.ogc_processes import ProcessesEndpoint

NEEDED: dict[type[Endpoint[Any, Any]], dict[str, str]] = {
    AzureOperationsEndpoint: {},
    BulkExportEndpoint: {},
    BulkFileEndpoint: {},
    GoogleOperationsEndpoint: {},
    HttpAsyncEndpoint: {},
    McpTasksEndpoint: {},
    ProcessesEndpoint: {},
    ResourceEndpoint: {"resource": "pods", "until": "delete"},
}
SHARED = ["auth", "account", "origins", "name"]


@pytest.mark.parametrize("preset", NEEDED)
def test_what_all_presets_take_comes_first_and_in_one_order(preset: type[Endpoint[Any, Any]]) -> None:
    """Credentials, account, origins and name, and then what only this preset has."""
    taken = [name for name in inspect.signature(preset).parameters if name not in NEEDED[preset]]
    shared = [name for name in SHARED if name in taken]
    assert set(shared) >= {"auth", "account", "name"}
    assert taken[1 : 1 + len(shared)] == shared


@pytest.mark.parametrize("preset", NEEDED)
def test_two_servers_of_one_standard_have_two_names_in_a_ledger(preset: type[Endpoint[Any, Any]]) -> None:
    """`name=` tells them apart, and each has its own origin."""
    make: Any = preset
    endpoint = make("https://a.example.com:8443/x", **NEEDED[preset], auth=BearerAuth("a-1"), account="b", name="c")
    assert (endpoint.name, endpoint.account, endpoint.fixed_origin) == ("c", "b", "https://a.example.com:8443")
