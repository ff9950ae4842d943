"""Strategies: bodies that are nearly right, and bodies that are nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sampan.api import codec

NAMES = st.sampled_from(["a", "b", "web", "x-1", "Bad_Name", "", "a" * 300, "é", "a/b", "..", "kube-root-ca.crt", "a.b.c", "\x00", "０"])
NUMBERS = st.one_of(
    st.integers(-3, 70_000), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -1, 2**31, 2**31 - 1, 2**63, 2**63 - 1, -(2**63), 2**64, 1e308, 1.5, -0.0]))
TEXTS = st.one_of(st.text(max_size=20), st.text("abcABC019-_./:=,!()<>[]{}*$#@ \t\n\x00é", max_size=30), NAMES, st.sampled_from([
    "1", "100m", "1Gi", "1e400", "2020-01-01T00:00:00Z", "TCP", "ClusterIP", "Always", "10.96.0.1", "::1", "10.0.0.0/8", "80", "100%", "-1", "true", "null",
    "Recreate", "RollingUpdate", "foreground", "node.kubernetes.io/x", "a in (b)", "=", "x=y", "$(A)", "{{", "^(a+)+$", "[", "self", "self.x > 1", ".spec.a"]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
WORDS = st.sampled_from(
    ["kind", "apiVersion", "metadata", "name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "managedFields", "uid",
     "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation", "spec", "status", "data", "binaryData", "immutable", "containers", "image",
     "initContainers", "env", "value", "valueFrom", "ports", "port", "targetPort", "nodePort", "protocol", "containerPort", "hostPort", "type", "clusterIP",
     "clusterIPs", "selector", "matchLabels", "matchExpressions", "key", "operator", "values", "replicas", "template", "strategy", "rollingUpdate",
     "maxSurge", "resources", "limits", "requests", "cpu", "memory", "volumes", "emptyDir", "sizeLimit", "configMap", "tolerations", "affinity",
     "nodeAffinity", "securityContext", "livenessProbe", "httpGet", "path", "versions", "schema", "openAPIV3Schema", "properties", "items", "group", "names",
     "plural", "scope", "x-kubernetes-validations", "rule", "pattern", "default", "enum", "additionalProperties", "tags", "parts", "id", "at", "any", "ratio",
     "size", "time", "manager", "operation", "fieldsV1", "fieldsType", "f:metadata", "k:{\"id\":1}", ".", "v:1", "subresource", "controller", "$patch",
     "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "$retainKeys", "$ref", ""])
KEYS = st.one_of(WORDS, WORDS, WORDS, st.text(max_size=5))


def trees(leaves: int = 12) -> st.SearchStrategy[Any]:
    return st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)), max_leaves=leaves)


TREES = trees()
OBJECTS = st.dictionaries(KEYS, TREES, max_size=6)

GOOD: dict[str, dict[str, Any]] = {
    "configmaps": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"l": "v"}}, "data": {"k": "v"}, "binaryData": {"b": "AAAA"}},
    "pods": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {"x": "y"}, "finalizers": ["x.y/z"]}, "spec": {
        "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "E", "value": "1"}],
                        "resources": {"limits": {"cpu": "100m"}, "requests": {"memory": "1Gi"}}, "livenessProbe": {"httpGet": {"path": "/", "port": 80}}}],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}], "tolerations": [{"key": "k", "operator": "Exists"}], "nodeSelector": {"a": "b"}}},
    "services": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {
        "selector": {"a": "b"}, "type": "NodePort", "ports": [{"name": "p", "port": 80, "targetPort": "http"}]}},
    "deployments": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}},
    "customresourcedefinitions": {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.fuzz.io"}, "spec": {
        "group": "fuzz.io", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"}, "versions": [{
            "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x$", "default": "x", "enum": ["x", "y"]},
                                                          "b": {"type": "array", "items": {"type": "integer", "minimum": 1}}},
                         "x-kubernetes-validations": [{"rule": "self.a == 'x'", "message": "m"}]}}}}}]}},
    "widgets": {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {
        "replicas": 3, "size": "5", "name": "aaa", "tags": ["x"], "parts": [{"id": 1, "at": "2020-01-01T00:00:00Z"}], "any": {"b": [1]}, "ratio": 0.5}},
}


def _paths(tree: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [prefix] if prefix else []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        found += _paths(value, (*prefix, key))
    return found


@st.composite
def nearly(draw: st.DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    """A right object with one to three things changed, added or taken away."""
    tree: dict[str, Any] = codec.loads(codec.encode(good))
    for _ in range(draw(st.integers(1, 3))):
        found = _paths(tree)
        if not found:
            break
        path = draw(st.sampled_from(found))
        parent: Any = tree
        for key in path[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "add", "double"])):
            case "replace":
                parent[path[-1]] = draw(TREES)
            case "remove":
                del parent[path[-1]]
            case "add" if isinstance(parent, dict):
                parent[draw(KEYS)] = draw(TREES)
            case _ if isinstance(parent, list):
                parent.append(parent[path[-1]])
            case _:
                parent[path[-1]] = [parent[path[-1]]] * 2
    return tree


@st.composite
def torn(draw: st.DrawFn, body: bytes) -> bytes:
    """Bytes of which some were changed, doubled or lost."""
    out = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(out)))
        match draw(st.sampled_from(["cut", "flip", "insert", "repeat"])):
            case "cut":
                del out[at:at + draw(st.integers(1, 20))]
            case "flip" if at < len(out):
                out[at] = draw(st.integers(0, 255))
            case "insert":
                out[at:at] = draw(st.binary(max_size=8))
            case _:
                out[at:at] = out[at:at + 16]
    return bytes(out)
