"""What a Service needs of a provider of load balancers. Pure. Source: cloud-provider `controllers/service/controller.go`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from sampan.api.core.v1 import LoadBalancerIngress, Node, Service
from sampan.api.resources import SERVICES
from sampan.kinds.meta import is_true
from sampan.kinds.plan import Plan, Update, Write

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"


def wants_balancer(service: Service) -> bool:
    """It is a balancer's, and of the cluster's own class."""
    return service.spec.type == "LoadBalancer" and service.spec.loadBalancerClass is None


def needs_cleanup(service: Service) -> bool:
    """It has had a balancer (its finalizer says so) that it must not have any more."""
    return FINALIZER in service.metadata.finalizers and (service.metadata.deletionTimestamp is not None or not wants_balancer(service))


def eligible(nodes: Iterable[Node]) -> list[Node]:
    """The nodes that a balancer may send to."""
    return [node for node in nodes
            if EXCLUDED not in node.metadata.labels and node.metadata.deletionTimestamp is None and is_true(node.status.conditions, "Ready")
            and all(taint.key != TO_BE_DELETED for taint in node.spec.taints)]


def protect(service: Service) -> Plan:
    """The finalizer, before there is anything to clean up."""
    if FINALIZER in service.metadata.finalizers:
        return Plan()
    meta = replace(service.metadata, finalizers=[*service.metadata.finalizers, FINALIZER])
    return Plan((Update(SERVICES, replace(service, metadata=meta)),))


def show(service: Service, ingress: Sequence[LoadBalancerIngress]) -> Plan:
    """The balancer's addresses, in the status."""
    if list(ingress) == list(service.status.loadBalancer.ingress):
        return Plan()
    status = replace(service.status, loadBalancer=replace(service.status.loadBalancer, ingress=list(ingress)))
    return Plan((Update(SERVICES, replace(service, status=status), "status"),))


def release(service: Service) -> Plan:
    """Neither addresses nor finalizer, once the balancer is gone."""
    writes: list[Write] = list(show(service, ()).writes) if service.metadata.deletionTimestamp is None else []
    if not writes:
        meta = replace(service.metadata, finalizers=[one for one in service.metadata.finalizers if one != FINALIZER])
        writes = [Update(SERVICES, replace(service, metadata=meta))]
    return Plan(tuple(writes))
