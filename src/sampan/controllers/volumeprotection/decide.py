"""When the protection finalizers of claims and volumes come and go. Pure.

Source: kube-controller-manager `volume/pvcprotection`, `volume/pvprotection`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.control.pods import is_terminal
from sampan.kinds.plan import Patch, Plan

PVC_FINALIZER, PV_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


def claims_of(pod: Pod) -> list[str]:
    """The names of the claims that a pod's volumes use, those made for it included."""
    names = []
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            names.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            names.append(f"{pod.metadata.name}-{volume.name}")
    return names


def is_used(pods: Iterable[Pod]) -> bool:
    """Whether one of the pods that name a claim still uses it: it has been scheduled and has not ended."""
    return any(pod.spec.nodeName and not is_terminal(pod) for pod in pods)


def claim(obj: PersistentVolumeClaim, *, used: bool) -> Plan:
    """Protect a claim, or let it go when it is being deleted and nobody uses it."""
    return _finalizer(PERSISTENT_VOLUME_CLAIMS, obj, PVC_FINALIZER, keep=used)


def volume(obj: PersistentVolume) -> Plan:
    """Protect a volume, or let it go when it is being deleted and bound to nothing."""
    return _finalizer(PERSISTENT_VOLUMES, obj, PV_FINALIZER, keep=obj.status.phase == "Bound")


def _finalizer(resource: Resource[Any], obj: Any, name: str, *, keep: bool) -> Plan:
    meta = obj.metadata
    there, leaving = name in meta.finalizers, meta.deletionTimestamp is not None
    if leaving and there and not keep:
        finalizers = [one for one in meta.finalizers if one != name]
    elif not leaving and not there:
        finalizers = [*meta.finalizers, name]
    else:
        return Plan()
    guard = {"uid": meta.uid, "resourceVersion": meta.resourceVersion, "finalizers": finalizers or None}
    return Plan((Patch(resource, meta.namespace, meta.name, {"metadata": guard}),))
