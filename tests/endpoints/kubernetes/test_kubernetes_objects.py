"""What is known of an object of Kubernetes, and how it is named."""

from __future__ import annotations

import orjson
import pytest

from pollwise.endpoints import AttrsCodec
from pollwise.endpoints.kubernetes.objects import Condition, Resource, ResourceOrder, ResourceStatus
from pollwise.errors import ConfigurationError

CODEC = AttrsCodec(Resource, ResourceStatus)


def test_a_status_gives_what_the_object_has() -> None:
    """Other types than Kubernetes documents are None, and hide nothing."""
    status = ResourceStatus(
        {
            "metadata": {"uid": "u-1", "generation": "2", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"phase": 7, "conditions": [7, {"type": "Ready", "status": "True", "observedGeneration": 2}]},
        }
    )
    assert (status.exists, status.uid, status.generation, status.phase) == (True, "u-1", None, None)
    assert status.is_being_deleted
    assert status.conditions == (Condition(type="Ready", status="True", observed_generation=2),)
    gone = ResourceStatus(None)
    assert (gone.exists, gone.uid, gone.conditions, gone.is_being_deleted) == (False, None, (), False)


@pytest.mark.parametrize("keys", [("",), ("..",), ("a", ".."), ("a", "b", "\n"), (7,)])
def test_a_name_that_is_no_part_of_a_path_is_refused(keys: tuple[str, ...]) -> None:
    """When the job is made, not when it is polled."""
    with pytest.raises(ConfigurationError):
        Resource(*keys)


@pytest.mark.parametrize("status", [ResourceStatus(None), ResourceStatus({"metadata": {"name": "a"}, "x": [1, None]})])
def test_objects_and_their_absence_are_kept(status: ResourceStatus) -> None:
    """A ledger gives back what it got."""
    assert CODEC.status_from_json(orjson.loads(orjson.dumps(CODEC.status_to_json(status)))) == status
    job = Resource("a", "b", "c")
    assert CODEC.job_from_keys(CODEC.job_to_keys(job)) == job


def test_an_order_is_shown_without_its_manifest() -> None:
    """A manifest may hold secrets."""
    assert "s3cr3t" not in repr(ResourceOrder({"data": "s3cr3t"}))
