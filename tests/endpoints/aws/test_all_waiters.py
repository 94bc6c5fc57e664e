"""Every waiter of the installed botocore, decided as botocore's own waiter decides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath.exceptions
from botocore.exceptions import WaiterError
from botocore.loaders import Loader
from botocore.waiter import SingleWaiterConfig, Waiter
from waiter_replies import replies_for

from pollwise.endpoints.aws import AwsAuth, WaiterEndpoint
from pollwise.endpoints.aws.acceptors import acceptors_of, decided
from pollwise.errors import PollwiseError
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase

_PHASES = {Phase.SUCCEEDED: "success", Phase.FAILED: "failure", Phase.RUNNING: "retry"}


def all_waiters() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Of all services, in all versions of their APIs."""
    loader: Any = Loader()
    for service in loader.list_available_services("waiters-2"):
        for version in loader.list_api_versions(service, "waiters-2"):
            waiters = loader.load_service_model(service, "waiters-2", version)["waiters"]
            for name, config in waiters.items():
                yield f"{service} {version} {name}", config


def by_botocore(config: Mapping[str, Any], parsed: dict[str, Any]) -> str:
    """What botocore's own state machine decides about one reply."""
    waiter: Any = Waiter("w", SingleWaiterConfig(config), lambda: parsed)
    try:
        waiter.wait(WaiterConfig={"MaxAttempts": 1, "Delay": 0})
    except WaiterError as exc:
        reason = str(exc)
        if "terminal failure state" in reason:
            return "failure"
        return "error" if "An error occurred" in reason else "retry"
    except jmespath.exceptions.JMESPathError:
        return "raised"  # botocore ends there; pollwise tries the next rule
    return "success"


class Parsed:
    """In place of an operation: the reply is parsed already."""

    region = "eu-central-1"

    def __init__(self) -> None:
        self.reply: dict[str, Any] = {}

    def parsed(self, _reply: Reply) -> dict[str, Any]:
        return self.reply


def by_pollwise(endpoint: WaiterEndpoint, operation: Parsed, parsed: dict[str, Any]) -> str:
    operation.reply = parsed
    reply = Reply(parsed["ResponseMetadata"]["HTTPStatusCode"], {}, b"")
    try:
        return _PHASES[endpoint.read(reply).phase]
    except PollwiseError:
        return "error"


def test_every_waiter_decides_as_in_botocore() -> None:
    """For replies that hit each rule, several at once, and none, and for errors."""
    seen, hit, rules = Counter[str](), 0, 0
    auth = AwsAuth("x", region="eu-central-1")
    for name, config in all_waiters():
        operation: Any = Parsed()
        endpoint = WaiterEndpoint(operation, auth, "w", config, account="", delay_s=None)
        acceptors, found = acceptors_of(config["acceptors"]), set[int]()
        for parsed in replies_for(config, 6):
            expected = by_botocore(config, parsed)
            seen[expected] += 1
            if expected != "raised":
                assert by_pollwise(endpoint, operation, parsed) == expected, (name, parsed)
            found.add(id(decided(acceptors, parsed)))
        hit += len(found - {id(None)})
        rules += len(acceptors)
    assert min(seen[decision] for decision in ("success", "failure", "retry", "error")) > 500
    assert hit / rules > 0.99  # the others stand behind a rule that matches whenever they do, or can never match


def test_a_rule_whose_expression_fails_does_not_match() -> None:
    """Botocore's waiter ends there with an error of JMESPath; here the next rule is tried."""
    config = {
        "delay": 1,
        "maxAttempts": 1,
        "acceptors": [
            {"matcher": "path", "argument": "length(a) > `0`", "expected": True, "state": "failure"},
            {"matcher": "path", "argument": "b", "expected": "x", "state": "success"},
        ],
    }
    parsed = {"b": "x", "ResponseMetadata": {"HTTPStatusCode": 200}}
    assert by_botocore({**config, "operation": "O"}, parsed) == "raised"
    operation: Any = Parsed()
    endpoint = WaiterEndpoint(operation, AwsAuth("x", region="r"), "w", config, account="", delay_s=None)
    assert by_pollwise(endpoint, operation, parsed) == "success"
