"""Kubernetes: wait for conditions of any resource, as `kubectl wait` does.

    endpoint = kubernetes.jobs("https://10.0.0.1", auth=kubernetes.ServiceAccountToken())
    async with JobWatcher(endpoint, timeout_s=3600) as watcher:
        status = await watcher.watch(Resource("import-7", namespace="batch"))

`waits.py` has what can be waited for, `objects.py` the values, and `endpoint.py` the calls.

Source: kubectl's `pkg/cmd/wait` for the rules of waiting, client-go's `transport/token_source.go` for token files, and the
API conventions of github.com/kubernetes/community for Status objects. No cluster was asked.
"""

from __future__ import annotations

from pollwise.endpoints.kubernetes.endpoint import ResourceEndpoint, deployments, jobs, pods, volume_claims
from pollwise.endpoints.kubernetes.objects import Condition, Resource, ResourceOrder, ResourceStatus
from pollwise.endpoints.kubernetes.token_file import ServiceAccountToken

__all__ = [
    "Condition",
    "Resource",
    "ResourceEndpoint",
    "ResourceOrder",
    "ResourceStatus",
    "ServiceAccountToken",
    "deployments",
    "jobs",
    "pods",
    "volume_claims",
]
