"""The claims that a pod's ephemeral volumes are missing, or what stands in the way. Pure.

Source: kube-controller-manager `volume/ephemeral/controller.go`, component-helpers `storage/ephemeral`.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.api.core.v1 import PersistentVolumeClaim, Pod, Volume
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from sampan.control.pods import owner_reference
from sampan.control.volumes import is_made_for
from sampan.kinds.plan import Create, EventRecord, Plan


def has_ephemeral(pod: Pod) -> bool:
    """One of its volumes is ephemeral."""
    return any(volume.ephemeral is not None for volume in pod.spec.volumes)


def decide(pod: Pod, find: Callable[[str], PersistentVolumeClaim | None]) -> Plan:
    """Create what is missing, in order, up to the first volume whose claim's name is somebody else's."""
    writes = []
    for volume in pod.spec.volumes:
        if volume.ephemeral is None:
            continue
        name = f"{pod.metadata.name}-{volume.name}"
        found = find(name)
        if found is None:
            writes.append(Create(PERSISTENT_VOLUME_CLAIMS, _claim(pod, volume, name)))
        elif not is_made_for(pod, found):
            place = f"{pod.metadata.namespace}/{name} was not created for pod {pod.metadata.namespace}/{pod.metadata.name}"
            return Plan(tuple(writes), None, (problem(pod, volume.name, f"PVC {place} (pod is not owner)"),))
    return Plan(tuple(writes))


def problem(pod: Pod, volume: str, why: str) -> EventRecord:
    """What keeps a volume from its claim."""
    return EventRecord(pod, "Warning", "FailedBinding", f"ephemeral volume {volume}: {why}")


def _claim(pod: Pod, volume: Volume, name: str) -> PersistentVolumeClaim:
    template = volume.ephemeral.volumeClaimTemplate if volume.ephemeral is not None else None
    assert template is not None, "validation admits no ephemeral volume without a template"
    meta = ObjectMeta(name=name, namespace=pod.metadata.namespace, labels=template.metadata.labels,
                      annotations=template.metadata.annotations, ownerReferences=[owner_reference(PODS, pod)])
    return PersistentVolumeClaim(apiVersion="v1", kind="PersistentVolumeClaim", metadata=meta, spec=template.spec)
