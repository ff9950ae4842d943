"""Which service accounts a namespace lacks. Pure. Source: kube-controller-manager `serviceaccount/serviceaccounts_controller.go`."""

from __future__ import annotations

from collections.abc import Collection

from sampan.api.core.v1 import Namespace, ServiceAccount
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import SERVICE_ACCOUNTS
from sampan.kinds.plan import Create, Plan

WANTED = ("default",)


def decide(namespace: Namespace, there: Collection[str]) -> Plan:
    """Create what is missing, unless the namespace is going away."""
    if namespace.status.phase != "Active":
        return Plan()
    missing = [name for name in WANTED if name not in there]
    return Plan(tuple(Create(SERVICE_ACCOUNTS, ServiceAccount(
        kind="ServiceAccount", apiVersion="v1", metadata=ObjectMeta(name=name, namespace=namespace.metadata.name)))
        for name in missing))
