"""Questions about a Service's type. Source: kubernetes `pkg/api/service/util.go`, `pkg/registry/core/service/strategy.go`."""

from __future__ import annotations

from sampan.api.core.v1 import Service

NO_CLUSTER_IP = "None"


def is_headless(service: Service) -> bool:
    """Its name stands for its pods' addresses: it has none of its own."""
    return service.spec.clusterIP == NO_CLUSTER_IP or service.spec.clusterIPs == [NO_CLUSTER_IP]


def needs_cluster_ip(service: Service) -> bool:
    """Its type has an address (which may be None)."""
    return service.spec.type != "ExternalName"


def needs_node_port(service: Service) -> bool:
    """Its ports may be open on every node."""
    return service.spec.type in ("NodePort", "LoadBalancer")


def allocates_node_ports(service: Service) -> bool:
    """Its ports are open on every node, whether it names the node ports or not."""
    spec = service.spec
    return spec.type == "NodePort" or (spec.type == "LoadBalancer" and spec.allocateLoadBalancerNodePorts is not False)


def needs_health_check(service: Service) -> bool:
    """Load balancers ask nodes whether they have one of its pods."""
    return service.spec.type == "LoadBalancer" and service.spec.externalTrafficPolicy == "Local"


def is_externally_accessible(service: Service) -> bool:
    """It can be reached from outside the cluster."""
    spec = service.spec
    return spec.type in ("LoadBalancer", "NodePort") or (spec.type == "ClusterIP" and bool(spec.externalIPs))
