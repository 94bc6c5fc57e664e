"""Waiting for objects of Kubernetes: paths, phases, refusals, and whole lives on a real socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import Cancelled, Failed, JobWatcher, Pacing, Phase, Reading, Reply, Succeeded
from pollwise.endpoints import kubernetes
from pollwise.endpoints.kubernetes import Resource, ResourceEndpoint, ResourceOrder, ResourceStatus
from pollwise.errors import ConfigurationError, JobNotFound, MalformedReply, ServerUnavailable
from pollwise.testing import Sample, check_endpoint
from scripted_server import answer, scripted_server

BASE = "https://10.0.0.1:6443"
JOBS = kubernetes.jobs(BASE)
JOB = Resource("pi", "default")


def made(kind: str = "Job", *, uid: str = "u-1", conditions: Any = (), **status: Any) -> dict[str, Any]:
    """An object as the API server sends it."""
    return {
        "kind": kind,
        "metadata": {"name": "pi", "namespace": "default", "uid": uid, "generation": 1},
        "spec": {"completions": 4, "replicas": 2},
        "status": {"conditions": list(conditions), **status},
    }


def condition(name: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": name, "status": status, **more}


def refusal(reason: str, code: int, **details: Any) -> dict[str, Any]:
    """A Status object, as the API server answers with it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'jobs.batch "pi" {reason}',
        "reason": reason,
        "details": details,
        "code": code,
    }


SEEN = {"uid": "u-1"}
NOT_FOUND = refusal("NotFound", 404, name="pi", group="batch", kind="jobs")
COMPLETE = made(conditions=[condition("SuccessCriteriaMet"), condition("Complete")], succeeded=4)
FAILED = made(conditions=[condition("Failed", reason="BackoffLimitExceeded", message="too many pods failed")])


def reply(data: Any, status: int = 200) -> Reply:
    body = data if isinstance(data, bytes) else orjson.dumps(data)
    return Reply(status, {"Content-Type": "application/json"}, body)


def reading(endpoint: ResourceEndpoint, data: Any, status: int = 200, **more: Any) -> Reading[ResourceStatus]:
    return endpoint.read_for(more.pop("job", JOB), reply(data, status), more.get("cursor"))


def until(text: str, **options: Any) -> ResourceEndpoint:
    return ResourceEndpoint(BASE, "jobs", group="batch", until=text, **options)


def test_the_endpoint_does_what_each_endpoint_must() -> None:
    """Objects are read, and whatever stands in the place of a part is no success."""
    check_endpoint(
        JOBS,
        [
            Sample(job=JOB, reply=made(active=1, succeeded=1), phase=Phase.RUNNING),
            Sample(job=JOB, reply=COMPLETE, phase=Phase.SUCCEEDED),
            Sample(job=JOB, reply=FAILED, phase=Phase.FAILED),
        ],
    )


# --- paths ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "job", "path"),
    [
        (JOBS, JOB, "/apis/batch/v1/namespaces/default/jobs/pi"),
        (kubernetes.pods(BASE), JOB, "/api/v1/namespaces/default/pods/pi"),
        (
            ResourceEndpoint(f"{BASE}/k8s/c-1/", "nodes", namespaced=False, until="condition=Ready"),
            Resource("n-1"),
            "/k8s/c-1/api/v1/nodes/n-1",
        ),
        (
            ResourceEndpoint(BASE, "widgets", group="example.com", version="v1beta1", until="create"),
            Resource("a/b", "default"),
            "/apis/example.com/v1beta1/namespaces/default/widgets/a%2Fb",
        ),
    ],
)
def test_objects_have_the_paths_of_the_api(endpoint: ResourceEndpoint, job: Resource, path: str) -> None:
    """Core and named groups, in a namespace and in none."""
    assert endpoint.request(job).url.raw_path == path


