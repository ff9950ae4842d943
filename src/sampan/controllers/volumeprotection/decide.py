"""When the protection finalizers of claims, volumes and volume attributes classes come and go. Pure.

Source: kube-controller-manager `volume/pvcprotection`, `volume/pvprotection`, `volume/vacprotection`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, VOLUME_ATTRIBUTES_CLASSES
from sampan.api.storage.v1 import VolumeAttributesClass
from sampan.control.volumes import is_made_for
from sampan.kinds.plan import Plan, Update

PVC_FINALIZER, PV_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
VAC_FINALIZER = "kubernetes.io/vac-protection"


def is_used(obj: PersistentVolumeClaim, pods: Iterable[Pod]) -> bool:
    """Whether one of the pods that name a claim uses it.

    One that has been scheduled does as long as it is there, even when all in it has ended; of an ephemeral volume's claim only
    the pod that it was made for, until that is shut down.
    """
    return any(pod.spec.nodeName and _uses(pod, obj) for pod in pods)


def _uses(pod: Pod, obj: PersistentVolumeClaim) -> bool:
    name, meta = obj.metadata.name, pod.metadata
    if any(one.persistentVolumeClaim is not None and one.persistentVolumeClaim.claimName == name for one in pod.spec.volumes):
        return True
    shut_down = meta.deletionTimestamp is not None and meta.deletionGracePeriodSeconds == 0
    return not shut_down and is_made_for(pod, obj) and any(
        one.ephemeral is not None and f"{meta.name}-{one.name}" == name for one in pod.spec.volumes)


def claim(obj: PersistentVolumeClaim, *, used: bool) -> Plan:
    """Protect a claim, or let it go when it is being deleted and nobody uses it."""
    return _finalizer(PERSISTENT_VOLUME_CLAIMS, obj, PVC_FINALIZER, keep=used)


def volume(obj: PersistentVolume) -> Plan:
    """Protect a volume, or let it go when it is being deleted and bound to nothing."""
    return _finalizer(PERSISTENT_VOLUMES, obj, PV_FINALIZER, keep=obj.status.phase == "Bound")


def attributes_class(obj: VolumeAttributesClass, *, used: bool) -> Plan:
    """Protect a class, or let it go when it is being deleted and no claim or volume names it."""
    return _finalizer(VOLUME_ATTRIBUTES_CLASSES, obj, VAC_FINALIZER, keep=used)


def classes_of_claim(obj: PersistentVolumeClaim) -> set[str]:
    """The volume attributes classes that a claim wants, has, or is on its way to."""
    modifying = obj.status.modifyVolumeStatus
    names = (obj.spec.volumeAttributesClassName, obj.status.currentVolumeAttributesClassName,
             modifying.targetVolumeAttributesClassName if modifying is not None else None)
    return {name for name in names if name}


def _finalizer(resource: Resource[Any], obj: Any, name: str, *, keep: bool) -> Plan:
    meta = obj.metadata
    there, leaving = name in meta.finalizers, meta.deletionTimestamp is not None
    if leaving and there and not keep:
        finalizers = [one for one in meta.finalizers if one != name]
    elif not leaving and not there:
        finalizers = [*meta.finalizers, name]
    else:
        return Plan()
    # an update, not a patch: the roles of these controllers allow no more
    return Plan((Update(resource, replace(obj, metadata=replace(meta, finalizers=finalizers))),))
