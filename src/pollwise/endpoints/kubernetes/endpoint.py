"""The calls about one object: ask for it, create it, delete it. And what its state means for a wait.

Rule 1: `until` is looked at first, then each of `failed_when`. A status of an earlier generation fails nothing.
Rule 2: only a Status object of the reason NotFound that names the object says that it is not there. Then a wait for `delete`
is over, and a wait for `create` goes on. Any other wait ends as cancelled if the object was seen before: at once if the job
has a UID, and otherwise after further polls, because a controller may make the object again under the same name. A Job with
`ttlSecondsAfterFinished` may have finished before it was deleted, so how it ended is unknown.
Rule 3: an object with another UID than the job's is another object. So is one with another UID than the object that was
seen before, for a wait for `delete` (kubectl, `IsDeleted`).
Rule 4: a 410 of the reason Expired or Gone is about a version of a list. It says nothing about the object, so it is a poll
that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot, checked_id, segment
from pollwise.endpoints._at_once import with_end
from pollwise.endpoints._reader import clipped, json_object_in
from pollwise.endpoints._starting import json_bytes
from pollwise.endpoints._strict import shown
from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.endpoints.kubernetes.objects import Resource, ResourceOrder, ResourceStatus, int_in, text_in
from pollwise.endpoints.kubernetes.waits import Create, Delete, Wait, parse_check, parse_wait
from pollwise.errors import ConfigurationError, Problem, ServerUnavailable
from pollwise.model.cursor import Cursor
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import Phase, Reading
from pollwise.model.submitting import Submitted

__all__ = ["ResourceEndpoint", "deployments", "jobs", "pods", "volume_claims"]

_JSON: Final = {"Accept": "application/json"}
_SENDS_JSON: Final = {**_JSON, "Content-Type": "application/json"}
_POLICIES: Final = ("Background", "Foreground", "Orphan")
_LONGEST_NAME: Final = 100
_KEYS: Final = ("kind", "metadata", "name", "namespace", "uid", "generation", "status", "observedGeneration", "phase")
_GONE: Final = ResourceStatus(None)
_READY: Final = "condition=Ready"
_TTL: Final = "ttlSecondsAfterFinished"


class ResourceEndpoint(Endpoint[Resource, ResourceStatus]):
    """Waits until an object is as wanted: `GET {base_url}/api/v1/namespaces/{namespace}/{resource}/{name}`.

        ResourceEndpoint(base_url, "certificates", group="cert-manager.io", until="condition=Ready")

    `await watch.cancel()` deletes the object. A `ResourceOrder` creates one.

    Args:
        base_url: The URL of the API server, such as `https://10.0.0.1:6443`. May have a path. Certificates that it needs are
            those of the transport: `AiohttpTransport(ssl=ssl.create_default_context(cafile="ca.crt"))`.
        resource: The resource's plural name, such as `pods`.
        until: What to wait for, in the words of `kubectl wait --for=`: `condition=Ready`, `condition=Ready=False`, `delete`,
            `create`, `jsonpath={.status.phase}=Running`.
        auth: The credentials: `ServiceAccountToken()`, `BearerAuth(token)`, or None.
        account: A name for the cluster or the credentials, if one ledger has the jobs of several.
        name: Its name in logs, ledgers and tokens. The default says the resource and `until`, so that a ledger can tell waits
            apart.
        group: The API group of the resource, such as `batch`. Empty for the core group.
        version: The version of the group.
        namespaced: Whether objects of this resource are in namespaces.
        failed_when: Conditions and JSONPaths that show that the wait is in vain.
        done: The path of the number of parts that are done, such as `("status", "succeeded")`, and the path of their total
            number. None if there are no such numbers.
        propagation: What a deletion does to dependent objects: `Background`, `Foreground` or `Orphan`.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    answer_statuses = frozenset({404, 410})
    heeded_headers = ()
    codec = AttrsCodec(Resource, ResourceStatus)

    def __init__(
        self,
        base_url: str,
        resource: str,
        *,
        until: str,
        auth: Auth | None = None,
        account: str = "",
        name: str | None = None,
        group: str = "",
        version: str = "v1",
        namespaced: bool = True,
        failed_when: Iterable[str] = (),
        done: tuple[tuple[str, ...], tuple[str, ...]] | None = None,
        propagation: str = "Background",
    ) -> None:
        if propagation not in _POLICIES:
            raise ConfigurationError(f"propagation must be one of {', '.join(_POLICIES)}, got {propagation!r}")
        if isinstance(failed_when, str):
            raise ConfigurationError("failed_when must be a list of texts, such as ['condition=Failed']")
        root = ApiRoot.parse(base_url)
        api = f"/apis/{segment(checked_id('group', group))}" if group else "/api"
        self._api = f"{api}/{segment(checked_id('version', version))}"
        self._resource = segment(checked_id("resource", resource))
        self._root = root
        self._namespaced = namespaced
        self._until: Wait = parse_wait(until)
        self._failed_when = [parse_check(text) for text in failed_when]
        self._done = done
        self._propagation = propagation
        self.name = name if name is not None else f"kubernetes-{resource}{'.' if group else ''}{group} {until}"
        if len(self.name) > _LONGEST_NAME:
            raise ConfigurationError(
                f"pass a shorter name=, because {self.name[:40]}... has over {_LONGEST_NAME} characters"
            )
        self.auth = auth
        self.account = checked_account(account, auth)
        self.fixed_origin = str(root.origin)
        waits = (self._until, *self._failed_when)
        paths = (*done[0], *done[1]) if done else ()
        self.deciding_keys = frozenset([*_KEYS, *paths, *(key for wait in waits for key in wait.keys)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._root)!r}, name={self.name!r})"

    def request(self, job: Resource, /) -> Request:
        """The GET request for the object, without credentials.

        Raises:
            ConfigurationError: The job has a namespace and must not, or the other way round.
        """
        return Request(self._root.url(f"{self._collection(job.namespace)}/{segment(job.name)}"), _JSON)

    def _collection(self, namespace: str) -> str:
        if not self._namespaced:
            if namespace:
                raise ConfigurationError(f"{self._resource} are in no namespace; leave namespace out")
            return f"{self._api}/{self._resource}"
        if not namespace:
            raise ConfigurationError(f"{self._resource} are in namespaces; name one, such as namespace='default'")
        return f"{self._api}/namespaces/{segment(namespace)}/{self._resource}"

    # --- reading ------------------------------------------------------------------------------

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[ResourceStatus]:
        """As `read_for`, for an object of any name."""
        return self._read(None, reply, cursor)

    def read_for(self, job: Resource, reply: Reply, /, cursor: Cursor = None) -> Reading[ResourceStatus]:
        """The reading, by the rules of this module. The cursor says which object was seen.

        Raises:
            MalformedReply: The reply has no object, or another one.
            ServerUnavailable: It is a 410 of the reason Expired or Gone.
        """
        return self._read(job, reply, cursor)

    def _read(self, job: Resource | None, reply: Reply, cursor: Cursor) -> Reading[ResourceStatus]:
        if reply.status == 410 and _reason(json_object_in(reply)) in {"Expired", "Gone"}:
            raise ServerUnavailable(410, None, _problem_in(reply))
        if not 200 <= reply.status < 300:
            return self._absent(job, reply, cursor)
        status = ResourceStatus(_object(reply, job))
        known = job.uid if job is not None else ""
        if not known and isinstance(self._until, Delete):
            known = text_in(cursor, "uid") or ""
        if known and status.uid is not None and status.uid != known:
            return self._replaced(status)
        if self._until.met(status):
            return Reading.succeeded(status)
        if not _is_stale(status):
            failure = next((wait for wait in self._failed_when if wait.met(status)), None)
            if failure is not None:
                return Reading.failed(status, reason=failure.why(status))
        phase = Phase.QUEUED if status.phase == "Pending" else Phase.RUNNING
        return Reading(status=status, phase=phase, fraction=self._fraction(status), cursor=_seen(status))

    def _replaced(self, status: ResourceStatus) -> Reading[ResourceStatus]:
        if isinstance(self._until, Delete):
            return Reading.succeeded(status)
        return Reading.cancelled(status, reason="it was deleted, and another object has its name")

    def _absent(self, job: Resource | None, reply: Reply, cursor: Cursor) -> Reading[ResourceStatus]:
        body = json_object_in(reply)
        name = text_in(body, "details", "name")
        if reply.status != 404 or _reason(body) != "NotFound" or not name or (job is not None and name != job.name):
            raise reply.malformed("it does not say that the object is not there")
        if isinstance(self._until, Delete):
            return Reading.succeeded(_GONE)
        if isinstance(self._until, Create):
            return Reading.queued(_GONE, cursor=cursor)
        if cursor is None:
            raise reply.malformed("the object was not seen before")  # so it stays a refusal: it may not be visible yet
        final = job is not None and job.uid != ""
        if int_in(cursor, _TTL) is not None:
            phase, missed = Phase.RUNNING, f"{_TTL}={int_in(cursor, _TTL)}"
        else:
            phase, missed = Phase.CANCELLED, None
        return Reading(
            status=_GONE,
            phase=phase,
            final=final,
            unconfirmed=not final,
            reason="it was deleted",
            unknown=missed,
            cursor=None if final else cursor,
        )

    def _fraction(self, status: ResourceStatus) -> float | None:
        if self._done is None:
            return None
        done, total = (int_in(status.document, *path) for path in self._done)
        return None if done is None or not total or not 0 <= done <= total else done / total

    def problem(self, reply: Reply, /) -> Problem | None:
        """The reason, the message and the causes of a Status object, or None."""
        problem = _problem_in(reply)
        return None if problem is None else masked_value(reply.mask, problem)

    # --- the rest of an object's life ---------------------------------------------------------

    def cancel_request(self, job: Resource, status: ResourceStatus | None, /) -> Request:
        """The DELETE request for the object, with `propagationPolicy`. With a UID it deletes no other object of that name."""
        options: dict[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": self._propagation,
        }
        uid = job.uid or (None if status is None else status.uid)
        if uid:
            options["preconditions"] = {"uid": uid}
        return Request(self.request(job).url, _SENDS_JSON, "DELETE", orjson.dumps(options))

    def submit_request(self, order: ResourceOrder, _key: str, /) -> Request:
        """The POST request that creates the object. If its name is taken, the server refuses it with 409 (AlreadyExists).

        Raises:
            ConfigurationError: The manifest is no JSON, or has no name or no namespace.
        """
        manifest = order.manifest
        if not (text_in(manifest, "metadata", "name") or text_in(manifest, "metadata", "generateName")):
            raise ConfigurationError("the manifest needs metadata.name or metadata.generateName")
        namespace = text_in(manifest, "metadata", "namespace") or order.namespace
        body = json_bytes(manifest, "the manifest")
        return Request(self._root.url(self._collection(namespace)), _SENDS_JSON, "POST", body)

    def read_submitted(self, order: ResourceOrder, reply: Reply, /) -> Resource | Submitted[Resource]:
        """The object that was created, with its UID, and with its end if what is waited for is there already.

        Raises MalformedReply if the reply has no object.
        """
        document = _object(reply, None)
        namespace = text_in(document, "metadata", "namespace") or (order.namespace if self._namespaced else "")
        name, uid = text_in(document, "metadata", "name"), text_in(document, "metadata", "uid")
        try:
            job = Resource(name or "", namespace, uid or "")
        except ConfigurationError as exc:
            why = f"field metadata: {exc}"
        else:
            return with_end(job, lambda: self._read(job, reply, None))
        raise reply.malformed(why)


