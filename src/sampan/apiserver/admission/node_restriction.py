"""NodeRestriction: a kubelet writes its own node, its own pods' status, its own lease, and little else.

Source: kubernetes `plugin/pkg/admission/noderestriction`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Node, PersistentVolumeClaim, Pod
from sampan.api.errors import NotFound
from sampan.api.resources import NODES, PODS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.auth.nodes import node_identity
from sampan.apiserver.auth.podrefs import MIRROR, config_maps_of, secrets_of
from sampan.apiserver.watchcache import Readers
from sampan.kinds.core.internal import difference
from sampan.lib import pki

_RESTRICTED = "node-restriction.kubernetes.io"
# what a kubelet may say about its node; source: kubelet `pkg/apis/well_known_labels.go`
_OWN_LABELS = frozenset((
    "kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "kubernetes.io/os", "kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "node.kubernetes.io/windows-build",
))
_OWN_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NodeRestriction:
    """Judges what users of the group system:nodes write."""

    name = "NodeRestriction"

    def __init__(self, readers: Readers) -> None:
        self._pods, self._nodes = readers.of(PODS), readers.of(NODES)
        self._judges: dict[tuple[str, str], Callable[[str, AdmissionRequest], None]] = {
            ("", "pods"): self._pod, ("", "nodes"): self._node, ("", "persistentvolumeclaims"): self._claim,
            ("", "serviceaccounts"): self._token, ("coordination.k8s.io", "leases"): self._lease,
            ("storage.k8s.io", "csinodes"): self._csi_node, ("resource.k8s.io", "resourceslices"): self._slice,
            ("certificates.k8s.io", "certificatesigningrequests"): self._certificate,
        }

    def handles(self, request: AdmissionRequest) -> bool:
        """The resources that kubelets write."""
        return (request.resource.group, request.resource.plural) in self._judges and request.operation != "CONNECT"

    async def admit(self, request: AdmissionRequest) -> None:
        """Refuse what is not the node's own."""
        node, is_node = node_identity(request.user)
        if not is_node:
            return
        if not node:
            raise forbidden(request, f'could not determine node from user "{request.user.name}"')
        self._judges[request.resource.group, request.resource.plural](node, request)

    # --- pods ---

    def _pod(self, node: str, request: AdmissionRequest) -> None:
        if request.subresource == "status":
            self._pod_status(node, request)
        elif request.subresource == "eviction":
            if request.operation != "CREATE":
                raise forbidden(request, f"unexpected operation {request.operation}")
            if self._own_pod(request, request.name or request.object.metadata.name).spec.nodeName != node:
                raise forbidden(request, f"node {node} can only evict pods with spec.nodeName set to itself")
        elif request.subresource:
            raise forbidden(request, f'unexpected pod subresource "{request.subresource}", only \'status\' and \'eviction\' are allowed')
        elif request.operation == "CREATE":
            why = self._why_not_create(node, request.object)
            if why:
                raise forbidden(request, why)
        elif request.operation == "DELETE":
            if self._own_pod(request, request.name).spec.nodeName != node:
                raise forbidden(request, f'node "{node}" can only delete pods with spec.nodeName set to itself')
        else:
            raise forbidden(request, f'unexpected operation "{request.operation}", node "{node}" can only create and delete mirror pods')

    def _own_pod(self, request: AdmissionRequest, name: str) -> Pod:
        entry = self._pods.get(request.namespace, name)
        if entry is None:
            raise NotFound.of("pods", "", name)
        return entry.object  # type: ignore[no-any-return]

    def _why_not_create(self, node: str, pod: Pod) -> str:
        if MIRROR not in pod.metadata.annotations:
            return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
        if pod.spec.nodeName != node:
            return f'node "{node}" can only create pods with spec.nodeName set to itself'
        owners = pod.metadata.ownerReferences
        if len(owners) > 1:
            return f'node "{node}" can only create pods with a single owner reference set to itself'
        if not owners or (owners[0].apiVersion, owners[0].kind, owners[0].name) != ("v1", "Node", node):
            return f'node "{node}" can only create pods with an owner reference set to itself'
        if not owners[0].controller:
            return f'node "{node}" can only create pods with a controller owner reference set to itself'
        if owners[0].blockOwnerDeletion:
            return f'node "{node}" must not set blockOwnerDeletion on an owner reference'
        entry = self._nodes.get("", node)
        if entry is None:
            raise NotFound.of("nodes", "", node)
        if owners[0].uid != entry.object.metadata.uid:
            return f"node {node} UID mismatch: expected {owners[0].uid} got {entry.object.metadata.uid}"
        found = _referenced(pod)
        return f'node "{node}" can not create pods that reference {found}' if found else ""

    def _pod_status(self, node: str, request: AdmissionRequest) -> None:
        if request.operation != "UPDATE":
            raise forbidden(request, f'unexpected operation "{request.operation}"')
        new: Pod = request.object
        old: Pod = request.old
        if old.spec.nodeName != node:
            raise forbidden(request, f'node "{node}" can only update pod status for pods with spec.nodeName set to itself')  # noqa: S608 - no SQL
        if new.metadata.labels != old.metadata.labels:
            raise forbidden(request, f'node "{node}" cannot update labels through pod status')
        if new.status.resourceClaimStatuses != old.status.resourceClaimStatuses:
            raise forbidden(request, f'node "{node}" cannot update resource claim statues')
        if new.status.extendedResourceClaimStatus != old.status.extendedResourceClaimStatus:
            raise forbidden(request, f'node "{node}" cannot update extended resource claim status')

    # --- nodes ---

    def _node(self, node: str, request: AdmissionRequest) -> None:
        if request.name != node:
            raise forbidden(request, f'node "{node}" is not allowed to modify node "{request.name}"')
        if request.operation == "DELETE":
            return
        new: Node = request.object
        if request.operation == "CREATE":
            if new.spec.configSource is not None:
                raise forbidden(request, f'node "{node}" is not allowed to create pods with a non-nil configSource')
            if bad := forbidden_labels(new.metadata.labels, {}):
                raise forbidden(request, f'node "{node}" is not allowed to set the following labels: {", ".join(bad)}')
            return
        old: Node = request.old
        if new.spec.configSource is not None and new.spec.configSource != old.spec.configSource:
            raise forbidden(request, f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
        if new.spec.taints != old.spec.taints:
            raise forbidden(request, f'node "{node}" is not allowed to modify taints')
        if new.metadata.ownerReferences != old.metadata.ownerReferences:
            raise forbidden(request, f'node "{node}" is not allowed to modify ownerReferences')
        if bad := forbidden_labels(new.metadata.labels, old.metadata.labels):
            raise forbidden(request, f"is not allowed to modify labels: {', '.join(bad)}")

    # --- the rest ---

    def _claim(self, node: str, request: AdmissionRequest) -> None:
        if request.subresource != "status":
            raise forbidden(request, "may only update PVC status")
        if request.operation != "UPDATE":
            raise forbidden(request, f'unexpected operation "{request.operation}"')
        new, old = _bare(request.object), _bare(request.old)
        if new != old:
            raise forbidden(request, f'node "{node}" is not allowed to update fields other than status.quantity and '
                                     f"status.conditions: {difference(old, new)}")

    def _token(self, node: str, request: AdmissionRequest) -> None:
        if request.operation != "CREATE" or request.subresource != "token":
            return
        ref = request.object.spec.boundObjectRef
        if ref is None or (ref.apiVersion, ref.kind) != ("v1", "Pod") or not ref.name:
            raise forbidden(request, "node requested token not bound to a pod")
        if not ref.uid:
            raise forbidden(request, "node requested token with a pod binding without a uid")
        pod = self._own_pod(request, ref.name)
        if pod.metadata.uid != ref.uid:
            raise forbidden(request, f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. The "
                                     "object might have been deleted and then recreated")
        if pod.spec.nodeName != node:
            raise forbidden(request, "node requested token bound to a pod scheduled on a different node")
        wanted = request.object.spec.audiences or [""]
        if len(wanted) > 1:
            raise forbidden(request, "node may only request 0 or 1 audiences")
        if not _mounts(pod, wanted[0]):
            raise forbidden(request, f'audience "{wanted[0]}" not found in pod spec volume, {request.user.name} is not authorized '
                                     "to request tokens for this audience")

    def _lease(self, node: str, request: AdmissionRequest) -> None:
        if request.namespace != "kube-node-lease":
            raise forbidden(request, 'can only access leases in the "kube-node-lease" system namespace')
        if request.name != node:
            raise forbidden(request, "can only access node lease with the same name as the requesting node")

    def _csi_node(self, node: str, request: AdmissionRequest) -> None:
        if request.name != node:
            raise forbidden(request, "can only access CSINode with the same name as the requesting node")

    def _slice(self, node: str, request: AdmissionRequest) -> None:
        """Updates are the node authorizer's alone: it knows the name."""
        if request.operation in ("CREATE", "DELETE"):
            obj = request.old if request.operation == "DELETE" else request.object
            if obj.spec.nodeName != node:
                raise forbidden(request, f"can only {request.operation.lower()} ResourceSlice with the same NodeName as the requesting node")

    def _certificate(self, node: str, request: AdmissionRequest) -> None:
        """The name in a certificate for a kubelet is the node's."""
        if request.operation != "CREATE" or request.object.spec.signerName not in (pki.KUBELET_SERVING, pki.KUBE_APISERVER_CLIENT_KUBELET):
            return
        try:
            names = pki.names_of_request(request.object.spec.request or b"")
        except pki.BadCertificate as error:
            raise forbidden(request, f"unable to parse csr: {error.message}") from error
        if names.common_name != f"system:node:{node}":
            raise forbidden(request, f"can only create a node CSR with CN=system:node:{node}")


def forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """The changed labels that are not a node's to change."""
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    return sorted(key for key in changed if _is_restricted(key))


def _is_restricted(key: str) -> bool:
    namespace = key.partition("/")[0] if "/" in key else ""
    if namespace == _RESTRICTED or namespace.endswith("." + _RESTRICTED):
        return True
    if not any(namespace == domain or namespace.endswith("." + domain) for domain in ("kubernetes.io", "k8s.io")):
        return False
    return key not in _OWN_LABELS and not any(
        namespace == own or namespace.endswith("." + own) for own in _OWN_NAMESPACES)


_BY_VOLUME = {
    "configMap": "configmaps (via configmap volumes)", "secret": "secrets (via secret volumes)", "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)", "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)", "azureFile": "secrets (via azureFile volumes)"}
_BY_SOURCE = {
    "configMap": "configmaps (via projected volumes)", "secret": "secrets (via projected volumes)",
    "serviceAccountToken": "serviceaccounts (via projected volumes)", "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates"}


def _referenced(pod: Pod) -> str:
    """The first sort of API object that the pod needs, if any."""
    if pod.spec.serviceAccountName:
        return "serviceaccounts"
    if secrets_of(pod):
        return "secrets"
    if config_maps_of(pod):
        return "configmaps"
    if pod.spec.resourceClaims:
        return "resourceclaims"
    for volume in pod.spec.volumes:
        for name, words in _BY_VOLUME.items():
            if getattr(volume, name) is not None:
                return words
        for source in (volume.projected.sources or ()) if volume.projected is not None else ():
            for name, words in _BY_SOURCE.items():
                if getattr(source, name) is not None:
                    return words
    return ""


def _mounts(pod: Pod, audience: str) -> bool:
    """Whether the pod's volumes want a token for the audience. CSI drivers ask for theirs through CSIDriver objects."""
    if any(volume.csi is not None or volume.persistentVolumeClaim is not None or volume.ephemeral is not None
           for volume in pod.spec.volumes):
        return True
    return any(source.serviceAccountToken is not None and (source.serviceAccountToken.audience or "") == audience
               for volume in pod.spec.volumes if volume.projected is not None for source in volume.projected.sources or ())


def _bare(claim: PersistentVolumeClaim) -> Any:
    bare = codec.clone(claim)
    bare.metadata.resourceVersion, bare.metadata.managedFields = "", []
    bare.status.capacity, bare.status.conditions = {}, []
    bare.status.allocatedResources, bare.status.allocatedResourceStatuses = {}, {}
    return bare
