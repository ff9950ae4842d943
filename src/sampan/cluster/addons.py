"""What a cluster of ours holds besides what every API server makes: the DNS Service and who may serve it.

Made once when the control plane starts and left alone from then on, so that an administrator may change it.
"""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.errors import NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SERVICES
from sampan.client.base import Client
from sampan.cluster.provision import NETWORK_GROUP

NAME = "sampan:node-network"
READ = ["get", "list", "watch"]


def dns_service(ip: str) -> Service:
    """`kube-dns`, answered by every node itself."""
    return Service(
        metadata=ObjectMeta(name="kube-dns", namespace="kube-system", labels={
            "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}),
        spec=ServiceSpec(clusterIP=ip, internalTrafficPolicy="Local", ports=[
            ServicePort(name="dns", port=53, protocol="UDP"), ServicePort(name="dns-tcp", port=53, protocol="TCP")]))


def objects(dns_ip: str) -> list[tuple[Resource[Any], Any]]:
    """All of them."""
    role = ClusterRole(metadata=ObjectMeta(name=NAME), rules=[
        PolicyRule(apiGroups=[""], resources=["services", "namespaces", "nodes"], verbs=READ),
        PolicyRule(apiGroups=["discovery.k8s.io"], resources=["endpointslices"], verbs=[*READ, "create", "patch", "update"]),
    ])
    binding = ClusterRoleBinding(
        metadata=ObjectMeta(name=NAME),
        roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=NAME),
        subjects=[Subject(kind="Group", apiGroup="rbac.authorization.k8s.io", name=NETWORK_GROUP)])
    return [(CLUSTER_ROLES, role), (CLUSTER_ROLE_BINDINGS, binding), (SERVICES, dns_service(dns_ip))]


async def ensure(client: Client, dns_ip: str) -> None:
    """Make what is missing."""
    for resource, wanted in objects(dns_ip):
        meta = wanted.metadata
        try:
            # asked first: a Service that is there holds its address, so making it again says that, not that it exists
            await client.get(resource, meta.name, meta.namespace)
        except NotFound:
            await client.create(resource, wanted)
