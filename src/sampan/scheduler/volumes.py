"""Persistent volumes of a pod over the rows: which nodes reach the bound ones, where the others can be had.

Pure; `plan` answers for all rows at once, and for one row says which volume each claim takes.
Source: `plugins/volumebinding/binder.go`, component-helpers `storage/volume`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sampan.api import codec, quantity
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, VolumeNodeAffinity
from sampan.api.resources import (
    CSI_DRIVERS,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from sampan.api.scalars import Quantity
from sampan.api.selectors import SelectorError, of_label_selector
from sampan.api.storage.v1 import CSIStorageCapacity, StorageClass
from sampan.scheduler.nodeselect import selector_rows, value_rows
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Mask, Snapshot

Rows = npt.NDArray[np.intp]
MOST_REACHED = 65_536
DEPENDS_ON = (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, CSI_DRIVERS, CSI_STORAGE_CAPACITIES)
BIND_COMPLETED, SELECTED_NODE = "pv.kubernetes.io/bind-completed", "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass
class Claims:
    """A pod's claims by what is to be done about them. `error`: none of it matters, this stands in the way."""

    bound: list[PersistentVolumeClaim] = field(default_factory=list)
    delayed: list[PersistentVolumeClaim] = field(default_factory=list)
    immediate: list[PersistentVolumeClaim] = field(default_factory=list)
    error: str = ""


@dataclass
class Plan:
    """bool[N] each: a claim's volume does not exist; is out of reach; none is to be had; no space to make one.

    `static` says which rows (their numbers) take a volume for a claim, `provisioned` on which (bool[N]) one is to be made.
    """

    absent: Mask
    conflict: Mask
    none: Mask
    full: Mask
    static: list[tuple[PersistentVolumeClaim, PersistentVolume, Rows]] = field(default_factory=list)
    provisioned: list[tuple[PersistentVolumeClaim, Mask]] = field(default_factory=list)


def class_name(claim: PersistentVolumeClaim) -> str:
    """The storage class of a claim; the annotation of old counts first."""
    return claim.metadata.annotations.get("volume.beta.kubernetes.io/storage-class") or claim.spec.storageClassName or ""


def is_bound(claim: PersistentVolumeClaim) -> bool:
    """Bound for good, from both sides."""
    return bool(claim.spec.volumeName) and BIND_COMPLETED in claim.metadata.annotations


def sort_claims(pod: Shape, snapshot: Snapshot) -> Claims:
    """What is to be done about each claim of a pod."""
    out, world = Claims(), snapshot.world
    generated = {volume.name for volume in pod.pod.spec.volumes if volume.ephemeral is not None}
    for volume, name in pod.claims_by_volume.items():
        claim = world.get(PERSISTENT_VOLUME_CLAIMS, name, pod.namespace)
        if claim is None:
            waiting = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            return Claims(error=waiting if volume in generated else f'persistentvolumeclaim "{name}" not found')
        if claim.status.phase == "Lost":
            return Claims(error=f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.spec.volumeName}"')
        if claim.metadata.deletionTimestamp is not None:
            return Claims(error=f'persistentvolumeclaim "{name}" is being deleted')
        if volume in generated and not _is_for(claim, pod.pod.metadata.uid):
            owner = f"{pod.namespace}/{pod.pod.metadata.name}"
            return Claims(error=f"PVC {pod.namespace}/{name} was not created for pod {owner} (pod is not owner)")
        if is_bound(claim):
            out.bound.append(claim)
            continue
        found = world.get(STORAGE_CLASSES, class_name(claim))
        delayed = found is not None and found.volumeBindingMode == "WaitForFirstConsumer"
        (out.delayed if delayed and not claim.spec.volumeName else out.immediate).append(claim)
    return out


def _is_for(claim: PersistentVolumeClaim, uid: str) -> bool:
    return any(one.controller and one.uid == uid for one in claim.metadata.ownerReferences)


def plan_for(pod: Shape, snapshot: Snapshot) -> Plan:
    """What each row makes of a pod's claims, remembered until a node, or anything that volumes depend on, changes; not to be changed."""
    version = (snapshot.world.version(*DEPENDS_ON), snapshot.generation, len(snapshot.alive))
    known = pod.cache.get("volume plan")
    if known is None or known[0] != version:
        known = pod.cache["volume plan"] = (version, plan(sort_claims(pod, snapshot), snapshot))
    found: Plan = known[1]
    return found


