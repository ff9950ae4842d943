"""Who may write which part of a claim. Words as a kube-apiserver 1.36.3 answered."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, refusal
from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.core.v1 import Namespace
from sampan.api.errors import Invalid
from sampan.api.rbac.v1 import ClusterRole, ClusterRoleBinding
from sampan.api.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
)
from sampan.apiserver.admission.claims import NODE_KEY, ResourceClaims
from sampan.apiserver.auth.authorizers import default_authorizers
from sampan.apiserver.request import User

BOB = User("bob")
DRIVER = User("system:serviceaccount:a:driver", extra={NODE_KEY: ("n1",)})
ADMIN_ACCESS = "admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
TOLD = {"driver": "d.io", "pool": "p", "device": "d"}
ALLOCATION = {"devices": {"results": [{"request": "r"} | TOLD]}, "nodeSelector": {"nodeSelectorTerms": [
    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}}


def claim(status: dict[str, Any] | None = None, **exactly: Any) -> dict[str, Any]:
    request = {"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "All"} | exactly}
    return {"metadata": {"name": "c"}, "spec": {"devices": {"requests": [request]}}, "status": status or {}}


@pytest.fixture
def readers() -> MemoryReaders:
    made = MemoryReaders()
    made.of(NAMESPACES).put(codec.convert(Namespace, {"metadata": {"name": "a"}}))
    return made


@pytest.fixture
def plugin(readers: MemoryReaders) -> ResourceClaims:
    return ResourceClaims(readers, default_authorizers(readers))


def allow(readers: MemoryReaders, user: str, subresource: str, *verbs: str) -> None:
    rule = {"apiGroups": ["resource.k8s.io"], "resources": [f"resourceclaims/{subresource}"], "verbs": verbs}
    readers.of(CLUSTER_ROLES).put(codec.convert(ClusterRole, {"metadata": {"name": subresource}, "rules": [rule]}))
    readers.of(CLUSTER_ROLE_BINDINGS).put(codec.convert(ClusterRoleBinding, {
        "metadata": {"name": subresource}, "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": subresource}}))


def test_administrators_devices_want_a_label(plugin: ResourceClaims, readers: MemoryReaders) -> None:
    asked = claim(adminAccess=True)
    template = {"metadata": {"name": "c"}, "spec": {"spec": asked["spec"]}}
    for resource, body in ((RESOURCE_CLAIMS, asked), (RESOURCE_CLAIM_TEMPLATES, template)):
        assert refusal(plugin, ask("CREATE", resource, body), Invalid) == (
            f'{resource.kind}.resource.k8s.io "c" is invalid: spec.devices.requests[0].adminAccess: Forbidden: {ADMIN_ACCESS}')
    labels = {"resource.kubernetes.io/admin-access": "true"}
    readers.of(NAMESPACES).put(codec.convert(Namespace, {"metadata": {"name": "a", "labels": labels}}))
    admit(plugin, ask("CREATE", RESOURCE_CLAIMS, asked))


def test_allocating_is_binding(plugin: ResourceClaims, readers: MemoryReaders) -> None:
    request = ask("UPDATE", RESOURCE_CLAIMS, claim({"allocation": ALLOCATION}), claim(), subresource="status", user=BOB)
    assert refusal(plugin, request, Invalid) == (
        'ResourceClaim.resource.k8s.io "c" is invalid: status.allocation: Forbidden: changing status.allocation or status.reservedFor '
        'requires resource="resourceclaims/binding", verb="update" permission: resourceclaims.resource.k8s.io is forbidden: User "bob" '
        'cannot update resource "resourceclaims/binding" in API group "resource.k8s.io" at the cluster scope')
    allow(readers, "bob", "binding", "update")
    admit(plugin, request)


def test_drivers_tell_of_their_own_node(plugin: ResourceClaims, readers: MemoryReaders) -> None:
    old, new = claim({"allocation": ALLOCATION}), claim({"allocation": ALLOCATION, "devices": [TOLD]})

    def tell(user: User) -> Any:
        return ask("UPDATE", RESOURCE_CLAIMS, new, old, subresource="status", user=user, options={"kind": "PatchOptions"})

    assert 'verb="[arbitrary-node:patch]" permission: resourceclaims.resource.k8s.io "d.io" is forbidden: User "bob" cannot ' \
           'arbitrary-node:patch resource "resourceclaims/driver" in API group "resource.k8s.io" in the namespace "a"' \
        in refusal(plugin, tell(BOB), Invalid)
    assert 'verb="[associated-node:patch arbitrary-node:patch]"' in refusal(plugin, tell(DRIVER), Invalid)
    allow(readers, DRIVER.name, "driver", "associated-node:patch")
    admit(plugin, tell(DRIVER))
    with pytest.raises(Invalid):
        admit(plugin, tell(User(DRIVER.name, extra={NODE_KEY: ("n2",)})))


def test_what_else_is_wrong_is_told_with_it(plugin: ResourceClaims) -> None:
    asked = claim(adminAccess=True, deviceClassName="")
    assert refusal(plugin, ask("CREATE", RESOURCE_CLAIMS, asked), Invalid).endswith(
        f"[spec.devices.requests[0].adminAccess: Forbidden: {ADMIN_ACCESS}, "
        "spec.devices.requests[0].exactly.deviceClassName: Required value]")
