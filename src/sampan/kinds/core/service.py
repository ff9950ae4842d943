"""Services: defaults, strategy, columns, warnings and the pure questions about them.

Findings are `service_validate`. Giving out addresses and ports is the API server's; it calls `carry_allocated` and
`sync_cluster_ips` around it. Source: kubernetes `pkg/registry/core/service`, `pkg/api/service`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import addresses
from sampan.api.core.v1 import ClientIPConfig, Service, SessionAffinityConfig
from sampan.api.errors import FieldError
from sampan.api.names import dns1123_label
from sampan.api.resources import SERVICES
from sampan.kinds.core import service_validate
from sampan.kinds.core.service_questions import (
    NO_CLUSTER_IP,
    is_externally_accessible,
    is_headless,
    needs_cluster_ip,
    needs_health_check,
    needs_node_port,
)
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import NONE, age, joined, labels_text

__all__ = [
    "KIND", "carry_allocated", "is_externally_accessible", "is_headless", "needs_cluster_ip", "needs_health_check",
    "needs_node_port", "sync_cluster_ips",
]

_THREE_HOURS = 10800
_HINTS = "service.kubernetes.io/topology-aware-hints"


def default(service: Service) -> None:
    """Fill what was left out, in place."""
    spec = service.spec
    spec.sessionAffinity = spec.sessionAffinity or "None"
    if spec.sessionAffinity == "None":
        spec.sessionAffinityConfig = None
    elif spec.sessionAffinity == "ClientIP":
        config = spec.sessionAffinityConfig
        if config is None or config.clientIP is None or config.clientIP.timeoutSeconds is None:
            spec.sessionAffinityConfig = SessionAffinityConfig(clientIP=ClientIPConfig(timeoutSeconds=_THREE_HOURS))
    spec.type = spec.type or "ClusterIP"
    for port in spec.ports:
        port.protocol = port.protocol or "TCP"
        if not port.targetPort:
            port.targetPort = port.port
    if not spec.externalTrafficPolicy and is_externally_accessible(service):
        spec.externalTrafficPolicy = "Cluster"
    if spec.internalTrafficPolicy is None and spec.type in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.internalTrafficPolicy = "Cluster"
    if spec.type == "LoadBalancer":
        if spec.allocateLoadBalancerNodePorts is None:
            spec.allocateLoadBalancerNodePorts = True
        for ingress in service.status.loadBalancer.ingress:
            if ingress.ip and ingress.ipMode is None:
                ingress.ipMode = "VIP"


# -- strategy -----------------------------------------------------------------------------------------------------------


def prepare_create(service: Service) -> None:
    """Without a status, and with `clusterIP` and `clusterIPs` alike."""
    service.status = type(service.status)()
    sync_cluster_ips(service, None)


def prepare_update(new: Service, old: Service) -> None:
    """The status stays, as does what was allocated and not asked to be different; what the new type lacks goes."""
    new.status = old.status
    carry_allocated(new, old)
    sync_cluster_ips(new, old)
    drop_what_the_type_lacks(new, old)
    trim_for_single_stack(new, old)


def carry_allocated(new: Service, old: Service) -> None:
    """Keep addresses and node ports that an update leaves out, so that it need not be a read-modify-write."""
    was, spec = old.spec, new.spec
    if needs_cluster_ip(old) and needs_cluster_ip(new):
        if not spec.clusterIP and was.clusterIP:
            spec.clusterIP = was.clusterIP
        if not spec.clusterIPs:
            spec.clusterIPs = list(was.clusterIPs)
    if needs_node_port(old) and needs_node_port(new):
        known = {port.name: port.nodePort for port in was.ports}
        used = {port.nodePort for port in spec.ports}
        for port in spec.ports:
            kept = known.get(port.name, 0)
            if not port.nodePort and kept not in used:
                port.nodePort = kept
    if needs_health_check(old) and needs_health_check(new) and not spec.healthCheckNodePort:
        spec.healthCheckNodePort = was.healthCheckNodePort


def sync_cluster_ips(new: Service, old: Service | None) -> None:
    """Bring `clusterIP` and `clusterIPs` together: whichever the client changed counts."""
    spec = new.spec
    if old is None:
        if spec.clusterIP and not spec.clusterIPs:
            spec.clusterIPs = [spec.clusterIP]
        return
    was = old.spec
    if spec.clusterIP == was.clusterIP:
        spec.clusterIPs = spec.clusterIPs or list(was.clusterIPs)
    elif spec.clusterIPs == was.clusterIPs:  # a client that knows only the one
        spec.clusterIPs = [spec.clusterIP] if spec.clusterIP else []


def drop_what_the_type_lacks(new: Service, old: Service) -> None:
    """What a change of type leaves behind and the client did not touch is dropped with it."""
    spec, was = new.spec, old.spec
    if needs_cluster_ip(old) and not needs_cluster_ip(new) and (spec.clusterIP, spec.clusterIPs) == (was.clusterIP, was.clusterIPs):
        spec.clusterIP, spec.clusterIPs = "", []
    if needs_cluster_ip(old) and not needs_cluster_ip(new):
        if spec.ipFamilies == was.ipFamilies:
            spec.ipFamilies = []
        if spec.ipFamilyPolicy == was.ipFamilyPolicy:
            spec.ipFamilyPolicy = None
    if needs_node_port(old) and not needs_node_port(new) and _node_ports(new) <= _node_ports(old):
        for port in spec.ports:
            port.nodePort = 0
    if needs_health_check(old) and not needs_health_check(new) and spec.healthCheckNodePort == was.healthCheckNodePort:
        spec.healthCheckNodePort = 0
    if was.type == "LoadBalancer" and spec.type != "LoadBalancer":
        if spec.allocateLoadBalancerNodePorts == was.allocateLoadBalancerNodePorts:
            spec.allocateLoadBalancerNodePorts = None
        if spec.loadBalancerClass == was.loadBalancerClass:
            spec.loadBalancerClass = None
    if is_externally_accessible(old) and not is_externally_accessible(new) and (
            spec.externalTrafficPolicy == was.externalTrafficPolicy):
        spec.externalTrafficPolicy = ""
    if was.type != "ExternalName" and spec.type == "ExternalName" and spec.internalTrafficPolicy == was.internalTrafficPolicy:
        spec.internalTrafficPolicy = None
    if new.status.loadBalancer.ingress and was.type == "LoadBalancer" and spec.type != "LoadBalancer":
        new.status = type(new.status)(conditions=new.status.conditions)


def _node_ports(service: Service) -> set[int]:
    return {port.nodePort for port in service.spec.ports if port.nodePort}


def trim_for_single_stack(new: Service, old: Service) -> None:
    """A policy changed to SingleStack lets go of the second address and family when the client left them as they were."""
    spec, was = new.spec, old.spec
    if "ExternalName" in (spec.type, was.type) or spec.ipFamilyPolicy != "SingleStack" or was.ipFamilyPolicy == "SingleStack":
        return
    if len(was.ipFamilies) > 1 and spec.ipFamilies == was.ipFamilies:
        spec.ipFamilies = spec.ipFamilies[:1]
    if len(was.clusterIPs) > 1 and spec.clusterIPs == was.clusterIPs:
        spec.clusterIPs = spec.clusterIPs[:1]


def prepare_status(new: Service, old: Service) -> None:
    """Only the status changes."""
    new.spec = old.spec


# -- warnings and columns ------------------------------------------------------------------------------------------------


def warnings(service: Service, old: Service | None) -> list[str]:
    """Addresses that are not canonical, fields that do nothing for this type."""
    spec = service.spec
    found = []
    if _HINTS in service.metadata.annotations:
        found.append(f"annotation {_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead")
    if spec.clusterIP not in ("", NO_CLUSTER_IP):
        for index, ip in enumerate(spec.clusterIPs):
            found += addresses.ip_warnings(f"spec.clusterIPs[{index}]", ip)
    headless = spec.type == "ClusterIP" and spec.clusterIP == NO_CLUSTER_IP
    if headless:
        if spec.loadBalancerIP:
            found.append("spec.loadBalancerIP is ignored for headless services")
        if spec.externalIPs:
            found.append("spec.externalIPs is ignored for headless services")
        if spec.sessionAffinity != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    for index, ip in enumerate(spec.externalIPs):
        found += addresses.ip_warnings(f"spec.externalIPs[{index}]", ip)
    if spec.externalIPs and not headless and spec.type != "ExternalName":
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.loadBalancerIP:
        found += addresses.ip_warnings("spec.loadBalancerIP", spec.loadBalancerIP)
    for index, cidr in enumerate(spec.loadBalancerSourceRanges):
        found += addresses.cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", cidr)
    if spec.type == "ExternalName" and spec.externalIPs:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.type != "ExternalName" and spec.externalName:
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.trafficDistribution == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found


def _external_ip(service: Service, _: datetime) -> str:
    spec = service.spec
    if spec.type in ("ClusterIP", "NodePort"):
        return joined(spec.externalIPs)
    if spec.type == "ExternalName":
        return spec.externalName
    if spec.type != "LoadBalancer":
        return "<unknown>"
    given = [one.ip or one.hostname for one in service.status.loadBalancer.ingress if one.ip or one.hostname]
    if spec.externalIPs:
        return ",".join([*dict.fromkeys(sorted(given)), *spec.externalIPs])
    return ",".join(dict.fromkeys(sorted(given))) or "<pending>"


def _ports(service: Service, _: datetime) -> str:
    return joined(f"{port.port}:{port.nodePort}/{port.protocol}" if port.nodePort else f"{port.port}/{port.protocol}"
                  for port in service.spec.ports)


def _cluster_ip(service: Service, _: datetime) -> str:
    return service.spec.clusterIPs[0] if service.spec.clusterIPs else NONE


def _validate_update(new: Service, old: Service) -> list[FieldError]:
    return [*service_validate.validate_update(new, old), *service_validate.validate(new, old)]


KIND: Kind[Service] = Kind(
    resource=SERVICES,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate_create=service_validate.validate,
    validate_update=_validate_update,
    name_check=dns1123_label,
    subkinds=(SubKind("status", prepare_status, service_validate.validate_status),),
    columns=(
        Column("Name", lambda service, _: service.metadata.name, format="name"),
        Column("Type", lambda service, _: service.spec.type),
        Column("Cluster-IP", _cluster_ip),
        Column("External-IP", _external_ip),
        Column("Port(s)", _ports),
        Column("Age", age),
        Column("Selector", lambda service, _: labels_text(service.spec.selector), priority=1),
    ),
    fields={
        "spec.clusterIP": lambda service: service.spec.clusterIP,
        "spec.type": lambda service: service.spec.type,
    },
    allow_create_on_update=True,
    warnings=warnings,
)