@pytest.mark.parametrize(("namespaced", "job"), [(True, Resource("pi")), (False, JOB)])
def test_a_namespace_that_is_missing_or_in_the_way_is_told(namespaced: bool, job: Resource) -> None:
    """The error says what to write."""
    endpoint = ResourceEndpoint(BASE, "jobs", namespaced=namespaced, until="delete")
    with pytest.raises(ConfigurationError, match="namespace"):
        endpoint.request(job)


@pytest.mark.parametrize(
    "options",
    [
        {"until": "Ready"},
        {"until": "delete", "failed_when": ["Failed"]},
        {"until": "delete", "failed_when": "condition=Failed"},
        {"until": "condition=Ready", "failed_when": ["delete"]},
        {"until": "delete", "propagation": "Sometimes"},
        {"until": "jsonpath={.a}=" + "x" * 100},
        {"until": "delete", "group": ".."},
        {"until": "delete", "account": 7},
    ],
)
def test_an_argument_that_cannot_be_right_is_refused_at_once(options: dict[str, Any]) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError):
        ResourceEndpoint(BASE, "jobs", **options)


def test_an_endpoint_says_what_it_waits_for() -> None:
    """And it reads an object of any name where no job is given."""
    assert repr(JOBS) == "ResourceEndpoint('https://10.0.0.1:6443', name='kubernetes-jobs')"
    assert JOBS.read(reply(COMPLETE)).phase is Phase.SUCCEEDED


def test_two_waits_for_the_same_resource_have_two_names() -> None:
    """A ledger tells them apart."""
    assert until("delete").name == "kubernetes-jobs.batch delete"
    assert until("condition=Complete").name == "kubernetes-jobs.batch condition=Complete"
    assert until("delete", name="own").name == "own"


# --- the ready ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "phase", "fraction"),
    [
        (made(active=1), Phase.RUNNING, None),
        (made(active=1, succeeded=1), Phase.RUNNING, 0.25),
        (made(conditions=[condition("Suspended")]), Phase.RUNNING, None),
        (made(conditions=[condition("SuccessCriteriaMet")]), Phase.RUNNING, None),
        (made(conditions=[condition("FailureTarget")]), Phase.RUNNING, None),
        (made(conditions=[condition("Complete", "False"), condition("Failed", "False")]), Phase.RUNNING, None),
        (COMPLETE, Phase.SUCCEEDED, None),
        (FAILED, Phase.FAILED, None),
    ],
)
def test_a_job_ends_with_complete_or_failed(data: Any, phase: Phase, fraction: float | None) -> None:
    """`SuccessCriteriaMet` and `FailureTarget` only announce the end."""
    found = reading(JOBS, data)
    assert (found.phase, found.fraction) == (phase, fraction)
    assert found.reason == ("Failed=true: BackoffLimitExceeded: too many pods failed" if data is FAILED else None)


@pytest.mark.parametrize(
    ("data", "phase"),
    [
        (made("Pod", phase="Pending"), Phase.QUEUED),
        (made("Pod", phase="Running", conditions=[condition("Ready", "False")]), Phase.RUNNING),
        (made("Pod", phase="Running", conditions=[condition("Ready")]), Phase.SUCCEEDED),
        (made("Pod", phase="Failed", conditions=[condition("Ready", "False")]), Phase.FAILED),
    ],
)
def test_a_pod_is_awaited_until_it_is_ready(data: Any, phase: Phase) -> None:
    """The phase Failed ends the wait."""
    assert reading(kubernetes.pods(BASE), data).phase is phase


def test_a_pod_that_ends_can_be_awaited() -> None:
    """By its phase."""
    endpoint = kubernetes.pods(BASE, until="jsonpath={.status.phase}=Succeeded")
    assert reading(endpoint, made("Pod", phase="Succeeded")).phase is Phase.SUCCEEDED
    assert reading(endpoint, made("Pod", phase="Running", conditions=[condition("Ready")])).phase is Phase.RUNNING


