"""Random worlds of volumes and devices, and the changes that happen in them, told of as the scheduler tells the queue."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.scheduler.small import HOST, ZONE, node, pod

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.resource.v1 import DeviceClass, ResourceClaim, ResourceSlice
from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    DEVICE_CLASSES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from sampan.api.storage.v1 import CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment
from sampan.control.key import Key, key_of
from sampan.scheduler.plugins.base import Change
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import CHANGES

DRIVER = "d.example.com"
Made = tuple[Resource[Any], Any]


def made(resource: Resource[Any], wire: type, name: str, namespace: str = "", *, labels: Any = None, annotations: Any = None, **rest: Any) -> Made:
    meta = {"name": name, "namespace": namespace, "uid": name, "labels": labels or {}, "annotations": annotations or {}}
    return resource, codec.convert(wire, {"metadata": meta, **rest})


def volume_claim(rng: random.Random) -> Made:
    bound = rng.choice(("", "", "v0", "v1"))
    return made(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, rng.choice(("c0", "c1")), "default",
                annotations={"pv.kubernetes.io/bind-completed": "yes"} if bound else {},
                spec={"accessModes": [rng.choice(("ReadWriteOnce", "ReadWriteOncePod"))], "resources": {"requests": {"storage": rng.choice(("1Gi", "5Gi"))}},
                      "storageClassName": rng.choice(("late", "late", "soon")), "volumeName": bound})


def volume(rng: random.Random) -> Made:
    name = rng.choice(("v0", "v1"))
    spec: dict[str, Any] = {"capacity": {"storage": rng.choice(("1Gi", "5Gi"))}, "accessModes": ["ReadWriteOnce", "ReadWriteOncePod"],
                            "storageClassName": "late", "csi": {"driver": DRIVER, "volumeHandle": name}}
    if rng.random() < 0.5:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": HOST, "operator": "In", "values": [rng.choice("ab")]}]}]}}
    return made(PERSISTENT_VOLUMES, PersistentVolume, name, labels=rng.choice(({}, {ZONE: "1"}, {ZONE: "2"})), spec=spec,
                status={"phase": "Available"})


def storage_class(rng: random.Random) -> Made:
    where = [{"matchLabelExpressions": [{"key": ZONE, "values": [rng.choice("12")]}]}] if rng.random() < 0.3 else []
    return made(STORAGE_CLASSES, StorageClass, rng.choice(("late", "soon")), provisioner=rng.choice((DRIVER, "kubernetes.io/no-provisioner")),
                volumeBindingMode=rng.choice(("WaitForFirstConsumer", "WaitForFirstConsumer", "Immediate")), allowedTopologies=where)


def csi_driver(rng: random.Random) -> Made:
    return made(CSI_DRIVERS, CSIDriver, DRIVER, spec={"storageCapacity": rng.random() < 0.5})


def capacity(rng: random.Random) -> Made:
    return made(CSI_STORAGE_CAPACITIES, CSIStorageCapacity, rng.choice(("k0", "k1")), "default", storageClassName="late",
                capacity=rng.choice(("1Gi", "9Gi")), nodeTopology={"matchLabels": {HOST: rng.choice("ab")}})


def csi_node(rng: random.Random) -> Made:
    limit = rng.choice(({}, {"allocatable": {"count": rng.choice((1, 2))}}))
    return made(CSI_NODES, CSINode, rng.choice("ab"), spec={"drivers": [{"name": DRIVER, "nodeID": "x", **limit}]})


def attachment(rng: random.Random) -> Made:
    return made(VOLUME_ATTACHMENTS, VolumeAttachment, rng.choice(("t0", "t1")),
                spec={"attacher": DRIVER, "nodeName": rng.choice("ab"), "source": {"persistentVolumeName": rng.choice(("v1", "other"))}})


def resource_claim(rng: random.Random) -> Made:
    name = rng.choice(("r", "other"))
    results = [{"request": "q", "driver": DRIVER, "pool": rng.choice("ab"), "device": "d0"}]
    allocation = {"devices": {"results": results}, "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": [rng.choice("ab")]}]}]}}
    return made(RESOURCE_CLAIMS, ResourceClaim, name, "default", status={"allocation": allocation} if rng.random() < 0.5 else {},
                spec={"devices": {"requests": [{"name": "q", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": rng.choice((1, 2))}}]}})


def device_class(rng: random.Random) -> Made:
    return made(DEVICE_CLASSES, DeviceClass, "gpu", spec={"extendedResourceName": "example.com/gpu"} if rng.random() < 0.7 else {})


def resource_slice(rng: random.Random) -> Made:
    where = rng.choice("ab")
    return made(RESOURCE_SLICES, ResourceSlice, f"s-{where}", spec={
        "driver": DRIVER, "nodeName": where, "pool": {"name": where, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": f"d{index}"} for index in range(rng.randint(0, 2))]})


VOLUMES = (volume_claim, volume_claim, volume, volume, storage_class, csi_driver, capacity, csi_node, attachment)
DEVICES = (resource_claim, resource_claim, device_class, resource_slice, resource_slice)
WANTED: dict[str, tuple[Callable[[random.Random], Any], tuple[Callable[[random.Random], Made], ...]]] = {
    "volumes": (lambda rng: pod("p", volumes=with_claims(rng)), VOLUMES),
    "devices": (lambda rng: pod("p", resourceClaims=[{"name": "r", "resourceClaimName": "r"}]), DEVICES),
    "extended": (lambda rng: pod("p", more={"example.com/gpu": rng.choice("12")}), DEVICES),
}


def with_claims(rng: random.Random) -> list[dict[str, Any]]:
    return [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in rng.choice((["c0"], ["c0", "c1"]))]


def crowd(rng: random.Random, snapshot: Snapshot) -> None:
    """A world in which limits and free space are what decides."""
    limited = {"drivers": [{"name": DRIVER, "nodeID": "x", "allocatable": {"count": rng.choice((1, 9))}}]}
    things = [made(STORAGE_CLASSES, StorageClass, "late", provisioner=DRIVER, volumeBindingMode="WaitForFirstConsumer"),
              made(CSI_DRIVERS, CSIDriver, DRIVER, spec={"storageCapacity": bool(rng.randrange(2))}),
              *(made(CSI_NODES, CSINode, name, spec=limited) for name in "ab"),
              *(made(PERSISTENT_VOLUMES, PersistentVolume, name, status={"phase": "Bound"}, spec={
                  "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "late",
                  "csi": {"driver": DRIVER, "volumeHandle": name}}) for name in ("v0", "v1", "other"))]
    for name, bound in (("c0", rng.choice(("", "v0"))), ("c1", "v1")):
        things.append(made(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, name, "default",
                           annotations={"pv.kubernetes.io/bind-completed": "yes"} if bound else {},
                           spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "late", "volumeName": bound}))
    things += [made(VOLUME_ATTACHMENTS, VolumeAttachment, f"t{index}", spec={
        "attacher": DRIVER, "nodeName": name, "source": {"persistentVolumeName": "other"}}) for index, name in enumerate("ab")]
    for resource, obj in things:
        snapshot.world.put(resource, obj)


def changed(rng: random.Random, snapshot: Snapshot, makers: tuple[Callable[[random.Random], Made], ...]) -> Change:
    """Change one thing, and say so as the scheduler does."""
    roll = rng.random()
    if roll < 0.15:
        other = node(name := rng.choice("ab"), labels={ZONE: rng.choice("12")}, unschedulable=rng.random() < 0.2,
                     more=rng.choice((None, {"example.com/gpu": "1"})))
        before = snapshot.node(snapshot.rows[name])
        snapshot.put_node(other)
        return Change("node", row=snapshot.rows[name], before=before)
    if roll < 0.3:
        if snapshot.assigned and rng.random() < 0.5:
            gone = snapshot.assigned[rng.choice(sorted(snapshot.assigned))]
            snapshot.remove_pod(gone.pod.metadata.uid)
            return Change("pod gone", gone.row, gone.shape)
        running = pod(f"r{rng.randrange(1000)}", on=rng.choice("ab"), volumes=with_claims(rng))
        snapshot.put_pod(running)
        one = snapshot.assigned[running.metadata.uid]
        return Change("pod added", one.row, one.shape)
    resource, obj = rng.choice(makers)(rng)
    known = snapshot.world.get(resource, obj.metadata.name, obj.metadata.namespace)
    if known is not None and (resource is STORAGE_CLASSES or rng.random() < 0.4):  # what a storage class says cannot be changed
        snapshot.world.remove(resource, obj)
    else:
        snapshot.world.put(resource, obj)
    key: Key = key_of(obj)
    return Change(CHANGES[resource.group_resource], key=key, before=known)
