"""Taints over the columns: which rows have one that a pod does not tolerate."""

from __future__ import annotations

import numpy as np

from sampan.api.core.v1 import Taint
from sampan.kinds.core.pod import tolerates
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Mask, Snapshot

KEEP_AWAY = ("NoSchedule", "NoExecute")


def untolerated(pod: Shape, snapshot: Snapshot) -> Mask:
    """bool[N] of the nodes with a taint that keeps the pod away, not to be changed."""
    known = pod.cache.get("untolerated")
    if known is not None and known[0] == snapshot.generation:
        found: Mask = known[1]
        return found
    bad = np.zeros(len(snapshot.alive), np.bool_)
    for (key, value, effect), rows in snapshot.taints.items():
        if effect in KEEP_AWAY and rows.any() and not tolerates(pod.pod, Taint(key=key, value=value, effect=effect)):
            bad |= rows
    pod.cache["untolerated"] = (snapshot.generation, bad)
    return bad
