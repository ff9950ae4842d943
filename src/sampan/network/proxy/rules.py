"""Where a Service's traffic goes on this node. Pure: Services and EndpointSlices in, `Rule`s out.

Owns endpoint choice: readiness, terminating endpoints as a last resort, traffic policies, topology hints.
Leaves rendering to `backends`. Source: kube-proxy `pkg/proxy/topology.go`, `pkg/proxy/servicechangetracker.go`; KEP-1669.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from sampan.api.core.v1 import Service, ServicePort
from sampan.api.discovery.v1 import Endpoint, EndpointSlice

SERVICE_NAME = "kubernetes.io/service-name"
PROXY_NAME = "service.kubernetes.io/service-proxy-name"


@dataclass(frozen=True, order=True)
class Target:
    """One endpoint of one port; `local` when it is on this node."""

    ip: str
    port: int
    local: bool = False


@dataclass(frozen=True)
class Rule:
    """One port of one Service in one address family.

    `cluster` serves the cluster IPs and traffic from inside; `external` serves node ports, external and load
    balancer addresses. An empty tuple means: refuse (`reject`), or drop where `drop_external` is set, since
    endpoints exist on other nodes only.
    """

    service: str  # namespace/name
    port_name: str
    protocol: str  # tcp, udp, sctp
    family: int  # 4 or 6
    cluster_ip: str
    port: int
    cluster: tuple[Target, ...]
    external: tuple[Target, ...]
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0
    external_local: bool = False
    drop_internal: bool = False
    drop_external: bool = False

    @property
    def key(self) -> str:
        """Unique among rules."""
        return f"{self.service}/{self.protocol}/{self.port_name}"


@dataclass(frozen=True)
class _Seen:
    target: Target
    ready: bool
    serving: bool
    zones: frozenset[str]
    nodes: frozenset[str]


def proxied(service: Service) -> bool:
    """Whether the Service has an address that this proxy answers for."""
    return (service.spec.clusterIP not in ("", "None") and service.spec.type != "ExternalName"
            and PROXY_NAME not in service.metadata.labels)


def compute(service: Service, slices: Iterable[EndpointSlice], *, node: str, zone: str = "") -> tuple[Rule, ...]:
    """The rules of one Service on the node `node` in `zone`."""
    if not proxied(service):
        return ()
    slices = list(slices)
    out: list[Rule] = []
    for cluster_ip in service.spec.clusterIPs or [service.spec.clusterIP]:
        family = ip_address(cluster_ip).version
        out += [_rule(service, port, cluster_ip, family, _endpoints(slices, port, family, node), node, zone)
                for port in service.spec.ports]
    return tuple(out)


def _endpoints(slices: Iterable[EndpointSlice], port: ServicePort, family: int, node: str) -> list[_Seen]:
    seen: dict[tuple[str, int], _Seen] = {}
    for entry in slices:
        if entry.addressType != f"IPv{family}":
            continue
        for endpoint_port in entry.ports or ():
            if (endpoint_port.name or "") != port.name or (endpoint_port.protocol or "TCP") != (port.protocol or "TCP"):
                continue
            if endpoint_port.port is None:
                continue
            for endpoint in entry.endpoints or ():
                for address in (endpoint.addresses or [])[:1]:
                    seen[address, endpoint_port.port] = _seen(endpoint, address, endpoint_port.port, node)
    return sorted(seen.values(), key=lambda s: s.target)


def _seen(endpoint: Endpoint, address: str, port: int, node: str) -> _Seen:
    conditions, hints = endpoint.conditions, endpoint.hints
    ready = conditions.ready is not False
    return _Seen(
        target=Target(address, port, endpoint.nodeName == node),
        ready=ready,
        serving=conditions.serving if conditions.serving is not None else ready,
        zones=frozenset(z.name for z in hints.forZones) if hints is not None else frozenset(),
        nodes=frozenset(n.name for n in hints.forNodes) if hints is not None else frozenset(),
    )


def _usable(seen: Iterable[_Seen]) -> list[_Seen]:
    """Ready ones; where there are none, those that still serve while they terminate."""
    seen = list(seen)
    return [s for s in seen if s.ready] or [s for s in seen if s.serving]


def _hinted(seen: list[_Seen], node: str, zone: str) -> list[_Seen]:
    """Those meant for this node or zone, when every endpoint carries such a hint."""
    if seen and all(s.nodes for s in seen) and (own := [s for s in seen if node in s.nodes]):
        return own
    if zone and seen and all(s.zones for s in seen) and (near := [s for s in seen if zone in s.zones]):
        return near
    return seen


def _rule(service: Service, port: ServicePort, cluster_ip: str, family: int, seen: list[_Seen], node: str, zone: str) -> Rule:
    spec = service.spec
    everywhere = _usable(seen)
    here = _usable(s for s in seen if s.target.local)
    near = _hinted(everywhere, node, zone)
    internal_local = spec.internalTrafficPolicy == "Local"
    external_local = spec.externalTrafficPolicy == "Local"
    affinity = 0
    if spec.sessionAffinity == "ClientIP":
        config = spec.sessionAffinityConfig
        given = config.clientIP.timeoutSeconds if config is not None and config.clientIP is not None else None
        affinity = given or 10800
    addresses = [*spec.externalIPs, *(i.ip for i in service.status.loadBalancer.ingress if i.ip and i.ipMode != "Proxy")]
    return Rule(
        service=f"{service.metadata.namespace}/{service.metadata.name}",
        port_name=port.name,
        protocol=(port.protocol or "TCP").lower(),
        family=family,
        cluster_ip=cluster_ip,
        port=port.port,
        cluster=tuple(s.target for s in (here if internal_local else near)),
        external=tuple(s.target for s in (here if external_local else near)),
        node_port=port.nodePort if spec.type in ("NodePort", "LoadBalancer") else 0,
        external_ips=tuple(a for a in addresses if ip_address(a).version == family),
        source_ranges=tuple(spec.loadBalancerSourceRanges),
        affinity_seconds=affinity,
        external_local=external_local,
        drop_internal=internal_local and not here and bool(everywhere),
        drop_external=external_local and not here and bool(everywhere),
    )


def service_of(entry: EndpointSlice) -> str:
    """`namespace/name` of the Service that a slice belongs to, or the empty string."""
    name = entry.metadata.labels.get(SERVICE_NAME, "")
    return f"{entry.metadata.namespace}/{name}" if name else ""


def by_service(entry: EndpointSlice) -> tuple[str]:
    """`service_of` as the function of an index, so that all who look slices up share one."""
    return (service_of(entry),)
