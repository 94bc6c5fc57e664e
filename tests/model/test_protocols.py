"""What an endpoint has without saying anything."""

from __future__ import annotations

import pytest

from pollwise import ConfigurationError, Phase, Reading, Reply
from toy import ToyEndpoint, ToyJob, ToyStatus


class Bare(ToyEndpoint):
    """Uses every default of the protocol."""

    auth = ToyEndpoint.__mro__[1].auth  # type: ignore[misc,assignment]
    heeded_headers = ToyEndpoint.__mro__[1].heeded_headers  # type: ignore[misc,assignment]


def test_the_defaults_promise_nothing() -> None:
    """No credentials, no account, no known limit, no fixed origin, and each reply is read."""
    endpoint = Bare()
    assert (endpoint.auth, endpoint.account, endpoint.documented_limit) == (None, "", None)
    assert (endpoint.heeded_headers, endpoint.fixed_origin) == (None, None)
    reply = Reply(200, {}, b'{"state": "running"}')
    assert endpoint.read_for(ToyJob(), reply) == Reading(status=ToyStatus("running"), phase=Phase.RUNNING)


def test_a_ledger_needs_translations_of_the_endpoints_own() -> None:
    """The message names the method that is missing."""
    endpoint = ToyEndpoint()
    assert endpoint.job_to_keys(ToyJob("a")) == {"id": "a"}
    assert endpoint.status_to_json(ToyStatus("running", 1)) == {"state": "running", "done": 1}
    with pytest.raises(ConfigurationError, match="job_from_keys"):
        endpoint.job_from_keys({"id": "a"})
    with pytest.raises(ConfigurationError, match="status_from_json"):
        endpoint.status_from_json({})
