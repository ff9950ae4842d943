from __future__ import annotations

from typing import Any

import pytest

from apiserver.readers import MemoryReaders
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.auth.nodes import NodeAuthorizer, PodsByNode
from sampan.apiserver.request import Attributes, User

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


@pytest.fixture
def readers() -> MemoryReaders:
    readers = MemoryReaders()
    readers.put(PODS, {"metadata": {"name": "p"}, "spec": {
        "nodeName": "n1", "serviceAccountName": "robot", "imagePullSecrets": [{"name": "pull"}],
        "containers": [{"name": "c", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}],
                        "envFrom": [{"configMapRef": {"name": "settings"}}]}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "e", "ephemeral": {}},
                    {"name": "t", "projected": {"sources": [{"secret": {"name": "deep"}}]}}]}}, "a")
    readers.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {"volumeName": "pv"}}, "a")
    readers.put(PERSISTENT_VOLUMES, {"metadata": {"name": "pv"}, "spec": {
        "claimRef": {"namespace": "a", "name": "data"},
        "csi": {"driver": "d", "volumeHandle": "h", "nodeStageSecretRef": {"name": "stage", "namespace": "vault"}}}})
    return readers


def _ask(readers: MemoryReaders, verb: str, resource: str, name: str = "", namespace: str = "a", user: User = NODE,
         group: str = "", **values: Any) -> Decision:
    plural, _, sub = resource.partition("/")
    return NodeAuthorizer(readers).authorize(Attributes(
        user=user, verb=verb, path="", is_resource=True, group=group, version="v1", resource=plural, subresource=sub,
        namespace=namespace, name=name, **values))


@pytest.mark.parametrize(("verb", "resource", "name", "namespace"), [
    ("get", "secrets", "pull", "a"), ("watch", "secrets", "key", "a"), ("get", "secrets", "deep", "a"),
    ("get", "secrets", "stage", "vault"), ("list", "configmaps", "settings", "a"), ("get", "persistentvolumeclaims", "data", "a"),
    ("get", "persistentvolumeclaims", "p-e", "a"), ("get", "persistentvolumes", "pv", ""), ("create", "serviceaccounts/token", "robot", "a"),
    ("get", "pods", "p", "a"), ("get", "nodes", "n1", ""), ("patch", "nodes/status", "n1", ""), ("update", "pods/status", "p", "a"),
    ("create", "pods", "", "a"), ("list", "services", "", ""), ("create", "events", "", "a"),
])
def test_a_node_may_what_its_pods_need(readers: MemoryReaders, verb: str, resource: str, name: str, namespace: str) -> None:
    assert _ask(readers, verb, resource, name, namespace) == Decision(allowed=True, reason="")


UNRELATED = "no relationship found between node 'n1' and this object"


@pytest.mark.parametrize(("verb", "resource", "name", "namespace", "why"), [
    ("get", "secrets", "other", "a", UNRELATED), ("get", "secrets", "pull", "b", UNRELATED),
    ("get", "configmaps", "pull", "a", UNRELATED), ("get", "persistentvolumes", "other", "", UNRELATED),
    ("update", "secrets", "pull", "a", "can only read resources of this type"),
    ("list", "secrets", "", "a", "No Object name found"),
    ("list", "secrets", "", "", "can only read namespaced object of this type"),
    ("list", "pods", "", "a", "can only list/watch pods with spec.nodeName field selector"),
    ("get", "pods", "other", "a", UNRELATED),
    ("get", "nodes", "n2", "", "node 'n1' cannot read 'n2', only its own Node object"),
    ("list", "nodes", "", "", "node 'n1' cannot read all nodes, only its own Node object"),
    ("delete", "nodes", "n1", "", ""), ("create", "deployments", "", "a", ""),
    ("create", "serviceaccounts/token", "other", "a", UNRELATED),
])
def test_a_node_may_nothing_else(readers: MemoryReaders, verb: str, resource: str, name: str, namespace: str, why: str) -> None:
    assert _ask(readers, verb, resource, name, namespace) == Decision(allowed=False, reason=why)


def test_its_own_lease_and_its_own_pods_by_selector(readers: MemoryReaders) -> None:
    lease = {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}
    assert _ask(readers, "update", "leases", "n1", **lease)[0]
    assert not _ask(readers, "update", "leases", "n2", **lease)[0]
    assert not _ask(readers, "get", "leases", "n1", "default", group="coordination.k8s.io")[0]
    assert _ask(readers, "list", "pods", namespace="", field_selector="spec.nodeName=n1")[0]
    assert not _ask(readers, "list", "pods", namespace="", field_selector="spec.nodeName!=n1")[0]
    assert not _ask(readers, "list", "pods", namespace="", field_selector="spec.nodeName=n2")[0]


def test_others_are_not_judged_and_nameless_nodes_refused(readers: MemoryReaders) -> None:
    assert _ask(readers, "get", "secrets", "pull", user=User("alice")) == Decision(allowed=False, reason="")
    assert _ask(readers, "get", "secrets", "pull", user=User("system:node:n1")) == Decision(allowed=False, reason="")
    nameless = User("system:node:", groups=("system:nodes",))
    assert _ask(readers, "get", "secrets", "pull", user=nameless) == Decision(allowed=False, reason='unknown node for user "system:node:"')


def test_the_index_follows_the_pods(readers: MemoryReaders) -> None:
    # given an authorizer that has looked once
    authorizer = NodeAuthorizer(readers)
    asked = Attributes(user=NODE, verb="get", path="", is_resource=True, resource="secrets", namespace="b", name="s")
    assert not authorizer.authorize(asked).allowed
    # when a pod comes to the node, and goes again
    pod = {"metadata": {"name": "q"}, "spec": {"nodeName": "n1", "containers": [],
                                               "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}}
    readers.put(PODS, pod, "b")
    assert authorizer.authorize(asked).allowed
    readers.of(PODS).remove("b", "q")
    assert not authorizer.authorize(asked).allowed
    # then a mirror pod, which the node may write itself, opens nothing
    pod["metadata"] = {"name": "q", "annotations": {"kubernetes.io/config.mirror": "x"}}
    readers.put(PODS, pod, "b")
    assert not authorizer.authorize(asked).allowed


def test_a_question_after_a_change_looks_at_its_own_nodes_pods_only(readers: MemoryReaders) -> None:
    # given an authorizer that has answered for a node
    authorizer = PodsByNode(readers)
    before = {name: refs for _, name, refs in authorizer.on("n1")}
    # when pods of others change, and another comes to the node
    for number in range(3):
        readers.put(PODS, {"metadata": {"name": f"x{number}"}, "spec": {"nodeName": f"o{number}", "containers": [{"name": "c"}]}}, "a")
    readers.put(PODS, {"metadata": {"name": "q"}, "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}}, "a")
    # then it knows, nobody has walked all pods, and what had not changed was not computed again
    after = {name: refs for _, name, refs in authorizer.on("n1")}
    assert sorted(after) == ["p", "q"]
    assert after["p"] is before["p"]
    assert authorizer.has("o2", "a", "x2")
    assert not authorizer.has("n1", "a", "x2")
    assert readers.of(PODS).walked == 0
