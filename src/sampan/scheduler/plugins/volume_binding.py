"""VolumeBinding: a pod goes where its volumes are, or where they can be found or made. Source: `plugins/volumebinding`."""

from __future__ import annotations

from sampan.scheduler.plugins.base import Change, Plugin, Reason, Rejected, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.volumes import plan_for, sort_claims
from sampan.scheduler.world import What

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
ABSENT = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
NONE = "node(s) didn't find available persistent volumes to bind"
FULL = "node(s) did not have enough free storage"


class VolumeBinding(Plugin):
    name = "VolumeBinding"
    events: frozenset[What] = frozenset(("node", "volume", "volume claim", "storage class", "csi node", "csi driver", "storage capacity"))

    def prefilter(self, pod: Shape, snapshot: Snapshot) -> Rejected | None:
        if not pod.claims:
            return None
        claims = sort_claims(pod, snapshot)
        if claims.error:
            return Rejected(claims.error)
        return Rejected(UNBOUND) if claims.immediate else None

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.claims:
            return None
        found = plan_for(pod, snapshot)
        bad = found.absent | found.conflict | found.none | found.full
        if not bad.any():
            return None
        reasons = ((CONFLICT, found.conflict), (NONE, found.none), (FULL, found.full), (ABSENT, found.absent))
        return Verdict(~bad, tuple(Reason(text, rows, resolvable=False) for text, rows in reasons))

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.what == "volume claim":
            return change.key[0] == pod.namespace and change.key[1] in pod.claims
        if change.what == "node":
            return change.relabelled(snapshot)
        return True
