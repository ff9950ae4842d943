"""Pure questions about resource claims and the pods that use them.

Source: dynamic-resource-allocation `resourceclaim/claim.go`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import Pod, PodResourceClaim
from sampan.api.resource.v1 import ResourceClaim
from sampan.control.key import Key
from sampan.control.pods import is_terminal


def claim_name(pod: Pod, wanted: PodResourceClaim) -> str | None:
    """The name of the claim behind an entry of the pod's `resourceClaims`.

    None: it has not been made yet. Empty: none is needed.
    """
    if wanted.resourceClaimName is not None:
        return wanted.resourceClaimName
    for status in pod.status.resourceClaimStatuses:
        if status.name == wanted.name:
            return status.resourceClaimName or ""
    return None


def claim_names(pod: Pod) -> list[str]:
    """The claims that the pod uses and that have been made, the one for its extended resources included."""
    names = [claim_name(pod, one) for one in pod.spec.resourceClaims]
    extended = pod.status.extendedResourceClaimStatus
    return [name for name in (*names, extended.resourceClaimName if extended is not None else None) if name]


def by_resource_claim(pod: Any) -> Iterable[Hashable]:
    """Index: pods by the keys of the resource claims that they use."""
    return [Key(pod.metadata.namespace, name) for name in claim_names(pod)]


def owning_pod(claim: ResourceClaim) -> tuple[str, str] | None:
    """Name and uid of the pod that a claim was made for."""
    for ref in claim.metadata.ownerReferences:
        if ref.controller and ref.apiVersion == "v1" and ref.kind == "Pod":
            return ref.name, ref.uid
    return None


def is_owned_by(claim: ResourceClaim, pod: Pod) -> bool:
    """The claim was made for this very pod."""
    owner = owning_pod(claim)
    return claim.metadata.namespace == pod.metadata.namespace and owner is not None and owner[1] == pod.metadata.uid


def is_reserved_for(claim: ResourceClaim, pod: Pod) -> bool:
    """The pod may use the claim."""
    return any(one.uid == pod.metadata.uid for one in claim.status.reservedFor)


def is_done(pod: Pod) -> bool:
    """It never runs again, or never will."""
    return is_terminal(pod) or (pod.metadata.deletionTimestamp is not None and not pod.spec.nodeName)
