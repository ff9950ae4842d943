"""What a Service needs of a provider of load balancers. Pure. Source: cloud-provider `controllers/service/controller.go`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from sampan.api.core.v1 import LoadBalancerIngress, Node, Service
from sampan.api.resources import SERVICES
from sampan.kinds.plan import Plan, Update

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"


def wants_balancer(service: Service) -> bool:
    """It is a balancer's, and of the cluster's own class."""
    return service.spec.type == "LoadBalancer" and service.spec.loadBalancerClass is None


def needs_cleanup(service: Service) -> bool:
    """It has had a balancer (its finalizer says so) that it must not have any more; one of another class has a finalizer of its own business."""
    return FINALIZER in service.metadata.finalizers and (service.metadata.deletionTimestamp is not None or service.spec.type != "LoadBalancer")


def asked(service: Service) -> object:
    """What of a Service a balancer depends on."""
    spec, meta = service.spec, service.metadata
    return (wants_balancer(service), needs_cleanup(service), meta.uid, meta.annotations, spec.ports, spec.loadBalancerSourceRanges, spec.sessionAffinity,
            spec.sessionAffinityConfig, spec.loadBalancerIP, spec.externalIPs, spec.externalTrafficPolicy, spec.healthCheckNodePort, len(spec.ipFamilies))


def eligible(nodes: Iterable[Node]) -> list[Node]:
    """The nodes that a balancer may send to; whether they are ready it finds out itself."""
    return [node for node in nodes
            if not _excluded(node.metadata.labels.get(EXCLUDED)) and node.metadata.deletionTimestamp is None
            and all(taint.key != TO_BE_DELETED for taint in node.spec.taints)]


def _excluded(label: str | None) -> bool:
    return label is not None and label not in ("0", "f", "F", "FALSE", "false", "False")


def hosts(nodes: Iterable[Node]) -> dict[str, str]:
    """What a balancer knows of its nodes: it is told when that changes."""
    return {node.metadata.name: node.spec.providerID for node in nodes}


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
    """No finalizer, once the balancer is gone."""
    if FINALIZER not in service.metadata.finalizers:
        return Plan()
    meta = replace(service.metadata, finalizers=[one for one in service.metadata.finalizers if one != FINALIZER])
    return Plan((Update(SERVICES, replace(service, metadata=meta)),))
