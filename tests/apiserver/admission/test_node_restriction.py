from __future__ import annotations

import base64
from typing import Any

import pytest

from apiserver.admitting import NODE, admit, ask, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api.authentication.v1 import TokenRequest
from sampan.api.errors import Forbidden, NotFound
from sampan.api.policy.v1 import Eviction
from sampan.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    CSI_NODES,
    LEASES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVICE_ACCOUNTS,
)
from sampan.apiserver.admission.node_restriction import NodeRestriction
from sampan.apiserver.request import User
from sampan.lib import pki


@pytest.fixture
def plugin() -> NodeRestriction:
    readers = MemoryReaders()
    readers.put(NODES, {"metadata": {"name": "n1", "uid": "u1"}})
    readers.put(PODS, {"metadata": {"name": "mine", "uid": "p1"}, "spec": {
        "containers": [], "nodeName": "n1", "volumes": [{"name": "t", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}}, {"serviceAccountToken": {"path": "vault", "audience": "vault"}}]}}]}}, "a")
    readers.put(PODS, {"metadata": {"name": "theirs", "uid": "p2"}, "spec": {"containers": [], "nodeName": "n2"}}, "a")
    return NodeRestriction(readers)


def _mirror(**changes: Any) -> dict[str, Any]:
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": True} | changes.pop("owner", {})
    spec = {"nodeName": "n1", **changes}
    return pod(metadata={"annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": [owner]}, **spec)


def test_a_node_makes_mirror_pods_of_its_own(plugin: NodeRestriction) -> None:
    admit(plugin, ask("CREATE", PODS, _mirror(), user=NODE))