def _object(reply: Reply, job: Resource | None) -> Mapping[str, Any]:
    """The object in a 2xx reply. Raises MalformedReply."""
    document = reply.json()
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise reply.malformed("expected an object with metadata.name")
    if job is not None:
        name, namespace = metadata["name"], metadata.get("namespace", "")
        if name != job.name or namespace != job.namespace:
            raise reply.malformed(f"the reply is about another object, {shown(name)} in {shown(namespace)}")
    conditions = document["status"].get("conditions") if isinstance(document.get("status"), dict) else None
    if conditions is not None and not isinstance(conditions, list):
        raise reply.malformed(f"field status.conditions: expected a list, got {shown(conditions)}")
    return document  # type: ignore[no-any-return]  # looked at above


def _seen(status: ResourceStatus) -> Cursor:
    """What is to be known of an object when it is gone: its UID, and whether it may be deleted because it finished."""
    ttl_s = None if status.is_being_deleted else int_in(status.document, "spec", _TTL)
    return {"uid": status.uid, **({} if ttl_s is None else {_TTL: ttl_s})}


def _is_stale(status: ResourceStatus) -> bool:
    """Whether the status is about an earlier desired state."""
    observed, generation = status.observed_generation, status.generation
    return observed is not None and generation is not None and observed < generation


