"""The request that starts a bulk export."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import ConfigurationError
from pollwise.endpoints.fhir_bulk_data import BulkExportEndpoint, BulkExportOrder

ENDPOINT = BulkExportEndpoint("https://fhir.example.com/r4")


@pytest.mark.parametrize(
    ("order", "path"),
    [
        (BulkExportOrder(), "/r4/$export"),
        (BulkExportOrder(level="patient"), "/r4/Patient/$export"),
        (BulkExportOrder(level="group", group_id="a/b"), "/r4/Group/a%2Fb/$export"),
    ],
)
def test_an_export_has_three_levels(order: BulkExportOrder, path: str) -> None:
    """Of the system, of all patients, and of a group."""
    request = ENDPOINT.submit_request(order, "key")
    assert (request.method, request.url.raw_path, request.is_idempotent) == ("POST", path, False)
    assert request.headers["Accept"] == "application/fhir+json"
    assert request.headers["Prefer"] == "respond-async"


def test_parameters_are_a_resource() -> None:
    """Each value has its type of FHIR, and a list is several parameters."""
    order = BulkExportOrder(
        level="patient",
        parameters={
            "_type": ["Patient", "Observation"],
            "_since": "2026-01-01T00:00:00Z",
            "patient": "Patient/123",
            "allowPartialManifests": True,
            "includeAssociatedData": {"valueCoding": {"code": "LatestProvenanceResources"}},
        },
        separate_status=True,
        lenient=True,
    )
    request = ENDPOINT.submit_request(order, "key")
    assert request.headers["Prefer"] == "respond-async, separate-export-status, handling=lenient"
    assert orjson.loads(request.body or b"") == {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Patient"},
            {"name": "_type", "valueString": "Observation"},
            {"name": "_since", "valueInstant": "2026-01-01T00:00:00Z"},
            {"name": "patient", "valueReference": {"reference": "Patient/123"}},
            {"name": "allowPartialManifests", "valueBoolean": True},
            {"name": "includeAssociatedData", "valueCoding": {"code": "LatestProvenanceResources"}},
        ],
    }


def test_a_kick_off_with_get_is_sent_once_all_the_same() -> None:
    """It has its parameters in the query, and makes an export each time."""
    parameters = {"_type": ["Patient"], "allowPartialManifests": False, "_typeFilter": "A?b=c&d=e"}
    request = ENDPOINT.submit_request(BulkExportOrder(method="GET", parameters=parameters), "key")
    assert (request.method, request.body, request.is_idempotent) == ("GET", None, False)
    assert request.url.raw_query_string == "_type=Patient&allowPartialManifests=false&_typeFilter=A%3Fb%3Dc%26d%3De"


@pytest.mark.parametrize(
    "order",
    [
        {"level": "everything"},
        {"level": "group"},
        {"group_id": "7"},
        {"level": "group", "group_id": ".."},
        {"method": "PUT"},
    ],
)
def test_an_order_that_cannot_be_right_is_refused(order: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ConfigurationError):
        BulkExportOrder(**order)


@pytest.mark.parametrize(("method", "value"), [("POST", 7), ("GET", {"valueCoding": {}})])
def test_a_parameter_that_cannot_be_sent_is_named(method: str, value: object) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="_type"):
        ENDPOINT.submit_request(BulkExportOrder(method=method, parameters={"_type": value}), "key")


@pytest.mark.parametrize(
    ("method", "value"),
    [("POST", {"valueCoding": {"code": object()}}), ("POST", {"valueString": "\ud800"}), ("GET", "\ud800")],
)
def test_a_value_that_json_does_not_have_is_an_error_of_the_order(method: str, value: Any) -> None:
    """The caller is told, and nothing is sent. No query has a lone surrogate either."""
    order = BulkExportOrder(parameters={"_typeFilter": value}, method=method)
    with pytest.raises(ConfigurationError, match="JSON does not have"):
        ENDPOINT.submit_request(order, "key")