@pytest.mark.parametrize("state", ["Failed", "Succeeded", "Running"])
def test_a_pod_in_any_phase_can_be_deleted(state: str) -> None:
    """A pod that has failed is awaited until it is gone, too."""
    endpoint = kubernetes.pods(BASE, until="Delete")
    assert reading(endpoint, made("Pod", phase=state)).phase is Phase.RUNNING


def test_a_pod_that_has_ended_is_not_awaited_until_it_is_ready() -> None:
    """It will never be ready, so the wait fails with the phase, and not at its deadline."""
    found = reading(kubernetes.pods(BASE), made("Pod", phase="Succeeded", conditions=[condition("Ready", "False")]))
    assert (found.phase, found.reason) == (Phase.FAILED, "{.status.phase}=Succeeded")


STALLED = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="it has timed out")


@pytest.mark.parametrize(
    ("data", "phase"),
    [
        (made("Deployment", conditions=[condition("Available", "False"), condition("Progressing")]), Phase.RUNNING),
        (made("Deployment", conditions=[condition("Available")]), Phase.SUCCEEDED),
        (made("Deployment", conditions=[STALLED]), Phase.FAILED),
        (made("Deployment", conditions=[STALLED], observedGeneration=0), Phase.RUNNING),
        (made("Deployment", conditions=[condition("Available")], observedGeneration=0), Phase.RUNNING),
    ],
)
def test_a_deployment_is_available_or_stalls(data: Any, phase: Phase) -> None:
    """A status of an earlier generation is neither."""
    assert reading(kubernetes.deployments(BASE), data).phase is phase


@pytest.mark.parametrize(
    ("claim", "phase"), [("Pending", Phase.QUEUED), ("Bound", Phase.SUCCEEDED), ("Lost", Phase.FAILED)]
)
def test_a_claim_is_bound_or_lost(claim: str, phase: Phase) -> None:
    """PersistentVolumeClaims have these three phases."""
    assert reading(kubernetes.volume_claims(BASE), made("PersistentVolumeClaim", phase=claim)).phase is phase


# --- objects that come and go -----------------------------------------------------------------


def test_a_deletion_is_over_when_the_object_is_gone() -> None:
    """404 of the reason NotFound about this object."""
    endpoint = until("delete")
    there = reading(endpoint, made())
    assert (there.phase, there.cursor) == (Phase.RUNNING, SEEN)
    gone = reading(endpoint, NOT_FOUND, 404)
    assert (gone.phase, gone.final, gone.status.exists) == (Phase.SUCCEEDED, True, False)


def test_a_deletion_is_over_when_another_object_has_the_name() -> None:
    """Its UID differs from the one that was seen, or from the job's (kubectl, `IsDeleted`)."""
    endpoint = until("delete")
    assert reading(endpoint, made(uid="u-2"), cursor=SEEN).phase is Phase.SUCCEEDED
    assert reading(endpoint, made(uid="u-2"), job=Resource("pi", "default", "u-1")).phase is Phase.SUCCEEDED
    assert reading(endpoint, made(uid="u-2"), cursor={"uid": None}).phase is Phase.RUNNING


def test_a_creation_is_awaited() -> None:
    """404 means: not there yet."""
    endpoint = until("create")
    assert reading(endpoint, NOT_FOUND, 404).phase is Phase.QUEUED
    assert reading(endpoint, made()).phase is Phase.SUCCEEDED


def test_an_object_that_vanishes_ends_the_wait_for_a_condition() -> None:
    """At once with a UID. Otherwise further polls confirm it, because a controller may make the object again."""
    seen = reading(JOBS, NOT_FOUND, 404, cursor=SEEN)
    assert (seen.phase, seen.unconfirmed, seen.cursor) == (Phase.CANCELLED, True, SEEN)
    known = Resource("pi", "default", "u-1")
    assert reading(JOBS, NOT_FOUND, 404, cursor=SEEN, job=known).final
    replaced = reading(JOBS, made(uid="u-2"), job=known)
    assert (replaced.phase, replaced.final) == (Phase.CANCELLED, True)
    assert reading(JOBS, made(uid="u-2"), cursor=SEEN).phase is Phase.RUNNING


