"""What an endpoint has without saying anything."""

from __future__ import annotations

import pytest

from pollwise import ConfigurationError, Phase, Reading, Reply
from pollwise.model.protocols import NO_CODEC, Endpoint
from toy import ToyEndpoint, ToyJob, ToyStatus


class Bare(ToyEndpoint):
    """Uses every default of the class."""

    heeded_headers = Endpoint.heeded_headers

    def __init__(self) -> None:
        pass


def test_the_defaults_promise_nothing() -> None:
    """No credentials, no account, no known limit, no fixed origin, and each reply is read."""
    endpoint = Bare()
    assert (endpoint.auth, endpoint.account, endpoint.documented_limit) == (None, "", None)
    assert (endpoint.heeded_headers, endpoint.fixed_origin) == (None, None)
    reply = Reply(200, {}, b'{"state": "running"}')
    assert endpoint.read_for(ToyJob(), reply) == Reading(status=ToyStatus("running"), phase=Phase.RUNNING)


def test_a_ledger_needs_a_codec() -> None:
    """The message names what is missing."""
    assert Bare().codec is NO_CODEC
    with pytest.raises(ConfigurationError, match="has no codec"):
        Bare().codec.job_from_keys({"id": "a"})
    with pytest.raises(ConfigurationError, match="has no codec"):
        Bare().codec.status_from_json({})
