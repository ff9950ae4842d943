"""What is to be done about one claim or one volume. Pure.

Source: kube-controller-manager `volume/persistentvolume/pv_controller.go` (syncClaim, syncVolume), `pv_controller_base.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.api.storage.v1 import StorageClass
from sampan.control.key import Key
from sampan.control.volumes import (
    BETA_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    EXTERNAL_FINALIZER,
    IN_TREE,
    IN_TREE_FINALIZER,
    MIGRATED_TO,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    claim_class,
    claim_key,
    driver_of,
    is_kept_for,
)
from sampan.kinds.core.persistent_volume import BETA_CLASS
from sampan.kinds.plan import EventRecord, Plan, Update
from sampan.storage.binder import bind
from sampan.storage.binder.match import mismatch, mode_of
from sampan.storage.provision.decide import Delete, Provision, provision, reclaim


@dataclass(frozen=True)
class Bind:
    """Bind the two, from whatever step the binding is at."""

    volume: PersistentVolume
    claim: PersistentVolumeClaim


@dataclass(frozen=True)
class Look:
    """Look at this claim next."""

    key: Key


Action = Plan | Bind | Look | Provision | Delete


@dataclass(frozen=True)
class ClaimView:
    """A claim and what it depends on.

    `volume`: the one that the claim names, else the best match. `waiting`: names of pods that use it and have no node.
    `default_class`: the class that a claim without one gets.
    """

    claim: PersistentVolumeClaim
    volume: PersistentVolume | None
    storage_class: StorageClass | None = None
    default_class: str = ""
    waiting: Sequence[str] = ()
    dynamic: bool = True


@dataclass(frozen=True)
class VolumeView:
    """A volume and what it depends on.

    `claim`: the one that it is bound to, None when that is certain not to exist. `users`: pods that use a claim of that
    name, as namespace/name; `recycler`: the pod that empties it, `lost`: somebody deleted that.
    """

    volume: PersistentVolume
    claim: PersistentVolumeClaim | None
    users: Sequence[str] = ()
    recycler: Pod | None = None
    lost: bool = False


def is_delayed(found: StorageClass | None) -> bool:
    """The class has its claims wait for a pod."""
    return found is not None and found.volumeBindingMode == "WaitForFirstConsumer"


# claims


def claim(view: ClaimView) -> Action:
    """What is to be done about a claim."""
    obj = view.claim
    annotations = _migrated(obj.metadata.annotations, obj.metadata.annotations.get(PROVISIONER) or obj.metadata.annotations.get(BETA_PROVISIONER))
    if annotations is not None:
        return Plan((Update(PERSISTENT_VOLUME_CLAIMS, replace(obj, metadata=replace(obj.metadata, annotations=annotations))),))
    if BIND_COMPLETED in obj.metadata.annotations:
        return _bound(view)
    return _named(view) if obj.spec.volumeName else _unnamed(view)


def _bound(view: ClaimView) -> Action:
    """A claim that was bound once stays with its volume, or is lost."""
    obj, volume = view.claim, view.volume
    if not obj.spec.volumeName:
        return _lost(obj, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    if volume is None:
        return _lost(obj, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    ref = volume.spec.claimRef
    if ref is None or ref.uid == obj.metadata.uid:
        return Bind(volume, obj)
    return _lost(obj, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _lost(obj: PersistentVolumeClaim, reason: str, message: str) -> Plan:
    write = bind.claim_status(obj, "Lost", None) if obj.status.phase != "Lost" else None
    return Plan((write,), None, (EventRecord(obj, "Warning", reason, message),)) if write is not None else Plan()


def _named(view: ClaimView) -> Action:
    """A user asked for one volume."""
    obj, volume = view.claim, view.volume
    if volume is None:
        return _pending(obj)
    if volume.spec.claimRef is None:
        why = mismatch(obj, volume)
        if why:
            return _pending(obj, EventRecord(obj, "Warning", "VolumeMismatch", f'Cannot bind to requested volume "{volume.metadata.name}": {why}'))
        return Bind(volume, obj)
    if is_kept_for(volume, obj):
        return Bind(volume, obj)
    taken = EventRecord(obj, "Warning", "FailedBinding", f'volume "{volume.metadata.name}" already bound to a different claim.')
    # bound by a controller, yet not completely: somebody took the annotation away, nothing is known about its status
    return Plan((), None, (taken,)) if BOUND_BY_CONTROLLER in obj.metadata.annotations else _pending(obj, taken)


def _unnamed(view: ClaimView) -> Action:
    obj = view.claim
    if view.volume is not None:
        return Bind(view.volume, obj)
    if not _has_class(obj) and view.default_class:
        return Plan((Update(PERSISTENT_VOLUME_CLAIMS, replace(obj, spec=replace(obj.spec, storageClassName=view.default_class))),))
    if is_delayed(view.storage_class) and SELECTED_NODE not in obj.metadata.annotations:
        return _pending(obj, _waits(obj, view.waiting))
    if claim_class(obj):
        return provision(obj, view.storage_class) if view.dynamic else Plan()
    return _pending(obj, EventRecord(obj, "Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set"))


def _has_class(obj: PersistentVolumeClaim) -> bool:
    return BETA_CLASS in obj.metadata.annotations or obj.spec.storageClassName is not None


def _waits(obj: PersistentVolumeClaim, pods: Sequence[str]) -> EventRecord:
    if not pods:
        return EventRecord(obj, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    noun = "pods" if len(pods) > 1 else "pod"
    return EventRecord(obj, "Normal", "WaitForPodScheduled", f"waiting for {noun} {','.join(pods)} to be scheduled")


def _pending(obj: PersistentVolumeClaim, event: EventRecord | None = None) -> Plan:
    write = bind.claim_status(obj, "Pending", None)
    return Plan((write,) if write is not None else (), None, (event,) if event is not None else ())


# volumes


def volume(view: VolumeView) -> Action:
    """What is to be done about a volume."""
    obj, ref = view.volume, view.volume.spec.claimRef
    tidied = _tidied(obj)
    if tidied is not None:
        return Plan((tidied,))
    if ref is None or not ref.uid:
        return _phase(view, "Available")
    if view.claim is None:
        return _released(view)
    if not view.claim.spec.volumeName:
        return _half_bound(view, view.claim)
    if view.claim.spec.volumeName == obj.metadata.name:
        return _phase(view, "Bound")
    if PROVISIONED_BY in obj.metadata.annotations and obj.spec.persistentVolumeReclaimPolicy == "Delete":
        return _released(view)  # made for the claim, which found another
    return Plan((bind.unbound(obj),))


def _phase(view: VolumeView, wanted: Literal["Available", "Bound", "Released"]) -> Plan:
    write = bind.phase(view.volume, wanted)
    return Plan((write,)) if write is not None else Plan()


def _released(view: VolumeView) -> Action:
    if view.volume.status.phase not in ("Released", "Failed"):
        return _phase(view, "Released")
    return reclaim(view.volume, view.users if view.claim is None else (), view.recycler, lost=view.lost)


def _half_bound(view: VolumeView, obj: PersistentVolumeClaim) -> Action:
    """The binding is the claim's to finish, unless it can't be."""
    if mode_of(obj.spec) == mode_of(view.volume.spec):
        key = claim_key(view.volume)
        assert key is not None
        return Look(key)
    name = view.volume.metadata.name
    return Plan((), None, (
        EventRecord(view.volume, "Warning", "VolumeMismatch", "Cannot bind PersistentVolume to requested PersistentVolumeClaim "
                    f'"{obj.metadata.name}" due to incompatible volumeMode.'),
        EventRecord(obj, "Warning", "VolumeMismatch", f'Cannot bind PersistentVolume "{name}" to requested PersistentVolumeClaim '
                    "due to incompatible volumeMode."),
    ))


def _tidied(obj: PersistentVolume) -> Update | None:
    """The volume with the annotation of the driver that took it over, and with the finalizer that it shall have."""
    meta = obj.metadata
    annotations = _migrated(meta.annotations, meta.annotations.get(PROVISIONED_BY))
    finalizers = deletion_finalizers(obj)
    if annotations is None and finalizers == meta.finalizers:
        return None
    new = replace(meta, annotations=meta.annotations if annotations is None else annotations, finalizers=finalizers)
    return Update(PERSISTENT_VOLUMES, replace(obj, metadata=new))


def deletion_finalizers(obj: PersistentVolume) -> list[str]:
    """A volume that an in-tree plugin made and is to delete must not go before its storage."""
    finalizers, by = obj.metadata.finalizers, obj.metadata.annotations.get(PROVISIONED_BY, "")
    if not by.startswith(IN_TREE):
        return finalizers
    if driver_of(by):
        return [one for one in finalizers if one != IN_TREE_FINALIZER]
    kept = [one for one in finalizers if one != EXTERNAL_FINALIZER]
    if obj.spec.persistentVolumeReclaimPolicy == "Delete":
        gone = obj.metadata.deletionTimestamp is not None  # a finalizer can't come then
        return kept if IN_TREE_FINALIZER in kept or gone else [*kept, IN_TREE_FINALIZER]
    return [one for one in kept if one != IN_TREE_FINALIZER]


def _migrated(annotations: dict[str, str], provisioner: str | None) -> dict[str, str] | None:
    """The annotations with the right driver in place; None: they are right."""
    if not provisioner:
        return None
    driver, said = driver_of(provisioner), annotations.get(MIGRATED_TO, "")
    if driver == said:
        return None
    rest = {key: value for key, value in annotations.items() if key != MIGRATED_TO}
    return {**rest, MIGRATED_TO: driver} if driver else rest
