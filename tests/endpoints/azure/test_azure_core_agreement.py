"""azure-core's poller and ours, fed with the same replies. Where they differ, a test says why.

azure-core 1.41 has no poller for a resource's own `provisioningState`: that is azure-mgmt-core, which is not used here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from azure_core_script import BASE, RESOURCE, Answer, Run, Start, by_azure_core, by_us

MONITOR, MONITOR_2 = f"{BASE}/operations/7?api-version=1", f"{BASE}/asyncoperations/7"
LOCATION, LOCATION_2, NAMED = f"{BASE}/results/7", f"{BASE}/results/8", f"{BASE}/things/named"
HEADERS = {"Operation-Location": MONITOR, "Azure-AsyncOperation": MONITOR_2, "Location": LOCATION}
METHODS = ("PUT", "PATCH", "POST", "DELETE")
VIAS = (None, "azure-async-operation", "operation-location", "location")
RESULTS = {
    RESOURCE: [Answer(body={"at": "resource"})],
    NAMED: [Answer(body={"at": "named"})],
    LOCATION: [Answer(body={"at": "location"})],
}


def _state(state: Any, **more: Any) -> Answer:
    return Answer(body={"status": state, **more})


STATES: Mapping[str, list[Answer]] = {
    "succeeds": [_state("InProgress"), _state("Succeeded")],
    "succeeds after its own words": [
        _state("PreparingVMDisk"),
        _state("running"),
        _state("accepted"),
        _state("succeeded"),
    ],
    "succeeds at once": [_state("SUCCEEDED")],
    "names its resource": [_state("Running"), _state("Succeeded", resourceLocation=NAMED)],
    "names an empty resource": [_state("Succeeded", resourceLocation="")],
    "fails": [_state("InProgress"), _state("Failed", error={"code": "A", "message": "b"})],
    "fails in capitals": [_state("FAILED")],
    "is cancelled": [_state("InProgress"), _state("Canceled")],
    "has no body": [_state("InProgress"), Answer()],
    "has no status": [Answer(body={"name": "7"})],
    "has a status of null": [_state("InProgress"), _state(None)],
    "has an empty status": [_state("")],
    "is no JSON": [_state("InProgress"), Answer(body=b"{")],
    "is answered with 201 and 202": [Answer(201, {"status": "a"}), Answer(202, {"status": "b"}), _state("Succeeded")],
    "is answered with 203": [_state("InProgress"), Answer(203, {"status": "Succeeded"})],
    "is refused": [_state("InProgress"), Answer(403, {"error": {"code": "A", "message": "b"}})],
    "is gone": [_state("InProgress"), Answer(404)],
    "meets a fault": [_state("InProgress"), Answer(500)],
    "meets a conflict": [_state("InProgress"), Answer(409, {"error": {"code": "A", "message": "b"}})],
}
PLACES: Mapping[str, dict[str, list[Answer]]] = {
    "ends with 200": {LOCATION: [Answer(202), Answer(body={"at": "location"})]},
    "ends with 201": {LOCATION: [Answer(202), Answer(201, {"at": "location"})]},
    "ends with 204": {LOCATION: [Answer(202), Answer(204)]},
    "ends at once": {LOCATION: [Answer(body={"at": "location"})]},
    "ends with a resource": {LOCATION: [Answer(202), Answer(body={"properties": {"provisioningState": "Succeeded"}})]},
    "ends with a resource without a state": {LOCATION: [Answer(202), Answer(body={"properties": {"size": 3}})]},
    "moves": {
        LOCATION: [Answer(202, headers={"Location": LOCATION_2})],
        LOCATION_2: [Answer(202), Answer(body={"at": "there"})],
    },
    "moves back": {
        LOCATION: [Answer(202, headers={"Location": LOCATION_2}), Answer(204)],
        LOCATION_2: [Answer(202, headers={"Location": LOCATION})],
    },
    "names itself at the end": {LOCATION: [Answer(202), Answer(200, {"at": "end"}, {"Location": LOCATION_2})]},
    "ends with 203": {LOCATION: [Answer(202), Answer(203, {"at": "location"})]},
    "is refused": {LOCATION: [Answer(202), Answer(403)]},
    "is gone": {LOCATION: [Answer(404)]},
    "meets a fault": {LOCATION: [Answer(202), Answer(500)]},
}


def _headers(*names: str) -> Iterator[dict[str, str]]:
    """Every choice of these header fields."""
    for chosen in itertools.product((False, True), repeat=len(names)):
        yield {name: HEADERS[name] for name, there in zip(names, chosen, strict=True) if there}


def _differences(cases: Sequence[tuple[Start, dict[str, list[Answer]]]]) -> list[tuple[Start, Run, Run]]:
    found = []
    for start, answers in cases:
        theirs, ours = by_azure_core(start, answers), by_us(start, answers)
        if (theirs.urls, theirs.result) != (ours.urls, ours.result) or (theirs.end == "succeeded") != (
            ours.end == "succeeded"
        ):
            found.append((start, theirs, ours))
    return found


@pytest.mark.parametrize("sequence", STATES)
def test_a_status_monitor_is_polled_as_azure_core_polls_it(sequence: str) -> None:
    """The same URLs in the same order, the same end and the same result, for each method, start and final-state-via."""
    cases = [
        (
            Start(method, Answer(status, body, {**headers, monitor: HEADERS[monitor]}), via),
            {**RESULTS, HEADERS[monitor]: STATES[sequence]},
        )
        for method, status, body, via, monitor in itertools.product(
            METHODS,
            (200, 201, 202, 204),
            (None, {"name": "1", "properties": {"provisioningState": "Creating"}}),
            VIAS,
            ("Operation-Location", "Azure-AsyncOperation"),
        )
        for headers in _headers("Location")
    ]
    assert len(cases) == 512
    assert _differences(cases) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_location_is_polled_as_azure_core_polls_it(place: str) -> None:
    """202 is running, 200, 201 and 204 are the end, and a `Location` that moves is followed."""
    cases = [
        (Start(method, Answer(status, body, {"Location": LOCATION}), via), PLACES[place])
        for method, status, body, via in itertools.product(METHODS, (200, 201, 202, 204), (None, {"name": "1"}), VIAS)
    ]
    assert _differences(cases) == []


def test_operation_location_wins_over_the_other_fields() -> None:
    """And the field of Azure Resource Manager wins over `Location`."""
    answers = {**RESULTS, MONITOR: [_state("Succeeded")], MONITOR_2: [_state("Failed")]}
    cases = [
        (Start(method, Answer(202, headers=headers)), answers)
        for method in METHODS
        for headers in _headers("Operation-Location", "Azure-AsyncOperation", "Location")
        if headers
    ]
    assert _differences(cases) == []


def test_a_start_that_ended_the_operation_is_its_result_for_both() -> None:
    """A POST or a DELETE with 200, 201 or 204 and no field to follow: no request, and the reply is the result."""
    cases: list[tuple[Start, dict[str, list[Answer]]]] = [
        (Start(method, Answer(status, body), via), {})
        for method, status, body, via in itertools.product(
            ("POST", "DELETE"), (200, 201, 204), (None, {"value": 7}), (*VIAS, "original-uri")
        )
    ]
    cases += [(Start(method, Answer(204)), {}) for method in ("PUT", "PATCH")]
    assert _differences(cases) == []
    assert by_us(Start("POST", Answer(200, {"value": 7})), {}) == Run([], "succeeded", {"value": 7})


@pytest.mark.parametrize("status", [203, 302, 400, 404, 500, 1000])
def test_a_start_with_another_status_code_is_an_error_for_both(status: int) -> None:
    """Only 200, 201, 202 and 204 start an operation."""
    cases = [
        (Start(method, Answer(status, headers=headers)), RESULTS)
        for method in METHODS
        for headers in _headers("Operation-Location", "Location")
    ]
    assert _differences(cases) == []
    assert by_us(*cases[0]).end == "error"


# --- differences on purpose -------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Succeeded", "Failed"])
def test_difference_a_watch_asks_at_least_once(state: str) -> None:
    """azure-core believes a terminal `status` in the start's body. A watch has no outcome without a poll."""
    start = Start("DELETE", Answer(202, {"status": state}, {"Operation-Location": MONITOR}))
    answers = {MONITOR: [_state(state)]}
    theirs, ours = by_azure_core(start, answers), by_us(start, answers)
    assert (theirs.urls, ours.urls) == ([], [MONITOR])
    assert (theirs.end == "succeeded") == (ours.end == "succeeded") == (state == "Succeeded")


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_difference_a_resource_is_asked_how_it_is(method: str, status: int) -> None:
    """azure-core takes a PUT without a field to follow as done. Azure Resource Manager says: ask until it is provisioned."""
    start = Start(method, Answer(status, {"properties": {"provisioningState": "Creating"}}))
    answers = {
        RESOURCE: [Answer(body={"properties": {"provisioningState": state}}) for state in ("Creating", "Succeeded")]
    }
    assert by_azure_core(start, answers).urls == []
    assert by_us(start, answers) == Run(
        [RESOURCE, RESOURCE], "succeeded", {"properties": {"provisioningState": "Succeeded"}}
    )


