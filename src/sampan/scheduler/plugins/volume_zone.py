"""VolumeZone: a bound volume with zone or region labels is used there. Source: `plugins/volumezone`."""

from __future__ import annotations

import numpy as np

from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sampan.scheduler.nodeselect import value_rows
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Rejected, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.volumes import volumes_of
from sampan.scheduler.world import What

NO_ZONE = "node(s) had no available volume zone"
# today's name of a label → the one of old, which nodes and volumes may still have
KEYS = {
    "topology.kubernetes.io/zone": "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region": "failure-domain.beta.kubernetes.io/region",
}


class VolumeZone(Plugin):
    name = "VolumeZone"
    events: frozenset[What] = frozenset(("node", "volume", "volume claim", "storage class"))

    def prefilter(self, pod: Shape, snapshot: Snapshot) -> Rejected | None:
        for name in pod.claims:
            claim = snapshot.world.get(PERSISTENT_VOLUME_CLAIMS, name, pod.namespace)
            if claim is not None and (volume := claim.spec.volumeName) and snapshot.world.get(PERSISTENT_VOLUMES, volume) is None:
                return Rejected(f'persistentvolume "{volume}" not found')
        return None

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.claims:
            return None
        names = [name for pair in KEYS.items() for name in pair]
        labelled = np.zeros(len(snapshot.alive), np.bool_)
        for key in names:
            labelled |= snapshot.has_label(key)
        bad = np.zeros_like(labelled)
        for _, volume in volumes_of(pod, snapshot):
            for now, before in KEYS.items():
                for key in (now, before):
                    if key in volume.metadata.labels:
                        values = volume.metadata.labels[key].split("__")
                        # where a node does not have the label of old, that of today counts; never the other way round
                        fits = np.where(snapshot.has_label(key), value_rows(snapshot, key, values), value_rows(snapshot, now, values))
                        bad |= labelled & ~fits
        return Verdict(~bad, (Reason(NO_ZONE, bad, resolvable=False),)) if bad.any() else None

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.what == "volume claim":
            return change.key[0] == pod.namespace and change.key[1] in pod.claims
        return change.what != "node" or change.relabelled(snapshot)