@pytest.mark.parametrize(("body", "why"), [
    (pod(nodeName="n1"), 'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods'),
    (_mirror(nodeName="n2"), 'node "n1" can only create pods with spec.nodeName set to itself'),
    (_mirror(owner={"kind": "Pod"}), 'node "n1" can only create pods with an owner reference set to itself'),
    (_mirror(owner={"controller": False}), 'node "n1" can only create pods with a controller owner reference set to itself'),
    (_mirror(owner={"blockOwnerDeletion": True}), 'node "n1" must not set blockOwnerDeletion on an owner reference'),
    (_mirror(owner={"uid": "u9"}), "node n1 UID mismatch: expected u9 got u1"),
    (_mirror(serviceAccountName="x"), 'node "n1" can not create pods that reference serviceaccounts'),
    (_mirror(volumes=[{"name": "v", "csi": {"driver": "d"}}]),
     'node "n1" can not create pods that reference csidrivers (via CSI volumes)'),
    (_mirror(volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
     'node "n1" can not create pods that reference serviceaccounts (via projected volumes)'),
    (_mirror(imagePullSecrets=[{"name": "s"}]), 'node "n1" can not create pods that reference secrets'),
    (_mirror(volumes=[{"name": "v", "configMap": {"name": "m"}}]), 'node "n1" can not create pods that reference configmaps'),
    (_mirror(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
     'node "n1" can not create pods that reference persistentvolumeclaims'),
])
def test_and_no_other_pods(plugin: NodeRestriction, body: dict[str, Any], why: str) -> None:
    assert refusal(plugin, ask("CREATE", PODS, body, user=NODE)) == f'pods "web" is forbidden: {why}'


def test_a_node_deletes_and_evicts_its_own_pods(plugin: NodeRestriction) -> None:
    admit(plugin, ask("DELETE", PODS, old=pod("mine"), user=NODE))
    assert refusal(plugin, ask("DELETE", PODS, old=pod("theirs"), user=NODE)) == (
        'pods "theirs" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself')
    assert refusal(plugin, ask("DELETE", PODS, old=pod("none"), user=NODE), NotFound) == 'pods "none" not found'
    evict = {"metadata": {"name": "theirs"}}
    assert "node n1 can only evict pods" in refusal(plugin, ask("CREATE", PODS, evict, subresource="eviction", wire=Eviction, user=NODE))


def test_a_node_writes_the_status_of_its_own_pods(plugin: NodeRestriction) -> None:
    mine, theirs = pod("mine", nodeName="n1"), pod("theirs", nodeName="n2")
    admit(plugin, ask("UPDATE", PODS, mine, mine, subresource="status", user=NODE))
    assert refusal(plugin, ask("UPDATE", PODS, theirs, theirs, subresource="status", user=NODE)) == (
        'pods "theirs" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself')
    labelled = pod("mine", nodeName="n1", metadata={"labels": {"a": "b"}})
    assert "cannot update labels through pod status" in refusal(plugin, ask("UPDATE", PODS, labelled, mine, subresource="status", user=NODE))
    assert "unexpected operation" in refusal(plugin, ask("UPDATE", PODS, mine, mine, user=NODE))


def _node(name: str = "n1", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {key.replace("__", "/"): value for key, value in labels.items()}}}


@pytest.mark.parametrize(("label", "good"), [
    ("kubernetes.io/hostname", True), ("topology.kubernetes.io/zone", True), ("kubelet.kubernetes.io/x", True),
    ("node.kubernetes.io/x", True), ("example.com/x", True), ("plain", True),
    ("kubernetes.io/other", False), ("node-restriction.kubernetes.io/x", False), ("a.node-restriction.kubernetes.io/x", False),
    ("x.k8s.io/y", False), ("node-role.kubernetes.io/control-plane", False),
])
def test_a_node_sets_the_labels_that_are_its_own(plugin: NodeRestriction, label: str, good: bool) -> None:
    new = {"metadata": {"name": "n1", "labels": {label: "v"}}}
    change, birth = ask("UPDATE", NODES, new, _node(), user=NODE), ask("CREATE", NODES, new, user=NODE)
    if good:
        admit(plugin, change)
        admit(plugin, birth)
    else:
        assert refusal(plugin, change) == f'nodes "n1" is forbidden: is not allowed to modify labels: {label}'
        assert refusal(plugin, birth) == f'nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: {label}'


def test_a_node_changes_neither_taints_nor_other_nodes(plugin: NodeRestriction) -> None:
    tainted = _node() | {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    assert refusal(plugin, ask("UPDATE", NODES, tainted, _node(), user=NODE)) == (
        'nodes "n1" is forbidden: node "n1" is not allowed to modify taints')
    assert refusal(plugin, ask("CREATE", NODES, _node("n2"), user=NODE)) == (
        'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"')


def _token(**ref: str) -> dict[str, Any]:
    return {"metadata": {"name": "robot"}, "spec": {"boundObjectRef": ref or None}}


@pytest.mark.parametrize(("ref", "why"), [
    ({}, "node requested token not bound to a pod"),
    ({"name": "mine"}, "node requested token with a pod binding without a uid"),
    ({"name": "mine", "uid": "p9"}, "the UID in the bound object reference (p9) does not match"),
    ({"name": "theirs", "uid": "p2"}, "node requested token bound to a pod scheduled on a different node"),
    ({"name": "mine", "uid": "p1"}, ""),
])
def test_a_node_asks_for_tokens_of_its_own_pods(plugin: NodeRestriction, ref: dict[str, str], why: str) -> None:
    body = _token(apiVersion="v1", kind="Pod", **ref) if ref else _token()
    request = ask("CREATE", SERVICE_ACCOUNTS, body, subresource="token", wire=TokenRequest, user=NODE)
    if why:
        assert why in refusal(plugin, request)
    else:
        admit(plugin, request)


@pytest.mark.parametrize(("audiences", "why"), [
    (["vault"], ""),
    (["a", "b"], "node may only request 0 or 1 audiences"),
    (["other"], 'audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience'),
])
def test_and_for_audiences_that_the_pods_name(plugin: NodeRestriction, audiences: list[str], why: str) -> None:
    body = _token(apiVersion="v1", kind="Pod", name="mine", uid="p1")
    body["spec"]["audiences"] = audiences
    request = ask("CREATE", SERVICE_ACCOUNTS, body, subresource="token", wire=TokenRequest, user=NODE)
    if why:
        assert refusal(plugin, request).endswith(why)
    else:
        admit(plugin, request)


def test_a_node_keeps_its_owners_and_asks_for_its_own_certificate(plugin: NodeRestriction) -> None:
    owned = _node()
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]
    assert refusal(plugin, ask("UPDATE", NODES, owned, _node(), user=NODE)).endswith(
        'node "n1" is not allowed to modify ownerReferences')
    key = pki.new_signing_key()
    mine, other = (pki.new_request(pki.Names(f"system:node:{name}", ("system:nodes",)), key=key) for name in ("n1", "n2"))
    for pem, why in ((mine, ""), (other, "can only create a node CSR with CN=system:node:n1"), (b"", "unable to parse csr")):
        body = {"metadata": {"name": "r"}, "spec": {"signerName": pki.KUBELET_SERVING, "request": base64.b64encode(pem).decode()}}
        request = ask("CREATE", CERTIFICATE_SIGNING_REQUESTS, body, user=NODE)
        if why:
            assert why in refusal(plugin, request)
        else:
            admit(plugin, request)


def test_a_node_has_one_lease_and_one_csi_node(plugin: NodeRestriction) -> None:
    for name, namespace, good in (("n1", "kube-node-lease", True), ("n2", "kube-node-lease", False), ("n1", "a", False)):
        request = ask("CREATE", LEASES, {"metadata": {"name": name}}, namespace=namespace, user=NODE)
        if good:
            admit(plugin, request)
        else:
            assert "can only access" in refusal(plugin, request, Forbidden)
    assert "same name as the requesting node" in refusal(plugin, ask("CREATE", CSI_NODES, {
        "metadata": {"name": "n2"}, "spec": {"drivers": []}}, user=NODE))


def test_a_node_reports_sizes_of_claims_and_nothing_else(plugin: NodeRestriction) -> None:
    claim: dict[str, Any] = {"metadata": {"name": "c"}, "spec": {"volumeName": "v"}}
    grown = claim | {"status": {"capacity": {"storage": "2Gi"}}}
    admit(plugin, ask("UPDATE", PERSISTENT_VOLUME_CLAIMS, grown, claim, subresource="status", user=NODE))
    moved = claim | {"spec": {"volumeName": "w"}}
    assert "is not allowed to update fields other than status.quantity and status.conditions:" in refusal(
        plugin, ask("UPDATE", PERSISTENT_VOLUME_CLAIMS, moved, claim, subresource="status", user=NODE))
    assert "may only update PVC status" in refusal(plugin, ask("UPDATE", PERSISTENT_VOLUME_CLAIMS, claim, claim, user=NODE))


def test_others_are_not_restricted(plugin: NodeRestriction) -> None:
    admit(plugin, ask("CREATE", NODES, _node("n2", **{"kubernetes.io/other": "x"})))
    nameless = User("system:node:", groups=("system:nodes",))
    assert 'could not determine node from user "system:node:"' in refusal(plugin, ask("CREATE", NODES, _node(), user=nameless))
