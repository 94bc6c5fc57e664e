"""What can be waited for: kubectl's own rules."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.endpoints.kubernetes.objects import ResourceStatus
from pollwise.endpoints.kubernetes.waits import parse_wait
from pollwise.errors import ConfigurationError


def with_conditions(*conditions: dict[str, Any], generation: int | None = None, observed: int | None = None) -> Any:
    status: dict[str, Any] = {"conditions": list(conditions)}
    if observed is not None:
        status["observedGeneration"] = observed
    metadata = {"name": "a"} | ({} if generation is None else {"generation": generation})
    return ResourceStatus({"metadata": metadata, "status": status})


def ready(status: str, **more: Any) -> dict[str, Any]:
    return {"type": "Ready", "status": status, **more}


@pytest.mark.parametrize(
    ("text", "status", "met"),
    [
        ("condition=Ready", "True", True),
        ("condition=ready", "true", True),
        ("condition=Ready", "False", False),
        ("condition=Ready", "Unknown", False),
        ("condition=Ready=False", "False", True),
        ("condition=Ready=false", "False", True),
        ("condition=Ready=Unknown", "Unknown", True),
        ("condition=Available", "True", False),
    ],
)
def test_a_condition_is_met_by_its_status(text: str, status: str, met: bool) -> None:
    """The default is true, and letter case does not matter."""
    assert parse_wait(text).met(with_conditions(ready(status))) is met


@pytest.mark.parametrize(
    ("generation", "observed", "own", "met"),
    [
        (2, 1, None, False),
        (2, 2, None, True),
        (2, None, 1, False),
        (2, 1, 2, True),  # that of the condition counts first
        (2, 2, 1, False),
        (None, 1, 1, True),
        (2, None, None, True),
    ],
)
def test_a_condition_of_an_earlier_generation_is_not_met(
    generation: int | None, observed: int | None, own: int | None, met: bool
) -> None:
    """`observedGeneration` below `metadata.generation`: it is about an earlier desired state."""
    condition = ready("True", **({} if own is None else {"observedGeneration": own}))
    found = with_conditions(condition, generation=generation, observed=observed)
    assert parse_wait("condition=Ready").met(found) is met


def test_the_first_condition_of_a_type_decides() -> None:
    """As in kubectl, a condition without a type is passed over."""
    wait = parse_wait("condition=Ready")
    assert not wait.met(with_conditions({"status": "True"}, ready("False"), ready("True")))
    assert wait.met(with_conditions({"type": "Ready"}, ready("True")))
    assert wait.met(with_conditions({}, ready("True"), ready("False")))


# The scenarios of kubectl's own suite for JSONPaths
POD = ResourceStatus(
    {
        "metadata": {"name": "foo-b6699dcfb-rnv7t"},
        "spec": {"nodeName": "knode0", "containers": [{"name": "nginx", "ports": [{"containerPort": 80}]}]},
        "status": {"conditions": [{"type": "Ready"}, {"type": "PodScheduled"}], "containerStatuses": [{"ready": True}]},
    }
)


@pytest.mark.parametrize(
    ("path", "met"),
    [
        ("{.foo.bar}", False),
        ("{.status.containerStatuses[0].ready}=true", True),
        ("{.status.containerStatuses[0].ready}=false", False),
        ("{.spec.containers[0].ports[0].containerPort}=80", True),
        ("{.spec.containers[0].ports[0].containerPort}=81", False),
        ("{.spec.nodeName}=knode0", True),
        ("{.spec.nodeName}", True),
        ("{.spec.nodeName}=kmaster", False),
        ("{.spec}", True),
        ("{.metadata.name}=foo-b6699dcfb-rnv7t", True),
    ],
)
def test_the_scenarios_of_kubectl_hold(path: str, met: bool) -> None:
    """Booleans, integers, texts, and whole objects without a value."""
    assert parse_wait(f"jsonpath={path}").met(POD) is met


DOCUMENT = ResourceStatus(
    {
        "metadata": {"name": "a", "annotations": {"example.com/kind": "x"}},
        "spec": {"paused": False, "replicas": 3, "node": None},
        "status": {
            "phase": "Running",
            "loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"ip": "203.0.113.8"}]},
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Progressing", "reason": "Slow"}],
        },
    }
)


@pytest.mark.parametrize(
    ("path", "met"),
    [
        ("{.status.phase}=Running", True),
        ("{.status.phase}='Running'", True),
        ("'{.status.phase}'=Running", True),
        ('"{.status.phase}"', True),
        (".status.phase=Running", True),
        ("status.phase=Running", True),
        ("{.status.phase}=Pending", False),
        ("{.status.phase}", True),
        ("{.status.reason}", False),
        ("{.status.phase.deeper}", False),
        ("{.spec.replicas}=3", True),
        ("{.spec.paused}=false", True),
        ("{.spec.node}=<nil>", True),
        ("{.status.loadBalancer.ingress}", True),
        ("{.status.loadBalancer.ingress[0].ip}=203.0.113.7", True),
        ("{.status.loadBalancer.ingress[-1].ip}=203.0.113.8", True),
        ("{.status.loadBalancer.ingress[2].ip}", False),
        (r"{.metadata.annotations.example\.com/kind}=x", True),
        ("{.metadata.annotations['example.com/kind']}=x", True),
        ('{.status.conditions[?(@.type=="Ready")].status}=True', True),
        ('{.status.conditions[?(@.type=="Progressing")].reason}=Late', False),
        ('{.status.conditions[?(@.type=="Other")].status}', False),
    ],
)
def test_a_jsonpath_is_met_by_the_one_value_that_it_leads_to(path: str, met: bool) -> None:
    """Fields, indexes and filters; the value is compared as Go writes it."""
    assert parse_wait(f"jsonpath={path}").met(DOCUMENT) is met


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("{.status.loadBalancer}=x", "a list or an object"),
        ('{.status.conditions[?(@.status=="True")]}=x', "a list or an object"),
        ('{.status.loadBalancer.ingress[?(@.ip=="203.0.113.7")].ip}', ""),
    ],
)
def test_what_cannot_be_compared_is_an_error(path: str, why: str) -> None:
    """As kubectl refuses it: otherwise the wait would last for ever."""
    wait = parse_wait(f"jsonpath={path}")
    if why:
        with pytest.raises(ConfigurationError, match=why):
            wait.met(DOCUMENT)
    else:
        assert wait.met(DOCUMENT)


def test_a_jsonpath_with_two_values_is_an_error() -> None:
    """It must lead to one."""
    twice = ResourceStatus({"a": [{"b": "x", "c": 1}, {"b": "x", "c": 2}]})
    with pytest.raises(ConfigurationError, match="2 values"):
        parse_wait('jsonpath={.a[?(@.b=="x")].c}=1').met(twice)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ready",
        "condition=",
        "condition=Ready=",
        "condition=a b",
        "jsonpath=",
        "jsonpath={}",
        "jsonpath={.a",
        "jsonpath={.a}=",
        "jsonpath={.a}x",
        "jsonpath={.a..b}",
        "jsonpath={.a[*]}",
        "jsonpath={.a[0:2]}",
        "jsonpath={.a[?(@.b)]}",
    ],
)
def test_what_is_not_supported_is_refused_at_once(text: str) -> None:
    """The error says which forms there are."""
    with pytest.raises(ConfigurationError, match=r"write|not supported"):
        parse_wait(text)


@given(st.text(st.sampled_from("{}.[]()?@='\"ab1-\\ *:,"), max_size=30))
def test_any_text_is_a_wait_or_a_clear_error(text: str) -> None:
    """Nothing else is raised, also when it is used."""
    with contextlib.suppress(ConfigurationError):
        parse_wait(f"jsonpath={text}").met(DOCUMENT)


def test_a_failure_is_told_with_reason_and_message() -> None:
    """What the object says about its condition."""
    found = with_conditions(
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "no luck"}
    )
    assert parse_wait("condition=Failed").why(found) == "Failed=true: BackoffLimitExceeded: no luck"
    assert parse_wait("jsonpath={.status.phase}=Failed").why(found) == "{.status.phase}=Failed"
