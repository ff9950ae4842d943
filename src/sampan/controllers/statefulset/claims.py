"""The claims of a StatefulSet: what they are called, and who owns them under the retention policy. Pure.

Source: kube-controller-manager `statefulset/stateful_set_utils.go`, KEP-1847.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api import codec
from sampan.api.apps.v1 import StatefulSet
from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PODS, STATEFUL_SETS
from sampan.control.pods import owner_reference


def claim_names(sts: StatefulSet, number: int) -> dict[str, str]:
    """Volume → claim of an ordinal."""
    return {one.metadata.name: f"{one.metadata.name}-{sts.metadata.name}-{number}" for one in sts.spec.volumeClaimTemplates}


def claims_in(pod: Pod) -> list[str]:
    """The claims that a pod's volumes are."""
    return [volume.persistentVolumeClaim.claimName for volume in pod.spec.volumes if volume.persistentVolumeClaim is not None]


def make_claims(sts: StatefulSet, number: int) -> list[PersistentVolumeClaim]:
    """The claims of an ordinal, as they are made."""
    labels = sts.spec.selector.matchLabels if sts.spec.selector is not None else {}
    claims = []
    for template in sts.spec.volumeClaimTemplates:
        meta = ObjectMeta(name=f"{template.metadata.name}-{sts.metadata.name}-{number}", namespace=sts.metadata.namespace,
                          labels={**template.metadata.labels, **labels}, annotations=dict(template.metadata.annotations))
        claims.append(PersistentVolumeClaim(kind="PersistentVolumeClaim", apiVersion="v1", metadata=meta,
                                            spec=codec.clone(template.spec)))
    return claims


def claims_of(sts: StatefulSet, number: int, claims: Mapping[str, PersistentVolumeClaim]) -> list[PersistentVolumeClaim]:
    """Those claims of an ordinal that exist."""
    return [claims[name] for name in claim_names(sts, number).values() if name in claims]


def goes_when_scaled(sts: StatefulSet) -> bool:
    """Claims go with pods that are scaled away."""
    policy = sts.spec.persistentVolumeClaimRetentionPolicy
    return policy is not None and policy.whenScaled == "Delete"


def goes_when_deleted(sts: StatefulSet) -> bool:
    """Claims go with the set."""
    policy = sts.spec.persistentVolumeClaimRetentionPolicy
    return policy is not None and policy.whenDeleted == "Delete"


def is_of_another(claim: PersistentVolumeClaim, pod: str, uid: str) -> bool:
    """An earlier pod of this name owns the claim, which therefore goes soon. `uid`: of the pod that there is, "" for none."""
    return _is_stale(claim, PODS, pod, uid)


def has_other_controller(sts: StatefulSet, claim: PersistentVolumeClaim, pod: str, uid: str) -> bool:
    """Something else manages the claim, so that the policy can't be followed."""
    if not goes_when_scaled(sts) and not goes_when_deleted(sts):
        return False
    for ref in claim.metadata.ownerReferences:
        for resource, name, owner in ((STATEFUL_SETS, sts.metadata.name, sts.metadata.uid), (PODS, pod, uid)):
            if _refers(ref, resource, name):
                if ref.uid != owner:
                    return True
                break
        else:
            if ref.controller:
                return True
    return False


def claim_owners(sts: StatefulSet, claim: PersistentVolumeClaim, pod: str, uid: str, *, condemned: bool) -> list[OwnerReference]:
    """The owners that a claim should have under the retention policy; its own list where that is right as it is.

    Args:
        sts: The set.
        claim: As it exists, or is about to be made.
        pod: The name of the pod of its ordinal.
        uid: Of that pod; "" if there is none yet.
        condemned: The ordinal is none of those that are wanted.
    """
    now, own = claim.metadata.ownerReferences, (sts.metadata.uid, uid)
    if _is_stale(claim, STATEFUL_SETS, sts.metadata.name, sts.metadata.uid) or _is_stale(claim, PODS, pod, uid):
        return now  # that owner is gone, and the claim goes with it
    uids = {ref.uid for ref in now}
    if has_other_controller(sts, claim, pod, uid):
        wanted: set[str] = set()
        if not uids.intersection(own):
            return now
    else:
        wanted = {owner for owner, is_wanted in zip(own, _wanted(sts, condemned=condemned), strict=True) if is_wanted and owner}
        if uids.intersection(own) == wanted and all(ref.controller for ref in now if ref.uid in own):
            return now
    others = [ref for ref in now if not _refers(ref, STATEFUL_SETS, sts.metadata.name) and not _refers(ref, PODS, pod)]
    made = [owner_reference(STATEFUL_SETS, sts)] if sts.metadata.uid in wanted else []
    if uid in wanted:
        made.append(OwnerReference(apiVersion="v1", kind="Pod", name=pod, uid=uid, controller=True, blockOwnerDeletion=True))
    return others + [ref for ref in made if all(ref.uid != other.uid for other in others)]


def _wanted(sts: StatefulSet, *, condemned: bool) -> tuple[bool, bool]:
    """Whether the set, and whether the pod, is to own the claim."""
    by_scale, by_set = goes_when_scaled(sts), goes_when_deleted(sts)
    return by_set and not (by_scale and condemned), by_scale and condemned


def _refers(ref: OwnerReference, resource: Resource[Any], name: str) -> bool:
    return (ref.apiVersion, ref.kind, ref.name) == (resource.group_version, resource.kind, name)


def _is_stale(claim: PersistentVolumeClaim, resource: Resource[Any], name: str, uid: str) -> bool:
    found = next((ref for ref in claim.metadata.ownerReferences if _refers(ref, resource, name)), None)
    return found is not None and found.uid != uid