@pytest.mark.parametrize(("state", "end"), [("Failed", "failed"), ("Canceled", "failed"), ("Deleting", "succeeded")])
def test_difference_a_resource_at_a_location_says_how_it_is(state: str, end: str) -> None:
    """azure-core for Python takes any 200 as a success. azcore for Go reads the state of the resource, and so do we."""
    start = Start("DELETE", Answer(202, headers={"Location": LOCATION}))
    answers = {LOCATION: [Answer(body={"properties": {"provisioningState": state}}), Answer(204)]}
    assert by_azure_core(start, answers) == Run([LOCATION], "succeeded", {"properties": {"provisioningState": state}})
    assert (by_us(start, answers).end, len(by_us(start, answers).urls)) == (end, 2 if end == "succeeded" else 1)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_difference_a_202_that_cannot_be_followed_is_no_success(method: str) -> None:
    """azure-core takes it as done. 202 says the contrary (RFC 9110, 15.3.3), and no status is invented here."""
    start = Start(method, Answer(202))
    assert by_azure_core(start, {}).end == "succeeded"
    assert by_us(start, {}).end == "error"


@pytest.mark.parametrize(("method", "place"), [("POST", LOCATION), ("PUT", RESOURCE), ("DELETE", None)])
def test_difference_original_uri_is_known(method: str, place: str | None) -> None:
    """azure-core has no such option and takes the default. AutoRest defines it: a final GET at the original URL."""
    start = Start(method, Answer(202, headers={"Operation-Location": MONITOR, "Location": LOCATION}), "original-uri")
    answers = {**RESULTS, MONITOR: [_state("Succeeded")]}
    expected = [MONITOR] if method == "DELETE" else [MONITOR, RESOURCE]
    assert by_us(start, answers).urls == expected
    assert by_azure_core(start, answers).urls == [MONITOR, *([] if place is None else [place])]


