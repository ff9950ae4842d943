"""Claims, volumes and classes from one line of text each, for transcripts."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sampan.api.storage.v1 import StorageClass
from sampan.kinds.plan import EventRecord, Plan, Update

MODES = {"RWO": "ReadWriteOnce", "ROX": "ReadOnlyMany", "RWX": "ReadWriteMany", "RWOP": "ReadWriteOncePod"}
SHORT = {"bound-by": "pv.kubernetes.io/bound-by-controller", "completed": "pv.kubernetes.io/bind-completed",
         "provisioned-by": "pv.kubernetes.io/provisioned-by", "migrated-to": "pv.kubernetes.io/migrated-to",
         "provisioner": "volume.kubernetes.io/storage-provisioner", "node": "volume.kubernetes.io/selected-node",
         "beta-class": "volume.beta.kubernetes.io/storage-class", "beta-provisioner": "volume.beta.kubernetes.io/storage-provisioner",
         "pre-resize": "volume.alpha.kubernetes.io/pre-resize-capacity"}
LONG = {name: short for short, name in SHORT.items()}


def words(text: str) -> tuple[str, dict[str, str]]:
    """`name key=value …` as (name, pairs)."""
    name, *rest = text.split()
    return name, {key: value for key, _, value in (one.partition("=") for one in rest)}


def _meta(name: str, given: dict[str, str], **more: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "uid": given.get("uid", f"{name}-uid"), "resourceVersion": "1", **more}
    annotations = {SHORT[key]: given[key] or ("" if key == "beta-class" else "yes") for key in SHORT if key in given}
    finalizers = given["finalizers"].split(",") if given.get("finalizers") else []
    labels = dict(one.split(":") for one in given["labels"].split(",")) if "labels" in given else {}
    gone = {"deletionTimestamp": "2026-01-01T11:00:00Z"} if "leaving" in given else {}
    return {**meta, **gone, "annotations": annotations, "finalizers": finalizers, "labels": labels}


def volume(text: str) -> PersistentVolume:
    """`name size=1Gi modes=RWO[,RWX] class=fast mode=Block claim=NAMESPACE/NAME[/UID] phase=Available policy=Retain source=csi …`."""
    name, given = words(text)
    spec: dict[str, Any] = {
        "capacity": {"storage": given.get("size", "1Gi")}, "accessModes": [MODES[one] for one in given.get("modes", "RWO").split(",")],
        "storageClassName": given.get("class", ""), "persistentVolumeReclaimPolicy": given.get("policy", "Retain"),
        "volumeMode": given.get("mode", "Filesystem")}
    if "vac" in given:
        spec["volumeAttributesClassName"] = given["vac"]
    source = given.get("source", "hostPath")
    spec[source] = {"hostPath": {"path": given.get("path", "/x")}, "nfs": {"server": "s", "path": "/"}, "local": {"path": "/x"},
                    "csi": {"driver": given.get("driver", "d"), "volumeHandle": given.get("handle", name)},
                    "fc": {"targetWWNs": ["a"], "lun": 1}}[source]
    if "claim" in given:
        namespace, claim_name, *uid = given["claim"].split("/")
        spec["claimRef"] = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace, "name": claim_name,
                            **({"uid": uid[0]} if uid else {}), **({"resourceVersion": given["rev"]} if "rev" in given else {})}
    return codec.convert(PERSISTENT_VOLUMES.wire, {"metadata": _meta(name, given), "spec": spec, "status": {"phase": given.get("phase", "Available")}})


def claim(text: str) -> PersistentVolumeClaim:
    """`name size=1Gi modes=RWO class=fast volume=NAME phase=Pending …`; without `class` the claim names none, `class=` the empty one."""
    name, given = words(text)
    spec: dict[str, Any] = {"resources": {"requests": {"storage": given.get("size", "1Gi")}}, "volumeName": given.get("volume", ""),
                            "accessModes": [MODES[one] for one in given.get("modes", "RWO").split(",")], "volumeMode": given.get("mode", "Filesystem")}
    if "class" in given:
        spec["storageClassName"] = given["class"]
    if "vac" in given:
        spec["volumeAttributesClassName"] = given["vac"]
    if "selector" in given:
        spec["selector"] = {"matchLabels": dict(one.split(":") for one in given["selector"].split(","))}
    if "source" in given:
        spec["dataSource"] = {"kind": "PersistentVolumeClaim", "name": given["source"]}
    status: dict[str, Any] = {"phase": given.get("phase", "Pending")}
    if "has" in given:
        status |= {"capacity": {"storage": given["has"]}, "accessModes": ["ReadWriteOnce"]}
    return codec.convert(PERSISTENT_VOLUME_CLAIMS.wire, {"metadata": _meta(name, given, namespace="ns"), "spec": spec, "status": status})


def storage_class(text: str) -> StorageClass:
    """`name provisioner=x binding=WaitForFirstConsumer mount=a,b`."""
    name, given = words(text)
    body: dict[str, Any] = {"metadata": {"name": name}, "provisioner": given.get("provisioner", "disk.example.com"),
                            "volumeBindingMode": given.get("binding", "Immediate"), "reclaimPolicy": given.get("policy", "Delete")}
    if "mount" in given:
        body["mountOptions"] = given["mount"].split(",")
    return codec.convert(STORAGE_CLASSES.wire, body)


def show(obj: Any) -> str:
    """What transcripts show of a claim or a volume: what bindings are made of."""
    meta, parts = obj.metadata, [obj.metadata.name]
    if isinstance(obj, PersistentVolumeClaim):
        parts += [f"phase={obj.status.phase}", f"volume={obj.spec.volumeName}", f"class={obj.spec.storageClassName}"]
        parts += [f"has={obj.status.capacity['storage']}"] if obj.status.capacity else []
        parts += [f"vac={obj.status.currentVolumeAttributesClassName}"] if obj.status.currentVolumeAttributesClassName else []
    else:
        ref = obj.spec.claimRef
        parts += [f"phase={obj.status.phase}", f"claim={'/'.join((ref.namespace, ref.name, ref.uid)) if ref else ''}"]
        parts += [f"rev={ref.resourceVersion}"] if ref is not None and ref.resourceVersion not in ("", "1") else []
        parts += [f"finalizers={','.join(meta.finalizers)}"] if meta.finalizers else []
        parts += [f"message={obj.status.message}"] if obj.status.message else []
    parts += [f"{LONG.get(key, key)}={value}" for key, value in sorted(meta.annotations.items())]
    return " ".join(parts)


def render(plan: Plan) -> str:
    """A plan, with the objects as they are to be."""
    lines = []
    for write in plan.writes:
        if isinstance(write, Update):
            lines.append(f"update {write.resource.plural}{'/' + write.subresource if write.subresource else ''} {show(write.object)}")
        else:
            name = write.object.metadata.name if hasattr(write, "object") else write.name
            lines.append(f"{type(write).__name__.lower()} {write.resource.plural} {name}")
    return "\n".join([*lines, *map(told, plan.events)]) or "nothing"


def told(event: EventRecord) -> str:
    return f"event {event.about.metadata.name} {event.kind} {event.reason}: {event.message}"