def _reason(body: dict[str, Any] | None) -> str | None:
    return text_in(body, "reason") if text_in(body, "kind") == "Status" else None


def _problem_in(reply: Reply) -> Problem | None:
    body = json_object_in(reply)
    if body is None or body.get("kind") != "Status":
        return None
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    words = [cause.get("message") for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return Problem(codes=clipped([body.get("reason")]), descriptions=clipped([body.get("message"), *words]))


# --- the resources that people wait for -------------------------------------------------------


def jobs(base_url: str, *, auth: Auth | None = None, account: str = "") -> ResourceEndpoint:
    """Jobs (batch/v1) until they are complete; they fail with the condition Failed.

    A deletion takes their pods along, which the API alone does not do. `SuccessCriteriaMet` comes before `Complete`, and is
    no end.
    """
    return ResourceEndpoint(
        base_url,
        "jobs",
        group="batch",
        until="condition=Complete",
        failed_when=["condition=Failed"],
        done=(("status", "succeeded"), ("spec", "completions")),
        auth=auth,
        account=account,
        name="kubernetes-jobs",
    )


def pods(base_url: str, *, until: str = _READY, auth: Auth | None = None, account: str = "") -> ResourceEndpoint:
    """Pods until they are ready, or `until` another thing; they fail in the phase Failed.

    A pod that has ended without an error will never be ready, so a wait for that fails, too. For pods that end, write
    `until="jsonpath={.status.phase}=Succeeded"`. A wait for `delete` never fails.
    """
    phases = {"delete": (), _READY.lower(): ("Failed", "Succeeded")}.get(str(until).lower(), ("Failed",))
    return ResourceEndpoint(
        base_url,
        "pods",
        until=until,
        failed_when=[f"jsonpath={{.status.phase}}={phase}" for phase in phases],
        auth=auth,
        account=account,
        name="kubernetes-pods" if until == _READY else None,
    )


def deployments(base_url: str, *, auth: Auth | None = None, account: str = "") -> ResourceEndpoint:
    """Deployments (apps/v1) until they are available; they fail when their progress deadline is exceeded.

    Pods of the version before count as available, too, as for `kubectl wait`. So an update may still go on.
    """
    return ResourceEndpoint(
        base_url,
        "deployments",
        group="apps",
        until="condition=Available",
        failed_when=['jsonpath={.status.conditions[?(@.type=="Progressing")].reason}=ProgressDeadlineExceeded'],
        done=(("status", "availableReplicas"), ("spec", "replicas")),
        auth=auth,
        account=account,
        name="kubernetes-deployments",
    )


def volume_claims(base_url: str, *, auth: Auth | None = None, account: str = "") -> ResourceEndpoint:
    """PersistentVolumeClaims until they are bound; they fail when their volume is lost."""
    return ResourceEndpoint(
        base_url,
        "persistentvolumeclaims",
        until="jsonpath={.status.phase}=Bound",
        failed_when=["jsonpath={.status.phase}=Lost"],
        auth=auth,
        account=account,
        name="kubernetes-volume-claims",
    )
