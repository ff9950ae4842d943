"""How a claim without a volume gets one, and what becomes of a volume whose claim is gone. Pure.

Only the host path plugin makes and deletes volumes in this process; host path and NFS volumes are emptied by a pod.
Everything else is for external provisioners, who are told by annotations.
Source: kube-controller-manager `volume/persistentvolume/pv_controller.go` (provisionClaim, reclaimVolume), `pkg/volume/plugins.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS
from sampan.api.storage.v1 import StorageClass
from sampan.control.volumes import (
    BETA_PROVISIONER,
    IN_TREE,
    MIGRATED_TO,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    claim_class,
    driver_of,
)
from sampan.kinds.plan import EventRecord, Plan, Update
from sampan.storage.provision.recycle import failed, recycle

HOST_PATH = "kubernetes.io/host-path"
NFS = "kubernetes.io/nfs"  # is there, but neither makes nor deletes volumes


@dataclass(frozen=True)
class Provision:
    """Have the host path plugin make a volume."""

    claim: PersistentVolumeClaim
    storage_class: StorageClass


@dataclass(frozen=True)
class Delete:
    """Have the host path plugin delete the volume's directory, then the volume."""

    volume: PersistentVolume


def provision(claim: PersistentVolumeClaim, found: StorageClass | None) -> Plan | Provision:
    """Ask whoever makes volumes of the claim's class for one."""
    if found is None:
        return _cannot(claim, f'storageclass.storage.k8s.io "{claim_class(claim)}" not found')
    name = found.provisioner
    driver = driver_of(name) or ("" if name.startswith(IN_TREE) else name)
    if driver:
        event = EventRecord(claim, "Normal", "ExternalProvisioning",
                            f"Waiting for a volume to be created either by the external provisioner '{driver}' or manually by the system "
                            "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.")
        write = _asked(claim, driver)
        return Plan((write,) if write is not None else (), None, (event,))
    if name == NFS:
        return _cannot(claim, "no provisionable volume plugin matched")
    if name != HOST_PATH:
        return _cannot(claim, f"no volume plugin matched name: {name}")
    if claim.spec.dataSource is not None:
        return _cannot(claim, f'plugin "{name}" is not a CSI plugin. Only CSI plugin can provision a claim with a datasource')
    write = _asked(claim, name)
    if write is not None:
        return Plan((write,))
    if found.mountOptions:
        return _cannot(claim, f'Mount options are not supported by the provisioner but StorageClass "{found.metadata.name}" '
                              f"has mount options [{' '.join(found.mountOptions)}]")
    return Provision(claim, found)


def _cannot(claim: PersistentVolumeClaim, why: str) -> Plan:
    return Plan((), None, (EventRecord(claim, "Warning", "ProvisioningFailed", why),))


def _asked(claim: PersistentVolumeClaim, provisioner: str) -> Update | None:
    """The claim with the annotations that a provisioner waits for; None: it has them."""
    meta = claim.metadata
    if meta.annotations.get(PROVISIONER) == provisioner:
        return None
    annotations = {**meta.annotations, BETA_PROVISIONER: provisioner, PROVISIONER: provisioner}
    return Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, metadata=replace(meta, annotations=annotations)))


def rescheduled(claim: PersistentVolumeClaim) -> Update | None:
    """Have the scheduler choose again: on the node that it chose no volume could be made."""
    meta = claim.metadata
    if SELECTED_NODE not in meta.annotations:
        return None
    annotations = {key: value for key, value in meta.annotations.items() if key != SELECTED_NODE}
    return Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, metadata=replace(meta, annotations=annotations)))


def reclaim(volume: PersistentVolume, users: Sequence[str], recycler: Pod | None, *, lost: bool = False) -> Plan | Delete:
    """What the policy of a released volume asks for.

    Args:
        volume: Its phase is Released or Failed.
        users: Pods that still use its claim, as namespace/name.
        recycler: The pod that empties it, if there is one.
        lost: It was deleted by somebody else.
    """
    if volume.metadata.annotations.get(MIGRATED_TO):
        return Plan()
    match volume.spec.persistentVolumeReclaimPolicy:
        case "Retain":
            return Plan()
        case "Recycle":
            return recycle(volume, users, recycler, lost=lost)
        case "Delete":
            return _delete(volume)
        case _:
            return failed(volume, "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy")


def _delete(volume: PersistentVolume) -> Plan | Delete:
    by = volume.metadata.annotations.get(PROVISIONED_BY, "")
    if (by and not by.startswith(IN_TREE)) or (not by and volume.spec.csi is not None):
        return Plan()  # its provisioner deletes it
    if by == HOST_PATH or (not by and volume.spec.hostPath is not None):
        return Delete(volume)
    if by:
        why = "no deletable volume plugin matched" if by == NFS else f"no volume plugin matched name: {by}"
    else:
        which = "deletable volume" if volume.spec.nfs is not None else "volume"
        why = f'error getting deleter volume plugin for volume "{volume.metadata.name}": no {which} plugin matched'
    return failed(volume, "VolumeFailedDelete", why)
