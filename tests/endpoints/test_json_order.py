"""Orders that were given as JSON. tests/cli/test_cli_orders.py has those of the command."""

from __future__ import annotations

import pytest

from pollwise import ConfigurationError
from pollwise.endpoints.json_order import WrongOrder, order_from_json
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionOrder

ENDPOINT = ExtractionEndpoint("https://oracle.example.com")


def test_an_order_becomes_the_class_that_the_endpoint_takes() -> None:
    """JSON becomes the endpoint's own order, with its defaults."""
    assert order_from_json(ENDPOINT, {"file_id": "D1"}) == ExtractionOrder("D1")


@pytest.mark.parametrize("order", [{}, {"file_id": "D1", "other": 1}])
def test_an_order_with_other_fields_is_refused(order: dict[str, object]) -> None:
    """The error lists the fields, and the class of errors is the one for wrong arguments."""
    with pytest.raises(WrongOrder, match="an order of oracle-content needs file_id, and may have") as caught:
        order_from_json(ENDPOINT, order)
    assert isinstance(caught.value, ConfigurationError)