def plan(claims: Claims, snapshot: Snapshot) -> Plan:
    """What each row makes of the claims."""
    size = len(snapshot.alive)
    out = Plan(np.zeros(size, np.bool_), np.zeros(size, np.bool_), np.zeros(size, np.bool_), np.zeros(size, np.bool_))
    for claim in claims.bound:
        volume = snapshot.world.get(PERSISTENT_VOLUMES, claim.spec.volumeName)
        if volume is None:
            out.absent[:] = True
        else:
            out.conflict |= ~reached(volume, snapshot)
    _plan_delayed(claims.delayed, snapshot, out)
    return out


def reached(volume: PersistentVolume, snapshot: Snapshot) -> Mask:
    """bool[N] of the nodes that can use a volume."""
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return np.ones(len(snapshot.alive), np.bool_)
    return selector_rows(snapshot, affinity.required)


def _reached_rows(volume: PersistentVolume, snapshot: Snapshot) -> Rows:
    """The numbers of the same rows; volumes that are reached alike share them, until a node changes."""
    known = snapshot.memory.get("reached")
    if known is None or known[0] != (snapshot.generation, len(snapshot.alive)):
        known = snapshot.memory["reached"] = ((snapshot.generation, len(snapshot.alive)), {}, {})
    by_volume: dict[str, tuple[VolumeNodeAffinity | None, Rows]] = known[1]
    found = by_volume.get(volume.metadata.name)
    if found is None or found[0] is not volume.spec.nodeAffinity:
        alike: dict[bytes, Rows] = known[2]
        if len(by_volume) >= MOST_REACHED:  # most of them are gone by now
            by_volume.clear()
            alike.clear()
        key = codec.encode(volume.spec.nodeAffinity)
        if key not in alike:
            alike[key] = np.flatnonzero(reached(volume, snapshot))
        found = by_volume[volume.metadata.name] = (volume.spec.nodeAffinity, alike[key])
    return found[1]


def _plan_delayed(claims: Sequence[PersistentVolumeClaim], snapshot: Snapshot, out: Plan) -> None:
    """A row that fails for one claim is not asked about the next: those whose node was chosen before come first, then by size."""
    chosen = [claim for claim in claims if SELECTED_NODE in claim.metadata.annotations]
    elsewhere = np.zeros(len(snapshot.alive), np.bool_)
    for claim in chosen:
        row = snapshot.rows.get(claim.metadata.annotations[SELECTED_NODE], -1)
        elsewhere |= np.arange(len(elsewhere)) != row
    out.none |= elsewhere
    open_ = ~elsewhere
    wanted = [(claim, open_) for claim in chosen]
    used: dict[str, Mask] = {}
    by_size = sorted((one for one in claims if SELECTED_NODE not in one.metadata.annotations), key=lambda one: _size(one.spec.resources.requests))
    wanted += [(claim, _taken_from(claim, snapshot, used, open_, out)) for claim in by_size]
    for claim, rows in wanted:
        left = rows & open_
        if not left.any():
            continue
        allowed, space = _provisioning(claim, snapshot)
        out.none |= left & ~allowed
        out.full |= left & allowed & ~space
        open_ = open_ & ~(left & ~(allowed & space))
        out.provisioned.append((claim, left & allowed & space))


def _taken_from(claim: PersistentVolumeClaim, snapshot: Snapshot, used: dict[str, Mask], rows: Mask, out: Plan) -> Mask:
    """bool[N]: the rows, of those that are asked about, on which no volume that is there will do; where one does, it is taken."""
    left = rows.copy()
    for volume in _fitting(claim, snapshot):
        reach = _reached_rows(volume, snapshot)
        reach = reach[left[reach]]
        taken = used.get(volume.metadata.name)
        if taken is not None:
            reach = reach[~taken[reach]]
        if len(reach):
            if taken is None:
                taken = used[volume.metadata.name] = np.zeros_like(left)
            taken[reach], left[reach] = True, False
            out.static.append((claim, volume, reach))
    return left