def test_a_job_that_may_have_finished_before_it_was_deleted_has_an_unknown_end() -> None:
    """`ttlSecondsAfterFinished` deletes a Job between two polls. A deletion that was seen to begin is no such one."""
    job = made(active=1)
    job["spec"]["ttlSecondsAfterFinished"] = 0
    gone = reading(JOBS, NOT_FOUND, 404, cursor=reading(JOBS, job).cursor)
    assert (gone.phase, gone.unconfirmed, gone.unknown) == (Phase.RUNNING, True, "ttlSecondsAfterFinished=0")
    known = reading(JOBS, NOT_FOUND, 404, cursor=reading(JOBS, job).cursor, job=Resource("pi", "default", "u-1"))
    assert (known.final, known.unknown) == (True, "ttlSecondsAfterFinished=0")
    job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert reading(JOBS, NOT_FOUND, 404, cursor=reading(JOBS, job).cursor).phase is Phase.CANCELLED


@pytest.mark.parametrize(
    "data",
    [
        b"<html>404</html>",
        {},
        refusal("NotFound", 404),  # the whole resource is unknown
        refusal("NotFound", 404, name="other"),
        {**NOT_FOUND, "kind": "Problem"},
        {**NOT_FOUND, "reason": "Gone"},
    ],
)
@pytest.mark.parametrize("text", ["delete", "create", "condition=Complete"])
def test_another_404_says_nothing_about_the_object(data: Any, text: str) -> None:
    """A gateway, or an API that the cluster does not have. It stays a refusal."""
    with pytest.raises(MalformedReply):
        reading(until(text), data, 404, cursor=SEEN)


def test_an_object_that_was_never_seen_may_not_be_visible_yet() -> None:
    """Then the 404 stays a refusal, which is tolerated for a while."""
    with pytest.raises(MalformedReply):
        reading(JOBS, NOT_FOUND, 404)


@pytest.mark.parametrize(
    "data",
    [
        refusal("Success", 200),
        {"metadata": {"name": "other", "namespace": "default"}},
        {"metadata": {"name": "pi", "namespace": "other"}},
        {"metadata": {"name": "pi"}},
        {**made(), "status": {"conditions": {"type": "Complete"}}},
    ],
)
def test_a_reply_about_another_object_is_malformed(data: Any) -> None:
    """Its name and its namespace are compared."""
    with pytest.raises(MalformedReply):
        reading(JOBS, data)


def test_an_expired_version_is_a_failed_poll() -> None:
    """410 of the reason Expired is about a list's version. Any other 410 stays a refusal."""
    with pytest.raises(ServerUnavailable):
        reading(JOBS, refusal("Expired", 410), 410)
    with pytest.raises(MalformedReply):
        reading(JOBS, b"", 410)


def test_a_status_object_is_told_in_the_servers_words() -> None:
    """Its reason, its message and its causes."""
    data = refusal("Invalid", 422, causes=[{"reason": "FieldValueRequired", "message": "Required value"}, 7])
    problem = JOBS.problem(reply(data, 422))
    assert problem is not None
    assert (problem.codes, problem.descriptions) == (("Invalid",), ('jobs.batch "pi" Invalid', "Required value"))
    assert JOBS.problem(reply(made(), 422)) is None


# --- create and delete ------------------------------------------------------------------------


def test_a_deletion_takes_the_pods_along_and_means_one_object() -> None:
    """`propagationPolicy`, and the UID as a precondition."""
    request = JOBS.cancel_request(JOB, ResourceStatus(made()))
    assert (request.method, request.url.path) == ("DELETE", "/apis/batch/v1/namespaces/default/jobs/pi")
    assert orjson.loads(request.body or b"") == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u-1"},
    }
    bare = until("delete", propagation="Foreground").cancel_request(JOB, None)
    assert orjson.loads(bare.body or b"")["propagationPolicy"] == "Foreground"
    assert b"preconditions" not in (bare.body or b"")