def test_difference_a_monitor_that_moves_is_followed() -> None:
    """azure-core for Python stays at the first URL. core-lro for JavaScript follows the newest one, and so do we."""
    start = Start("DELETE", Answer(202, headers={"Operation-Location": MONITOR}))
    answers = {
        MONITOR: [Answer(200, {"status": "Running"}, {"Operation-Location": MONITOR_2}), _state("Succeeded")],
        MONITOR_2: [_state("Succeeded")],
    }
    assert by_azure_core(start, answers).urls == [MONITOR, MONITOR]
    assert by_us(start, answers).urls == [MONITOR, MONITOR_2]


def test_difference_an_empty_202_of_a_monitor_is_running() -> None:
    """azure-core gives up. 202 says that the operation runs (RFC 9110, 15.3.3), and core-lro for JavaScript polls on."""
    start = Start("DELETE", Answer(202, headers={"Operation-Location": MONITOR}))
    answers = {MONITOR: [Answer(202), _state("Succeeded")]}
    assert by_azure_core(start, answers).urls == [MONITOR]
    assert by_us(start, answers) == Run([MONITOR, MONITOR], "succeeded", {"status": "Succeeded"})


def test_difference_the_other_spelling_of_cancelled_is_an_end() -> None:
    """azure-core polls on at `Cancelled`. core-lro for JavaScript ends there, and so do we."""
    start = Start("DELETE", Answer(202, headers={"Operation-Location": MONITOR}))
    answers = {MONITOR: [_state("Cancelled"), _state("Canceled")]}
    assert by_azure_core(start, answers).urls == [MONITOR, MONITOR]
    assert by_us(start, answers) == Run([MONITOR], "failed")


def test_difference_a_refused_poll_is_no_failed_operation() -> None:
    """azure-core calls the operation failed. The asynchronous API reference says: only the reading of the status failed."""
    start = Start("DELETE", Answer(202, headers={"Operation-Location": MONITOR}))
    for status in (403, 404, 409, 500):
        answers = {MONITOR: [Answer(status, {"error": {"code": "A", "message": "b"}})]}
        assert by_azure_core(start, answers) == Run([MONITOR], "failed")
        assert by_us(start, answers) == Run([MONITOR], "error")