def _fitting(claim: PersistentVolumeClaim, snapshot: Snapshot) -> list[PersistentVolume]:
    """Volumes that may be bound to the claim: those that are its own already first, then the smallest."""
    found = [volume for volume in snapshot.world.items(PERSISTENT_VOLUMES) if _fits(claim, volume)]
    return sorted(found, key=lambda one: (one.spec.claimRef is None, _size(one.spec.capacity), one.metadata.name))


def _fits(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    spec, owner = volume.spec, volume.spec.claimRef
    if spec.storageClassName != class_name(claim) or (spec.volumeMode or "Filesystem") != (claim.spec.volumeMode or "Filesystem"):
        return False
    if volume.metadata.deletionTimestamp is not None or _size(spec.capacity) < _size(claim.spec.resources.requests):
        return False
    if (spec.volumeAttributesClassName or "") != (claim.spec.volumeAttributesClassName or ""):
        return False
    if owner is not None:
        mine = (owner.namespace, owner.name) == (claim.metadata.namespace, claim.metadata.name)
        return mine and owner.uid in ("", claim.metadata.uid)
    if volume.status.phase not in ("Available", "") or not set(claim.spec.accessModes) <= set(spec.accessModes):
        return False
    if claim.spec.selector is None:
        return True
    try:
        return bool(of_label_selector(claim.spec.selector).matches(volume.metadata.labels))
    except SelectorError:
        return False


def _provisioning(claim: PersistentVolumeClaim, snapshot: Snapshot) -> tuple[Mask, Mask]:
    """bool[N] of the nodes for which the class makes volumes, and of those where there is space for this one."""
    every, nowhere = np.ones(len(snapshot.alive), np.bool_), np.zeros(len(snapshot.alive), np.bool_)
    found = snapshot.world.get(STORAGE_CLASSES, class_name(claim))
    if found is None or found.provisioner in ("", NO_PROVISIONER):
        return nowhere, every
    allowed = _allowed(found, snapshot)
    driver = snapshot.world.get(CSI_DRIVERS, found.provisioner)
    if driver is None or not driver.spec.storageCapacity:
        return allowed, every
    space = nowhere
    wanted = _size(claim.spec.resources.requests)
    for capacity in snapshot.world.items(CSI_STORAGE_CAPACITIES):
        if capacity.storageClassName == found.metadata.name and _capacity(capacity) >= wanted:
            space = space | _topology(capacity, snapshot)
    return allowed, space


def _capacity(capacity: CSIStorageCapacity) -> int:
    limit = capacity.maximumVolumeSize if capacity.maximumVolumeSize is not None else capacity.capacity
    return quantity.integer(limit) if limit is not None else -1


def _topology(capacity: CSIStorageCapacity, snapshot: Snapshot) -> Mask:
    out = np.zeros(len(snapshot.alive), np.bool_)
    if capacity.nodeTopology is None:
        return out
    try:
        selector = of_label_selector(capacity.nodeTopology)
    except SelectorError:
        return out
    out[[row for row in snapshot.rows.values() if selector.matches(snapshot.node(row).metadata.labels)]] = True
    return out


def _allowed(found: StorageClass, snapshot: Snapshot) -> Mask:
    if not found.allowedTopologies:
        return np.ones(len(snapshot.alive), np.bool_)
    out = np.zeros(len(snapshot.alive), np.bool_)
    for term in found.allowedTopologies:
        if term.matchLabelExpressions:
            rows = np.ones_like(out)
            for one in term.matchLabelExpressions:
                rows &= value_rows(snapshot, one.key, list(one.values or ()))
            out |= rows
    return out


def _size(resources: dict[str, Quantity]) -> int:
    found = resources.get("storage")
    return quantity.integer(found) if found is not None else 0


def volumes_of(pod: Shape, snapshot: Snapshot) -> Sequence[tuple[PersistentVolumeClaim, PersistentVolume]]:
    """The claims that have a volume, with it."""
    out = []
    for name in pod.claims:
        claim = snapshot.world.get(PERSISTENT_VOLUME_CLAIMS, name, pod.namespace)
        if claim is not None and claim.spec.volumeName:
            volume = snapshot.world.get(PERSISTENT_VOLUMES, claim.spec.volumeName)
            if volume is not None:
                out.append((claim, volume))
    return out