def test_an_object_is_created_and_known_by_its_uid() -> None:
    """POST to the collection; the reply has the name that the server chose."""
    manifest = {"kind": "Job", "metadata": {"generateName": "pi-"}}
    order = ResourceOrder(manifest, "default")
    request = JOBS.submit_request(order, "key")
    assert (request.method, request.url.path) == ("POST", "/apis/batch/v1/namespaces/default/jobs")
    assert orjson.loads(request.body or b"") == manifest
    created = reply({"metadata": {"name": "pi-x7", "namespace": "default", "uid": "u-9"}}, 201)
    assert JOBS.read_submitted(order, created) == Resource("pi-x7", "default", "u-9")
    with pytest.raises(MalformedReply):
        JOBS.read_submitted(order, reply({"metadata": {"name": ".."}}, 201))


@pytest.mark.parametrize(
    "order",
    [
        ResourceOrder({"kind": "Job"}, "default"),
        ResourceOrder({"metadata": {"name": "pi"}}),
        ResourceOrder({"metadata": {"name": "pi"}, "spec": object()}, "default"),
    ],
)
def test_a_manifest_that_cannot_be_created_is_refused_before_it_is_sent(order: ResourceOrder) -> None:
    """It needs a name and a namespace, and is JSON."""
    with pytest.raises(ConfigurationError):
        JOBS.submit_request(order, "key")


# --- on a real socket -------------------------------------------------------------------------

PATH = "/apis/batch/v1/namespaces/default/jobs/pi"


@pytest.mark.looptime
async def test_a_job_is_awaited_to_its_end() -> None:
    """Not there yet, running, and complete."""
    script = {
        f"GET {PATH}": [
            answer(NOT_FOUND, status="404 Not Found"),
            answer(made(active=1)),
            answer(made(active=1)),
            answer(COMPLETE),
        ]
    }
    async with scripted_server(script) as server:
        endpoint = kubernetes.jobs(server.url)
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            events = [event async for event in watcher.watch(JOB)]
    assert isinstance(events[-1], Succeeded)
    assert events[-1].status.condition("complete") is not None
    assert len(server.asked) == 4


@pytest.mark.looptime
async def test_a_failed_job_raises_nothing_while_it_is_iterated() -> None:
    """Its outcome has the reason."""
    async with (
        scripted_server({f"GET {PATH}": [answer(FAILED)]}) as server,
        JobWatcher(kubernetes.jobs(server.url), timeout_s=600) as watcher,
    ):
        outcome = [event async for event in watcher.watch(JOB)][-1]
    assert isinstance(outcome, Failed)
    assert "BackoffLimitExceeded" in str(outcome.error)


@pytest.mark.looptime
async def test_a_cancelled_job_is_deleted() -> None:
    """The outcome comes when the object stays away."""
    script = {
        f"GET {PATH}": [answer(made(active=1)), answer(NOT_FOUND, status="404 Not Found")],
        f"DELETE {PATH}": [answer({"kind": "Status", "status": "Success"})],
    }
    async with scripted_server(script) as server:
        endpoint = kubernetes.jobs(server.url)
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            watch = watcher.watch(JOB)
            async for _ in watch:
                break
            assert await watch.cancel()
            outcome = [event async for event in watch][-1]
    assert isinstance(outcome, Cancelled)
    assert [asked.json["propagationPolicy"] for asked in server.of(f"DELETE {PATH}")] == ["Background"]


@pytest.mark.looptime
async def test_an_object_that_never_comes_is_not_found() -> None:
    """After the grace."""
    async with (
        scripted_server({f"GET {PATH}": [answer(NOT_FOUND, status="404 Not Found")]}) as server,
        JobWatcher(kubernetes.jobs(server.url), timeout_s=600) as watcher,
    ):
        with pytest.raises(JobNotFound, match="NotFound"):
            await watcher.watch(JOB)
