"""Emptying a released volume with a pod, so that it may be used again (the deprecated policy Recycle). Pure.

Source: `pkg/volume/plugins.go` (NewPersistentVolumeRecyclerPodTemplate), `volume/util/recyclerclient`, `host_path`, `nfs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api.core.v1 import (
    Container,
    HostPathVolumeSource,
    PersistentVolume,
    Pod,
    PodSpec,
    Volume,
    VolumeMount,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS
from sampan.control.key import Key
from sampan.control.volumes import storage
from sampan.kinds.plan import Create, Delete, EventRecord, Plan
from sampan.storage.binder import bind

NAMESPACE, PREFIX = "default", "recycler-for-"
IMAGE = "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6"
SCRIPT = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'
# the least seconds that emptying may take, by volume source, and how many a GiB
LEAST_SECONDS, SECONDS_A_GIB = {"hostPath": 60, "nfs": 300}, 30
GIB = 1 << 30


def recycler_key(volume: str) -> Key:
    """Where the pod is that empties a volume."""
    return Key(NAMESPACE, PREFIX + volume)


def recycle(volume: PersistentVolume, users: Sequence[str], pod: Pod | None, *, lost: bool = False) -> Plan:
    """The next step of emptying a released volume. `lost`: a pod was waited for, and somebody deleted it."""
    if users:
        return Plan((), None, (EventRecord(volume, "Normal", "VolumeFailedRecycle", f"Volume is used by pods: {','.join(sorted(users))}"),))
    source = next((one for one in LEAST_SECONDS if getattr(volume.spec, one) is not None), None)
    if source is None:
        return failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    if pod is None and lost:
        return _failed(volume, "recycler pod was deleted")
    if pod is None:
        return Plan((Create(PODS, recycler(volume, source)),))
    if pod.metadata.deletionTimestamp is not None:
        return Plan()
    away = Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)
    if pod.status.phase == "Succeeded":
        return Plan((away, bind.unbound(volume)), None, (EventRecord(volume, "Normal", "VolumeRecycled", "Volume recycled"),))
    if pod.status.phase == "Failed":
        plan = _failed(volume, pod.status.message or "pod failed, pod.Status.Message unknown")
        return Plan((away, *plan.writes), None, plan.events)
    return Plan()


def _failed(volume: PersistentVolume, why: str) -> Plan:
    return failed(volume, "VolumeFailedRecycle", f"Recycle failed: failed to recycle volume: {why}")


def recycler(volume: PersistentVolume, source: str) -> Pod:
    """The pod that empties a volume with this source."""
    seconds = max(LEAST_SECONDS[source], storage(volume.spec.capacity) // GIB * SECONDS_A_GIB)
    inside = Volume(name="vol", nfs=volume.spec.nfs) if source == "nfs" else \
        Volume(name="vol", hostPath=HostPathVolumeSource(path=volume.spec.hostPath.path if volume.spec.hostPath else ""))
    container = Container(name="pv-recycler", image=IMAGE, command=["/bin/sh"], args=["-c", SCRIPT],
                          volumeMounts=[VolumeMount(name="vol", mountPath="/scrub")])
    spec = PodSpec(activeDeadlineSeconds=seconds, restartPolicy="Never", volumes=[inside], containers=[container])
    name = recycler_key(volume.metadata.name).name
    return Pod(kind="Pod", apiVersion="v1", metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=spec)


def failed(volume: PersistentVolume, reason: str, message: str) -> Plan:
    """The volume could not be reclaimed: its phase says so, once."""
    write = bind.phase(volume, "Failed", message)
    return Plan((write,), None, (EventRecord(volume, "Warning", reason, message),)) if write is not None else Plan()
