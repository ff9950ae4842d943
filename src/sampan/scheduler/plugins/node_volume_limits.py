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
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.volumes import class_name
from sampan.scheduler.world import What

EXCEEDED = "node(s) exceed max volume count"
Handles = dict[str, set[str]]  # driver → unique volumes


class NodeVolumeLimits(Plugin):
    name = "NodeVolumeLimits"
    events: frozenset[What] = frozenset(("node", "csi node", "pod gone", "pod changed", "volume claim", "attachment"))

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.claims:
            return None
        wanted = _handles(pod.namespace, pod.claims, snapshot)
        if not wanted:
            return None
        limits = self._limits(wanted, snapshot)
        if not limits:
            return None
        attached = _attached(limits, snapshot)
        full = np.zeros(len(snapshot.alive), np.bool_)
        for row, drivers in limits.items():
            there = attached[row]
            full[row] = any(new and len(there[driver]) + len(new) > limit
                            for driver, limit in drivers.items() if (new := wanted[driver] - there[driver]) is not None)
        return Verdict(~full, (Reason(EXCEEDED, full, resolvable=True),)) if full.any() else None

    @staticmethod
    def _limits(wanted: Handles, snapshot: Snapshot) -> dict[int, dict[str, int]]:
        out: dict[int, dict[str, int]] = {}
        for node in snapshot.world.items(CSI_NODES):
            row = snapshot.rows.get(node.metadata.name)
            found = {one.name: one.allocatable.count for one in node.spec.drivers or ()
                     if one.name in wanted and one.allocatable is not None and one.allocatable.count is not None}
            if row is not None and found:
                out[row] = found
        return out

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.pod is not None:
            return bool(change.pod.claims)
        if change.what == "volume claim":
            return change.key[0] == pod.namespace and change.key[1] in pod.claims
        return super().helps(change, pod, snapshot)


def _attached(limits: dict[int, dict[str, int]], snapshot: Snapshot) -> dict[int, Handles]:
    out: dict[int, Handles] = {row: defaultdict(set) for row in limits}
    for row, handles in out.items():
        for one in snapshot.pods_on[row].values():
            if one.shape.claims:
                for driver, found in _handles(one.shape.namespace, one.shape.claims, snapshot).items():
                    handles[driver] |= found
    for attachment in snapshot.world.items(VOLUME_ATTACHMENTS):
        row_of = snapshot.rows.get(attachment.spec.nodeName, -1)
        name = attachment.spec.source.persistentVolumeName
        volume = snapshot.world.get(PERSISTENT_VOLUMES, name) if name and row_of in out else None
        if volume is not None and volume.spec.csi is not None:
            out[row_of][volume.spec.csi.driver].add(volume.spec.csi.volumeHandle)
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
