"""The Node authorizer: a kubelet may read what the pods bound to its node need, and write about itself.

Owns: the rules for users of the group system:nodes, and `PodsByNode`, which asks the pods' cache for one node's pods by
its index, when pods have changed since. What a pod needs is computed from the pod, once a revision.
Leaves what a node may write into its objects to the admission plugin NodeRestriction.
Source: kubernetes `plugin/pkg/auth/authorizer/node/{node_authorizer,graph}.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sampan.api import codec
from sampan.api.rbac.v1 import ClusterRole
from sampan.api.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    RESOURCE_SLICES,
    VOLUME_ATTACHMENTS,
)
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.auth.podrefs import PodRefs, refs_of
from sampan.apiserver.auth.policy import bootstrap_cluster_roles
from sampan.apiserver.auth.rules import Rule, rules_of
from sampan.apiserver.request import Attributes, User
from sampan.apiserver.watchcache import Readers

_ALLOWED = Decision(True)
_NO_OPINION = Decision(False)
_PREFIX = "system:node:"
_NODES = "system:nodes"
MOST_NODES = 16384  # remembered; then all are forgotten and asked for again


def node_identity(user: User) -> tuple[str, bool]:
    """(node's name, whether the user is a node); the name may be empty for a node that says no name."""
    if not user.name.startswith(_PREFIX) or _NODES not in user.groups:
        return "", False
    return user.name.removeprefix(_PREFIX), True


class PodsByNode:
    """Which pods are bound to which node, and what they refer to."""

    def __init__(self, readers: Readers) -> None:
        self._pods = readers.of(PODS)
        self._nodes: dict[str, _Bound] = {}

    def on(self, node: str) -> Iterator[tuple[str, str, PodRefs]]:
        """(namespace, name, what it refers to) of every pod bound to the node."""
        bound = self._bound(node)
        for key, (revision, refs) in bound.pods.items():
            if refs is None:
                entry = self._pods.get(*key)
                if entry is None or entry.revision != revision:
                    continue
                refs = refs_of(entry.object)  # noqa: PLW2901 - computed when first asked for
                bound.pods[key] = (revision, refs)
            yield *key, refs

    def has(self, node: str, namespace: str, name: str) -> bool:
        """Whether that pod is bound to the node."""
        entry = self._pods.get(namespace, name)
        return entry is not None and entry.indexed == node

    def _bound(self, node: str) -> _Bound:
        """What is known of a node; when pods have changed, the cache's index tells which it has now."""
        kept, generation = self._nodes.get(node), self._pods.generation
        if kept is not None and kept.generation == generation:
            return kept
        before = kept.pods if kept is not None else {}
        now: dict[tuple[str, str], tuple[int, PodRefs | None]] = {}
        for entry in self._pods.entries(indexed=node):
            key = (entry.namespace, entry.name)
            known = before.get(key)
            now[key] = known if known is not None and known[0] == entry.revision else (entry.revision, None)
        if len(self._nodes) >= MOST_NODES and kept is None:
            self._nodes.clear()
        made = self._nodes[node] = _Bound(generation, now)
        return made


class _Bound(NamedTuple):
    """One node's pods: revision, and what it refers to once that was asked for. `generation` is the cache's then."""

    generation: int
    pods: dict[tuple[str, str], tuple[int, PodRefs | None]]


class NodeAuthorizer:
    """Authorizes kubelets."""

    def __init__(self, readers: Readers) -> None:
        self._pods = PodsByNode(readers)
        self._nodes = readers.of(NODES)
        self._claims = readers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = readers.of(PERSISTENT_VOLUMES)
        self._attachments = readers.of(VOLUME_ATTACHMENTS)
        self._slices = readers.of(RESOURCE_SLICES)
        self._rules: tuple[Rule, ...] | None = None
        self._special: dict[tuple[str, str], Callable[[str, Attributes], Decision]] = {
            ("", "secrets"): lambda node, a: self._read(node, a, self._has_secret),
            ("", "configmaps"): lambda node, a: self._read(node, a, self._has_config_map),
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): lambda node, a: self._get(node, a, self._has_volume),
            ("resource.k8s.io", "resourceclaims"): lambda node, a: self._get(node, a, self._has_resource_claim),
            ("storage.k8s.io", "volumeattachments"): lambda node, a: self._get(node, a, self._has_attachment),
            ("", "serviceaccounts"): self._token,
            ("coordination.k8s.io", "leases"): self._lease,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("resource.k8s.io", "resourceslices"): self._slice,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
        }

    def authorize(self, attributes: Attributes) -> Decision:
        """Whether a node may; no opinion about anybody else."""
        node, is_node = node_identity(attributes.user)
        if not is_node:
            return _NO_OPINION
        if not node:
            return Decision(False, f'unknown node for user "{attributes.user.name}"')
        if attributes.is_resource and (special := self._special.get((attributes.group, attributes.resource))) is not None:
            return special(node, attributes)
        if self._rules is None:
            self._rules = _node_rules()
        return _ALLOWED if any(rule.allows(attributes) for rule in self._rules) else _NO_OPINION

    def rules_for(self, user: User, namespace: str) -> tuple[list[dict[str, list[str]]], list[dict[str, list[str]]], bool]:
        """Nothing, and for nodes it is incomplete."""
        return [], [], node_identity(user)[1]

    # --- who may do what with one resource ---

    def _read(self, node: str, a: Attributes, related: Callable[[str, str, str], bool]) -> Decision:
        if a.verb not in ("get", "list", "watch"):
            return Decision(False, "can only read resources of this type")
        if a.subresource:
            return Decision(False, "cannot read subresource")
        if not a.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._related(node, a, related)

    def _get(self, node: str, a: Attributes, related: Callable[[str, str, str], bool]) -> Decision:
        if a.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if a.subresource:
            return Decision(False, "cannot get subresource")
        return self._related(node, a, related)

    def _related(self, node: str, a: Attributes, related: Callable[[str, str, str], bool]) -> Decision:
        if not a.name:
            return Decision(False, "No Object name found")
        return _ALLOWED if related(node, a.namespace, a.name) else _unrelated(node)

    def _claim(self, node: str, a: Attributes) -> Decision:
        if a.subresource == "status":
            if a.verb not in ("update", "patch"):
                return Decision(False, "can only get/update/patch this type")
            return self._related(node, a, self._has_claim)
        return self._get(node, a, self._has_claim)

    def _token(self, node: str, a: Attributes) -> Decision:
        if a.verb == "get" and not a.subresource:  # kubelets read accounts for their credential providers
            return self._related(node, a, self._has_account)
        if a.verb != "create" or not a.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if a.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, a, self._has_account)

    def _lease(self, node: str, a: Attributes) -> Decision:
        if a.verb not in ("get", "create", "update", "patch", "delete"):
            return Decision(False, "can only get, create, update, patch, or delete a node lease")
        if a.namespace != "kube-node-lease":
            return Decision(False, 'can only access leases in the "kube-node-lease" system namespace')
        if a.verb != "create" and a.name != node:
            return Decision(False, "can only access node lease with the same name as the requesting node")
        return _ALLOWED

    def _csi_node(self, node: str, a: Attributes) -> Decision:
        if a.verb not in ("get", "create", "update", "patch", "delete"):
            return Decision(False, "can only get, create, update, patch, or delete a CSINode")
        if a.subresource:
            return Decision(False, "cannot authorize CSINode subresources")
        if a.verb != "create" and a.name != node:
            return Decision(False, "can only access CSINode with the same name as the requesting node")
        return _ALLOWED

    def _slice(self, node: str, a: Attributes) -> Decision:
        if a.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        if a.verb == "create":
            return _ALLOWED  # NodeRestriction looks into it
        if a.verb in ("get", "update", "patch", "delete"):
            return self._related(node, a, self._has_slice)
        if a.verb in ("watch", "list", "deletecollection"):
            if _selects(a.field_selector, "spec.nodeName", node) or _selects(a.field_selector, "nodeName", node):
                return _ALLOWED
            return Decision(False, "can only list/watch/deletecollection resourceslices with nodeName field selector")
        return Decision(False, "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, "
                               "patch, delete, deletecollection")

    def _node(self, node: str, a: Attributes) -> Decision:
        if not a.subresource:
            if a.verb in ("create", "update", "patch"):
                return _ALLOWED
            if a.verb in ("get", "list", "watch"):
                if a.name == node:
                    return _ALLOWED
                what = f"'{a.name}'" if a.name else "all nodes"
                return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")
        if a.subresource == "status" and a.verb in ("update", "patch"):
            return _ALLOWED
        return _NO_OPINION

    def _pod(self, node: str, a: Attributes) -> Decision:
        if not a.subresource:
            if a.verb == "get":
                return self._get(node, a, self._pods.has)
            if a.verb in ("list", "watch"):
                if _selects(a.field_selector, "spec.nodeName", node):
                    return _ALLOWED
                if a.name:
                    return self._related(node, a, self._pods.has)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            if a.verb in ("create", "delete"):
                return _ALLOWED
        if (a.subresource, a.verb) in (("status", "update"), ("status", "patch"), ("eviction", "create")):
            return _ALLOWED
        return _NO_OPINION

    # --- what belongs to a node ---

    def _has_secret(self, node: str, namespace: str, name: str) -> bool:
        for where, _, refs in self._pods.on(node):
            if where == namespace and name in refs.secrets:
                return True
            for claim in refs.claims:
                volume = self._volume_of(where, claim)
                if volume is not None and (namespace, name) in _volume_secrets(volume, where):
                    return True
        return False

    def _has_config_map(self, node: str, namespace: str, name: str) -> bool:
        if any(where == namespace and name in refs.config_maps for where, _, refs in self._pods.on(node)):
            return True
        entry = self._nodes.get("", node)
        source = entry.object.spec.configSource if entry is not None else None
        config = source.configMap if source is not None else None
        return config is not None and (config.namespace, config.name) == (namespace, name)

    def _has_claim(self, node: str, namespace: str, name: str) -> bool:
        return any(where == namespace and name in refs.claims for where, _, refs in self._pods.on(node))

    def _has_volume(self, node: str, namespace: str, name: str) -> bool:
        entry = self._volumes.get("", name)
        ref = entry.object.spec.claimRef if entry is not None else None
        return ref is not None and self._has_claim(node, ref.namespace, ref.name)

    def _has_resource_claim(self, node: str, namespace: str, name: str) -> bool:
        return any(where == namespace and name in refs.resource_claims for where, _, refs in self._pods.on(node))

    def _has_account(self, node: str, namespace: str, name: str) -> bool:
        return any(where == namespace and name == refs.service_account for where, _, refs in self._pods.on(node))

    def _has_attachment(self, node: str, namespace: str, name: str) -> bool:
        entry = self._attachments.get("", name)
        return entry is not None and entry.object.spec.nodeName == node

    def _has_slice(self, node: str, namespace: str, name: str) -> bool:
        entry = self._slices.get("", name)
        return entry is not None and entry.object.spec.nodeName == node

    def _volume_of(self, namespace: str, claim: str) -> Any:
        entry = self._claims.get(namespace, claim)
        volume = self._volumes.get("", entry.object.spec.volumeName) if entry is not None and entry.object.spec.volumeName else None
        return None if volume is None else volume.object


def _unrelated(node: str) -> Decision:
    return Decision(False, f"no relationship found between node '{node}' and this object")


def _selects(selector: str, field: str, value: str) -> bool:
    """Whether one of the terms demands that value."""
    for term in selector.split(","):
        key, equals, wanted = term.partition("=")
        if equals and key.strip() == field and wanted.removeprefix("=").strip() == value:
            return True
    return False


def _volume_secrets(volume: Any, claim_namespace: str) -> set[tuple[str, str]]:
    """Every secret that mounting a persistent volume may need."""
    spec = codec.to_builtins(volume.spec)
    found: set[tuple[str, str]] = set()
    for value in spec.values():
        if isinstance(value, dict):
            for key, ref in value.items():
                if key == "secretName" and isinstance(ref, str):  # azureFile
                    found.add((value.get("secretNamespace") or claim_namespace, ref))
                elif key.endswith("ecretRef") and isinstance(ref, dict) and ref.get("name"):
                    found.add((ref.get("namespace") or claim_namespace, ref["name"]))
    return found


def _node_rules() -> tuple[Rule, ...]:
    role: ClusterRole = next(role for role in bootstrap_cluster_roles() if role.metadata.name == "system:node")
    return rules_of(role.rules)
