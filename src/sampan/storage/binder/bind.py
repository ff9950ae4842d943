"""Binding a volume and a claim, both sides and both statuses, one write after another; and the rollback. Pure.

Each step is decided from the objects as they are, so a binding that was cut short anywhere is finished by the same code.
Source: kube-controller-manager `volume/persistentvolume/pv_controller.go` (bind, unbindVolume, updateClaimStatus).
"""

from __future__ import annotations

from msgspec.structs import replace

from sampan.api import quantity
from sampan.api.core.v1 import (
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimStatus,
)
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.api.scalars import Quantity
from sampan.control.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, is_kept_for
from sampan.kinds.plan import Update

PRE_RESIZE_CAPACITY = "volume.alpha.kubernetes.io/pre-resize-capacity"


def step(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Update | None:
    """The next write of the binding; None: it is complete."""
    return _volume_spec(volume, claim) or phase(volume, "Bound") or _claim_spec(volume, claim) or claim_status(claim, "Bound", volume)


def _volume_spec(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Update | None:
    ref, meta, wanted = volume.spec.claimRef, volume.metadata, claim.metadata
    mine = is_kept_for(volume, claim)
    right = ref is not None and mine and ref.uid == wanted.uid
    if right:
        return None
    new = ObjectReference(kind="PersistentVolumeClaim", apiVersion="v1", namespace=wanted.namespace, name=wanted.name,
                          uid=wanted.uid, resourceVersion=wanted.resourceVersion)
    annotations = meta.annotations if mine else {**meta.annotations, BOUND_BY_CONTROLLER: "yes"}
    return Update(PERSISTENT_VOLUMES, replace(volume, metadata=replace(meta, annotations=annotations),
                                              spec=replace(volume.spec, claimRef=new)))


def _claim_spec(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Update | None:
    name, meta = volume.metadata.name, claim.metadata
    annotations = dict(meta.annotations)
    if claim.spec.volumeName != name:
        annotations.setdefault(BOUND_BY_CONTROLLER, "yes")
    annotations.setdefault(BIND_COMPLETED, "yes")
    if claim.spec.volumeName == name and annotations == meta.annotations:
        return None
    return Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, metadata=replace(meta, annotations=annotations),
                                                    spec=replace(claim.spec, volumeName=name)))


def phase(volume: PersistentVolume, wanted: str, message: str = "") -> Update | None:
    """The write that sets a volume's phase; None: it has it."""
    if volume.status.phase == wanted:
        return None
    status = replace(volume.status, phase=wanted, message=message)  # the server says since when
    return Update(PERSISTENT_VOLUMES, replace(volume, status=status), "status")


def claim_status(claim: PersistentVolumeClaim, wanted: str, volume: PersistentVolume | None) -> Update | None:
    """The write that sets a claim's phase, and what it has from its volume; None: all is so."""
    status = claim.status
    if volume is None:
        new = replace(status, phase=wanted, accessModes=[], capacity={}, currentVolumeAttributesClassName=None)
    else:
        new = replace(status, phase=wanted, accessModes=list(volume.spec.accessModes))
        # the size of a bound claim belongs to whoever resizes it
        if status.phase != wanted:
            new = _sized(new, volume)
        if (status.phase, wanted) == ("Pending", "Bound"):  # afterwards it belongs to whoever modifies it
            new = replace(new, currentVolumeAttributesClassName=volume.spec.volumeAttributesClassName)
    return None if new == status else Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, status=new), "status")


def _sized(status: PersistentVolumeClaimStatus, volume: PersistentVolume) -> PersistentVolumeClaimStatus:
    capacity, before = dict(volume.spec.capacity), volume.metadata.annotations.get(PRE_RESIZE_CAPACITY)
    if before is not None:
        try:
            capacity["storage"] = Quantity(quantity.canonical(before))
        except ValueError:
            pass  # an annotation that is no quantity says nothing: the volume's size counts
    return replace(status, capacity=capacity)


def unbound(volume: PersistentVolume) -> Update:
    """Take a binding back: wholly when a controller made it, else only the uid, so that the reservation stays."""
    meta, ref = volume.metadata, volume.spec.claimRef
    if BOUND_BY_CONTROLLER in meta.annotations:
        annotations = {key: value for key, value in meta.annotations.items() if key != BOUND_BY_CONTROLLER}
        return Update(PERSISTENT_VOLUMES, replace(volume, metadata=replace(meta, annotations=annotations), spec=replace(volume.spec, claimRef=None)))
    assert ref is not None
    return Update(PERSISTENT_VOLUMES, replace(volume, spec=replace(volume.spec, claimRef=replace(ref, uid=""))))
