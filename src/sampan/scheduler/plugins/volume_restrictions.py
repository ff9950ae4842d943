"""VolumeRestrictions: a disk that may be used once, or a claim that one pod may use, is in use already.

Source: `plugins/volumerestrictions`.
"""

from __future__ import annotations

import numpy as np

from sampan.api.core.v1 import Pod, Volume
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Rejected, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import What

IN_USE = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
DISK_CONFLICT = "node(s) had no available disk"


def conflicts(one: Volume, other: Volume) -> bool:
    """Whether two volumes of two pods cannot be on one node."""
    if one.gcePersistentDisk is not None and other.gcePersistentDisk is not None:
        a, b = one.gcePersistentDisk, other.gcePersistentDisk
        return a.pdName == b.pdName and not (a.readOnly and b.readOnly)
    if one.awsElasticBlockStore is not None and other.awsElasticBlockStore is not None:
        return one.awsElasticBlockStore.volumeID == other.awsElasticBlockStore.volumeID
    if one.iscsi is not None and other.iscsi is not None:
        return one.iscsi.iqn == other.iscsi.iqn and not (one.iscsi.readOnly and other.iscsi.readOnly)
    if one.rbd is not None and other.rbd is not None:
        c, d = one.rbd, other.rbd
        return bool(set(c.monitors or ()) & set(d.monitors or ())) and c.pool == d.pool and c.image == d.image and not (c.readOnly and d.readOnly)
    return False


def disks(pod: Pod) -> list[Volume]:
    """The volumes of a pod that can be in conflict."""
    return [one for one in pod.spec.volumes if one.gcePersistentDisk or one.awsElasticBlockStore or one.iscsi or one.rbd]


class VolumeRestrictions(Plugin):
    name = "VolumeRestrictions"
    events: frozenset[What] = frozenset(("node", "pod gone", "volume claim"))

    def prefilter(self, pod: Shape, snapshot: Snapshot) -> Rejected | None:
        named = [one.persistentVolumeClaim.claimName for one in pod.pod.spec.volumes if one.persistentVolumeClaim is not None]
        for name in named:
            if snapshot.world.get(PERSISTENT_VOLUME_CLAIMS, name, pod.namespace) is None:
                return Rejected(f'persistentvolumeclaim "{name}" not found')
        return None

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.pod.spec.volumes:
            return None
        reasons = []
        bad = np.zeros(len(snapshot.alive), np.bool_)
        own = disks(pod.pod)
        if own:
            for row in snapshot.rows.values():
                bad[row] = any(conflicts(a, b) for other in snapshot.pods_on[row].values() for b in disks(other.pod) for a in own)
            reasons.append(Reason(DISK_CONFLICT, bad.copy(), resolvable=True))
        if self._taken(pod, snapshot):
            reasons.append(Reason(IN_USE, ~bad, resolvable=True))
            bad[:] = True
        return Verdict(~bad, tuple(reasons)) if bad.any() else None

    @staticmethod
    def _taken(pod: Shape, snapshot: Snapshot) -> bool:
        for name in pod.claims:
            claim = snapshot.world.get(PERSISTENT_VOLUME_CLAIMS, name, pod.namespace)
            if claim is not None and "ReadWriteOncePod" in claim.spec.accessModes and snapshot.claims.get((pod.namespace, name)):
                return True
        return False

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.what == "volume claim":
            return change.key[0] == pod.namespace and change.key[1] in pod.claims
        if change.pod is not None:
            return bool(disks(change.pod.pod)) or (change.pod.namespace == pod.namespace and bool(set(change.pod.claims) & set(pod.claims)))
        return change.before is None
