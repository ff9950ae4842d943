"""TaintToleration: taints that a pod does not tolerate keep it away or make a node worse.

Source: `plugins/tainttoleration`.
"""

from __future__ import annotations

import numpy as np

from sampan.api.core.v1 import Taint
from sampan.kinds.core.pod import tolerates
from sampan.scheduler.plugins.base import Reason, Verdict
from sampan.scheduler.plugins.normalize import reversed_to_hundred
from sampan.scheduler.snapshot import Float, Mask, PodShape, Snapshot


class TaintToleration:
    name = "TaintToleration"

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        bad = np.zeros(len(snapshot.alive), np.bool_)
        for (key, value, effect), rows in snapshot.taints.items():
            if effect in ("NoSchedule", "NoExecute") and rows.any() and not tolerates(pod.pod, Taint(key=key, value=value, effect=effect)):
                bad |= rows
        if not bad.any():
            return None
        return Verdict(~bad, (Reason("node(s) had untolerated taint(s)", bad, resolvable=False),))

    def score(self, pod: PodShape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        count = np.zeros(len(snapshot.alive), np.float64)
        for (key, value, effect), rows in snapshot.taints.items():
            if effect == "PreferNoSchedule" and not tolerates(pod.pod, Taint(key=key, value=value, effect=effect)):
                count += rows
        return reversed_to_hundred(count, feasible)
