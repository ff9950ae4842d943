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


def balance(used: Int64, capacity: Int64) -> Float:
    """float[..., N], whole: 100 where all shares are alike, less the larger their standard deviation.

    Args:
        used: int64[..., K, N] of K resources.
        capacity: int64[K, N]; a node that has none of a resource is judged by the others.
    """
    shares: Float = used / np.maximum(capacity, 1)
    np.minimum(shares, 1.0, out=shares)
    has = capacity > 0
    deviation: Float
    if len(capacity) == 2:
        deviation = np.abs(shares[..., 0, :] - shares[..., 1, :])
        deviation /= 2.0
        deviation *= has[0] & has[1]
    else:
        count = has.sum(axis=0)
        some = np.maximum(count, 1)
        mean = np.where(has, shares, 0.0).sum(axis=-2) / some
        deviation = np.sqrt(np.where(has, (shares - mean[..., None, :]) ** 2, 0.0).sum(axis=-2) / some)
        two = count == 2
        if two.any():
            highest = np.where(has, shares, -np.inf).max(axis=-2)
            lowest = np.where(has, shares, np.inf).min(axis=-2)
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
        counted = [(name, asked) for name in self._resources
                   if (asked := pod.requests.get(name, 0)) or name in ("cpu", "memory", "ephemeral-storage")]
        used: Int64 = np.empty((2, len(counted), len(snapshot.alive[rows])), np.int64)  # without the pod, and with it
        capacity = np.empty_like(used[0])
        for index, (name, asked) in enumerate(counted):
            used[:, index], capacity[index] = shares_now(snapshot, name, rows)
            used[1, index] += asked
        before, after = balance(used, capacity)
        out: Float = 50.0 + np.trunc((50.0 + after - before) / 2)
        return out
