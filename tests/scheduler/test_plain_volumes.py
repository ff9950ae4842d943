"""The volume plugins held against plain ones, node by node and claim by claim, in random worlds."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from tests.scheduler.small import ZONE, cluster, node, pod
from tests.scheduler.worlds import VOLUMES, changed, crowd, with_claims

from sampan.api import codec
from sampan.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod
from sampan.api.resources import (
    CSI_DRIVERS,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from sampan.scheduler.plugins.base import Plugin
from sampan.scheduler.plugins.node_name import NodeName
from sampan.scheduler.plugins.volume_binding import VolumeBinding
from sampan.scheduler.plugins.volume_restrictions import VolumeRestrictions
from sampan.scheduler.plugins.volume_zone import VolumeZone
from sampan.scheduler.snapshot import Snapshot

SEEDS = range(250)


def gib(amounts: Any) -> int:
    return int(amounts["storage"].removesuffix("Gi"))


def claims(snapshot: Snapshot, wanted: Pod) -> list[PersistentVolumeClaim]:
    names = [one.persistentVolumeClaim.claimName for one in wanted.spec.volumes if one.persistentVolumeClaim is not None]
    return [claim for name in names if (claim := snapshot.world.get(PERSISTENT_VOLUME_CLAIMS, name, "default")) is not None]


def reaches(volume: PersistentVolume, one: Node) -> bool:
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return True
    return any(all(one.metadata.labels.get(wish.key) in wish.values for wish in term.matchExpressions) for term in affinity.required.nodeSelectorTerms or ())


def can_be_made(snapshot: Snapshot, claim: PersistentVolumeClaim, one: Node) -> bool:
    found = snapshot.world.get(STORAGE_CLASSES, claim.spec.storageClassName or "")
    if found is None or found.provisioner == "kubernetes.io/no-provisioner":
        return False
    labels = one.metadata.labels
    if found.allowedTopologies and not any(all(labels.get(wish.key) in wish.values for wish in term.matchLabelExpressions) for term in found.allowedTopologies):
        return False
    driver = snapshot.world.get(CSI_DRIVERS, found.provisioner)
    if driver is None or not driver.spec.storageCapacity:
        return True
    wanted = gib(claim.spec.resources.requests)
    for capacity in snapshot.world.items(CSI_STORAGE_CAPACITIES):
        topology = capacity.nodeTopology
        if (capacity.storageClassName == found.metadata.name and capacity.capacity is not None and gib({"storage": capacity.capacity}) >= wanted
                and topology is not None and topology.matchLabels.items() <= labels.items()):
            return True
    return False


def plain_binding(snapshot: Snapshot, wanted: Pod, one: Node) -> bool:
    chosen: set[str] = set()
    for claim in sorted(claims(snapshot, wanted), key=lambda claim: gib(claim.spec.resources.requests)):
        if claim.spec.volumeName:
            volume = snapshot.world.get(PERSISTENT_VOLUMES, claim.spec.volumeName)
            if volume is None or not reaches(volume, one):
                return False
            continue
        fitting = [volume for volume in snapshot.world.items(PERSISTENT_VOLUMES)
                   if volume.metadata.name not in chosen and volume.spec.storageClassName == claim.spec.storageClassName and reaches(volume, one)
                   and volume.status.phase == "Available" and gib(volume.spec.capacity) >= gib(claim.spec.resources.requests)
                   and set(claim.spec.accessModes) <= set(volume.spec.accessModes)]
        if fitting:
            chosen.add(min(fitting, key=lambda volume: (gib(volume.spec.capacity), volume.metadata.name)).metadata.name)
        elif not can_be_made(snapshot, claim, one):
            return False
    return True


def plain_zone(snapshot: Snapshot, wanted: Pod, one: Node) -> bool:
    if ZONE not in one.metadata.labels:
        return True
    for claim in claims(snapshot, wanted):
        volume = snapshot.world.get(PERSISTENT_VOLUMES, claim.spec.volumeName) if claim.spec.volumeName else None
        if volume is not None and ZONE in volume.metadata.labels and one.metadata.labels[ZONE] not in volume.metadata.labels[ZONE].split("__"):
            return False
    return True


def plain_restrictions(snapshot: Snapshot, wanted: Pod, one: Node) -> bool:
    alone = {claim.metadata.name for claim in claims(snapshot, wanted) if "ReadWriteOncePod" in claim.spec.accessModes}
    for other in snapshot.assigned.values():
        if any(volume.persistentVolumeClaim is not None and volume.persistentVolumeClaim.claimName in alone for volume in other.pod.spec.volumes):
            return False
    here = [other.pod for other in snapshot.assigned.values() if other.pod.spec.nodeName == one.metadata.name]
    mine = {disk.gcePersistentDisk.pdName: disk.gcePersistentDisk.readOnly for disk in wanted.spec.volumes if disk.gcePersistentDisk is not None}
    return not any(disk.gcePersistentDisk is not None and disk.gcePersistentDisk.pdName in mine
                   and not (disk.gcePersistentDisk.readOnly and mine[disk.gcePersistentDisk.pdName]) for other in here for disk in other.spec.volumes)


def disk(rng: random.Random) -> list[dict[str, Any]]:
    return [{"name": "d", "gcePersistentDisk": {"pdName": rng.choice("xy"), "readOnly": rng.random() < 0.5}}] if rng.random() < 0.5 else []


FILTERS: dict[str, tuple[Plugin, Any]] = {
    "VolumeBinding": (VolumeBinding(), plain_binding), "VolumeZone": (VolumeZone(), plain_zone), "VolumeRestrictions": (VolumeRestrictions(), plain_restrictions),
    "NodeName": (NodeName(), lambda _snapshot, wanted, one: wanted.spec.nodeName in ("", one.metadata.name)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_says_of_every_node_what_a_plain_one_says(name: str) -> None:
    plugin, reference = FILTERS[name]
    answers: list[bool] = []
    for seed in SEEDS:
        # given a world that has grown by chance
        rng = random.Random(seed)
        snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "2"}), node("c"))
        if seed % 2:
            crowd(rng, snapshot)
        for _ in range(rng.randint(4, 25)):
            changed(rng, snapshot, VOLUMES)
        for number in range(rng.randint(0, 3)):
            snapshot.put_pod(pod(f"d{number}", on=rng.choice("abc"), volumes=disk(rng)))
        wanted = pod("p", volumes=[*with_claims(rng), *disk(rng)], **({"nodeName": rng.choice("abz")} if name == "NodeName" else {}))
        shape = snapshot.shape(wanted)
        if name != "NodeName" and (plugin.prefilter(shape, snapshot) is not None or VolumeBinding().prefilter(shape, snapshot) is not None):
            continue  # rejected altogether
        # when
        verdict = plugin.filter(shape, snapshot)
        fits = np.ones(len(snapshot.alive), np.bool_) if verdict is None else verdict.fits
        # then
        for row in snapshot.rows.values():
            want = reference(snapshot, wanted, snapshot.node(row))
            assert bool(fits[row]) == want, (seed, snapshot.node(row).metadata.name, codec.to_builtins(wanted.spec.volumes))
            answers.append(want)
            told = verdict is not None and any(reason.rows[row] for reason in verdict.reasons)
            assert told is not want
    assert answers.count(False) > 10 < answers.count(True)  # the worlds were worth asking about
