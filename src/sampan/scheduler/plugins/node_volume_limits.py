"""NodeVolumeLimits: no more volumes of a CSI driver on a node than the driver said there. Source: `plugins/nodevolumelimits/csi.go`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from sampan.api.resources import (
    CSI_NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Int64, Snapshot
from sampan.scheduler.volumes import class_name
from sampan.scheduler.world import What

EXCEEDED = "node(s) exceed max volume count"
Handles = dict[str, set[str]]  # driver → unique volumes
UNLIMITED = np.iinfo(np.int64).max


class NodeVolumeLimits(Plugin):
    name = "NodeVolumeLimits"
    events: frozenset[What] = frozenset(("node", "csi node", "pod added", "pod gone", "volume", "volume claim", "attachment"))
    knows_taints = True  # it does not ask for changes of nodes

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.claims:
            return None
        wanted = _handles(pod.namespace, pod.claims, snapshot)
        limits = _limits(snapshot)
        full = np.zeros(len(snapshot.alive), np.bool_)
        attached = _attached(snapshot) if wanted.keys() & limits.keys() else {}
        for driver in wanted.keys() & limits.keys():
            limit, new = limits[driver], wanted[driver]
            over = limit < len(new)
            for row, there in attached.items():
                if have := there.get(driver):
                    more = len(new - have)
                    over[row] = more > 0 and len(have) + more > limit[row]
            full |= over
        return Verdict(~full, (Reason(EXCEEDED, full, resolvable=True),)) if full.any() else None

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.what == "pod added" and change.pod is not None:  # a volume that is there already needs no room
            return change.pod.namespace == pod.namespace and not set(change.pod.claims).isdisjoint(pod.claims)
        if change.pod is not None:
            return bool(change.pod.claims)
        if change.what == "volume":  # one that is gone needs no room
            return snapshot.world.get(PERSISTENT_VOLUMES, change.key[1]) is None
        if change.what == "volume claim":
            return change.key[0] == pod.namespace and change.key[1] in pod.claims
        return super().helps(change, pod, snapshot)


def _limits(snapshot: Snapshot) -> dict[str, Int64]:
    """Driver → int64[N], how many of its volumes a node may have; remembered until a node or what drivers say changes."""
    version = (snapshot.world.version(CSI_NODES), snapshot.generation, len(snapshot.alive))
    known = snapshot.memory.get("volume limits")
    if known is not None and known[0] == version:
        found: dict[str, Int64] = known[1]
        return found
    out: dict[str, Int64] = {}
    for node in snapshot.world.items(CSI_NODES):
        row = snapshot.rows.get(node.metadata.name)
        for one in node.spec.drivers or ():
            if row is not None and one.allocatable is not None and one.allocatable.count is not None:
                if one.name not in out:
                    out[one.name] = np.full(len(snapshot.alive), UNLIMITED, np.int64)
                out[one.name][row] = one.allocatable.count
    snapshot.memory["volume limits"] = (version, out)
    return out


def _attached(snapshot: Snapshot) -> dict[int, Handles]:
    """What is on the rows that have any volume; a row is looked at again when its pods or the volumes have changed."""
    version = snapshot.world.version(PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, VOLUME_ATTACHMENTS), snapshot.generation
    known = snapshot.memory.get("attached volumes")
    if known is None or known[0] != version:
        known = snapshot.memory["attached volumes"] = (version, _by_attachment(snapshot), {})
    attached: dict[int, Handles] = known[1]
    rows: dict[int, tuple[int, Handles]] = known[2]
    used = {row for users in snapshot.claims.values() for row in users} | attached.keys()
    out: dict[int, Handles] = {}
    for row in used:
        if row not in rows or rows[row][0] != snapshot.row_version[row]:
            rows[row] = (snapshot.row_version[row], _on_row(row, attached.get(row, {}), snapshot))
        out[row] = rows[row][1]
    return out


def _on_row(row: int, attached: Handles, snapshot: Snapshot) -> Handles:
    out: Handles = defaultdict(set)
    for driver, handles in attached.items():
        out[driver] |= handles
    for one in snapshot.pods_on[row].values():
        if one.shape.claims:
            for driver, found in _handles(one.shape.namespace, one.shape.claims, snapshot).items():
                out[driver] |= found
    return out


def _by_attachment(snapshot: Snapshot) -> dict[int, Handles]:
    out: dict[int, Handles] = {}
    for attachment in snapshot.world.items(VOLUME_ATTACHMENTS):
        row = snapshot.rows.get(attachment.spec.nodeName, -1)
        name = attachment.spec.source.persistentVolumeName
        volume = snapshot.world.get(PERSISTENT_VOLUMES, name) if name and row >= 0 else None
        if volume is not None and volume.spec.csi is not None:
            out.setdefault(row, defaultdict(set))[volume.spec.csi.driver].add(volume.spec.csi.volumeHandle)
    return out


def _handles(namespace: str, claims: Iterable[str], snapshot: Snapshot) -> Handles:
    """Driver → volumes; one that is yet to be made counts under its claim's name."""
    out: Handles = defaultdict(set)
    for name in claims:
        claim = snapshot.world.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        if claim is None:
            continue
        volume = snapshot.world.get(PERSISTENT_VOLUMES, claim.spec.volumeName) if claim.spec.volumeName else None
        if volume is not None:
            if volume.spec.csi is not None:
                out[volume.spec.csi.driver].add(volume.spec.csi.volumeHandle)
        elif (found := snapshot.world.get(STORAGE_CLASSES, class_name(claim))) is not None:
            out[found.provisioner].add(f"{namespace}/{name}")
    return out
