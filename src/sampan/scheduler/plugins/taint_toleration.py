"""TaintToleration: taints that a pod does not tolerate keep it away or make a node worse.

Source: `plugins/tainttoleration`.
"""

from __future__ import annotations

import numpy as np

from sampan.api.core.v1 import Taint
from sampan.kinds.core.pod import tolerates
from sampan.scheduler.normalize import reversed_to_hundred
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Snapshot
from sampan.scheduler.taints import KEEP_AWAY, untolerated
from sampan.scheduler.world import What


class TaintToleration(Plugin):
    name = "TaintToleration"
    static = True
    events: frozenset[What] = frozenset(("node",))
    knows_taints = True

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        bad = untolerated(pod, snapshot)
        if not bad.any():
            return None
        return Verdict(~bad, (Reason("node(s) had untolerated taint(s)", bad, resolvable=False),))

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.before is not None and all(taint.effect not in KEEP_AWAY or tolerates(pod.pod, taint) for taint in change.before.spec.taints):
            return False
        return super().helps(change, pod, snapshot)

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        counts = self._counts(pod, snapshot)
        return reversed_to_hundred(counts, feasible) if counts is not None else None

    @staticmethod
    def _counts(pod: Shape, snapshot: Snapshot) -> Float | None:
        known = pod.cache.get("PreferNoSchedule")
        if known is not None and known[0] == snapshot.generation:
            remembered: Float | None = known[1]
            return remembered
        counts: Float | None = None
        for (key, value, effect), rows in snapshot.taints.items():
            if effect == "PreferNoSchedule" and rows.any() and not tolerates(pod.pod, Taint(key=key, value=value, effect=effect)):
                counts = (np.zeros(len(snapshot.alive), np.float64) if counts is None else counts) + rows
        pod.cache["PreferNoSchedule"] = (snapshot.generation, counts)
        return counts  # None: no node has any, so all are alike
