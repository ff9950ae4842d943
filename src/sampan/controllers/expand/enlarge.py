"""Volumes that the node enlarges, and nobody else (FlexVolume): the steps of which the claim's status and the volume keep record. Pure.

Each step is an update of the claim's status or of the volume, made from what the one before it left. What was cut short is taken up again at the
size that was promised in `allocatedResources`.
Source: `pkg/volume/util/operationexecutor/operation_generator.go` (expandAndRecoverFunction), `pkg/volume/util/resize_util.go`; KEP-1790.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from msgspec.structs import replace

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimCondition
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.api.scalars import Quantity, Time
from sampan.control.volumes import storage
from sampan.kinds.plan import EventRecord, Update

RESIZER = "volume.kubernetes.io/storage-resizer"
PRE_RESIZE_CAPACITY = "volume.alpha.kubernetes.io/pre-resize-capacity"
STORAGE = "storage"
ON_NODE = ("NodeResizePending", "NodeResizeInProgress")
BEGUN = ("ControllerResizeInProgress", "NodeResizeInfeasible", *ON_NODE)
CONDITIONS = ("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError")
RESTART_POD = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."


class Next(Enum):
    """What is to be done first."""

    NOTHING = "nothing"
    CLEAR = "clear"
    PENDING = "pending"
    BEGIN = "begin"


def first(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Next:
    """Where a claim and its volume stand."""
    has = storage(claim.status.capacity)
    if PRE_RESIZE_CAPACITY in volume.metadata.annotations and has >= max(storage(claim.spec.resources.requests), storage(volume.spec.capacity)):
        return Next.CLEAR
    if not _is_smaller(volume, claim):
        stage = claim.status.allocatedResourceStatuses.get(STORAGE, "")
        if stage in ON_NODE:
            return Next.NOTHING  # the node goes on with it
        if stage == "NodeResizeInfeasible":
            return Next.PENDING
    return Next.BEGIN


def size(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Quantity:
    """How large the volume shall be: what was promised before, as long as that is under way, else what the claim asks for."""
    stage, promised = claim.status.allocatedResourceStatuses.get(STORAGE, ""), claim.status.allocatedResources.get(STORAGE)
    under_way = BEGUN if _is_smaller(volume, claim) else ("ControllerResizeInProgress", "ControllerResizeInfeasible", "")
    return promised if promised is not None and stage in under_way else claim.spec.resources.requests[STORAGE]


def _is_smaller(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    return storage(volume.spec.capacity) < storage(claim.spec.resources.requests)


def begun(claim: PersistentVolumeClaim, volume: PersistentVolume, now: datetime) -> Update:
    """The claim: its volume is being enlarged."""
    assert volume.spec.flexVolume is not None
    meta, status = claim.metadata, claim.status
    new = replace(status, allocatedResources={**status.allocatedResources, STORAGE: size(claim, volume)},
                  allocatedResourceStatuses={**status.allocatedResourceStatuses, STORAGE: "ControllerResizeInProgress"},
                  conditions=_with(status.conditions, _true("Resizing", now), keep=False))
    annotations = {**meta.annotations, RESIZER: volume.spec.flexVolume.driver}
    return Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, metadata=replace(meta, annotations=annotations), status=new), "status")


def enlarged(volume: PersistentVolume, wanted: Quantity) -> Update:
    """The volume at its new size."""
    return Update(PERSISTENT_VOLUMES, replace(volume, spec=replace(volume.spec, capacity={**volume.spec.capacity, STORAGE: wanted})))


def pending(claim: PersistentVolumeClaim, now: datetime) -> Update:
    """The claim: the node's turn."""
    status = claim.status
    new = replace(status, allocatedResourceStatuses={**status.allocatedResourceStatuses, STORAGE: "NodeResizePending"},
                  conditions=_with(status.conditions, _true("FileSystemResizePending", now, RESTART_POD), keep=True))
    return Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, status=new), "status")


def remembered(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Update | None:
    """The volume with the size that its file system still has, for when the claim goes before the node is done; None: it says so."""
    annotations = volume.metadata.annotations
    if PRE_RESIZE_CAPACITY in annotations:
        return None
    return _annotated(volume, {**annotations, PRE_RESIZE_CAPACITY: claim.status.capacity.get(STORAGE, "0")})


def cleared(volume: PersistentVolume) -> Update:
    """The volume without that: the node is done."""
    return _annotated(volume, {key: value for key, value in volume.metadata.annotations.items() if key != PRE_RESIZE_CAPACITY})


def _annotated(volume: PersistentVolume, annotations: dict[str, str]) -> Update:
    return Update(PERSISTENT_VOLUMES, replace(volume, metadata=replace(volume.metadata, annotations=annotations)))


def finished(claim: PersistentVolumeClaim, wanted: Quantity) -> tuple[Update, EventRecord]:
    """The claim of a block device: there is no file system to wait for."""
    status = claim.status
    stages = {key: value for key, value in status.allocatedResourceStatuses.items() if key != STORAGE}
    new = replace(status, capacity={**status.capacity, STORAGE: wanted}, allocatedResourceStatuses=stages,
                  conditions=[one for one in status.conditions if one.type not in CONDITIONS])
    told = EventRecord(claim, "Normal", "VolumeResizeSuccessful", f"ExpandVolume succeeded for volume {claim.metadata.namespace}/{claim.metadata.name}")
    return Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, status=new), "status"), told


def _true(kind: str, now: datetime, message: str = "") -> PersistentVolumeClaimCondition:
    return PersistentVolumeClaimCondition(type=kind, status="True", lastTransitionTime=Time.of(now), message=message)


def _with(conditions: list[PersistentVolumeClaimCondition], new: PersistentVolumeClaimCondition, *, keep: bool) -> list[PersistentVolumeClaimCondition]:
    """The conditions with this one among those of resizing (alone, unless these are kept); one that is true already stays as it is."""
    out, placed = [], False
    for one in conditions:
        if one.type == new.type:
            out.append(one if one.status == new.status else new)
            placed = True
        elif keep or one.type not in CONDITIONS:
            out.append(one)
    return out if placed else [*out, new]
