"""NodeResourcesBalancedAllocation: resources used in like shares are better; what counts is the pod's improvement.

Source: `plugins/noderesources/balanced_allocation.go` (since 1.35: half of the range, moved by the difference that the
pod makes).
"""

from __future__ import annotations

import numpy as np

from sampan.scheduler.dra.extended import shares_now
from sampan.scheduler.plugins.base import Plugin
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Int64, Rows, Snapshot


def balance(used: list[Int64], capacity: list[Int64]) -> Float:
    """float[N], whole: 100 where all shares are alike, less the larger their standard deviation."""
    shares: list[Float] = [np.minimum(one / np.maximum(most, 1), 1.0) for one, most in zip(used, capacity, strict=True)]
    has = [most > 0 for most in capacity]
    if len(shares) == 2:
        deviation: Float = np.where(has[0] & has[1], np.abs((shares[0] - shares[1]) / 2), 0.0)
    else:
        stacked, present = np.stack(shares), np.stack(has)
        count = present.sum(axis=0)
        some = np.maximum(count, 1)
        mean = np.where(present, stacked, 0.0).sum(axis=0) / some
        deviation = np.sqrt(np.where(present, (stacked - mean) ** 2, 0.0).sum(axis=0) / some)
        two = count == 2
        if two.any():
            highest = np.where(present, stacked, -np.inf).max(axis=0)
            lowest = np.where(present, stacked, np.inf).min(axis=0)
            deviation = np.where(two, np.abs((highest - lowest) / 2), deviation)
    out: Float = np.floor((1.0 - deviation) * 100.0)
    return out


class NodeResourcesBalancedAllocation(Plugin):
    name = "NodeResourcesBalancedAllocation"
    by_row = True

    def __init__(self, resources: tuple[str, ...] = ("cpu", "memory")) -> None:
        self._resources = resources

    def score_rows(self, pod: Shape, snapshot: Snapshot, rows: Rows) -> Float | None:
        if not any(pod.requests.get(name) for name in self._resources):
            return None
        before: list[Int64] = []
        after: list[Int64] = []
        capacity: list[Int64] = []
        for name in self._resources:
            asked = pod.requests.get(name, 0)
            if not asked and name not in ("cpu", "memory", "ephemeral-storage"):
                continue
            used, most = shares_now(snapshot, name, rows)
            before.append(used)
            after.append(used + asked)
            capacity.append(most)
        out: Float = 50.0 + np.trunc((50.0 + balance(after, capacity) - balance(before, capacity)) / 2)
        return out
