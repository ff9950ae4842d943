"""What a cluster of ours holds besides what every API server makes: the DNS Service and who may serve it.

Made once when the control plane starts and left alone from then on, so that an administrator may change it.
"""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.errors import AlreadyExists, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, SERVICES
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


async def allow_rotation(client: Client) -> None:
    """Let nodes have their client certificates renewed without a person who approves, and be told whom to trust.
    Source: kubeadm's `kubeadm:node-autoapprove-certificate-rotation`.
    """
    nodes = Subject(kind="Group", apiGroup="rbac.authorization.k8s.io", name="system:nodes")
    role = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"
    await _ensure(client, CLUSTER_ROLE_BINDINGS, ClusterRoleBinding(
        metadata=ObjectMeta(name="sampan:node-autoapprove-certificate-rotation"),
        roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=role),
        subjects=[nodes]))
    meta = ObjectMeta(name="sampan:root-ca", namespace="kube-system")
    await _ensure(client, ROLES, Role(metadata=meta, rules=[
        PolicyRule(apiGroups=[""], resources=["configmaps"], resourceNames=["kube-root-ca.crt"], verbs=["get"])]))
    await _ensure(client, ROLE_BINDINGS, RoleBinding(
        metadata=meta, roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name=meta.name), subjects=[nodes]))


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
        await _ensure(client, resource, wanted)


async def _ensure(client: Client, resource: Resource[Any], wanted: Any) -> None:
    meta = wanted.metadata
    try:
        # asked first: a Service that is there holds its address, so making it again says that, not that it exists
        await client.get(resource, meta.name, meta.namespace)
    except NotFound:
        try:
            await client.create(resource, wanted)
        except AlreadyExists:
            return  # another server was faster
