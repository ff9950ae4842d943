"""NodeResourcesBalancedAllocation: CPU and memory used in like shares is better; the score is the improvement.

Source: `plugins/noderesources/balanced_allocation.go` (1.36: the difference that the pod makes).
"""

from __future__ import annotations

import numpy as np

from sampan.scheduler.snapshot import Float, Int64, Mask, PodShape, Snapshot


def imbalance(used: Int64, capacity: Int64) -> Float:
    """float[N]: the standard deviation of the used shares; of two shares that is half their difference."""
    share = np.minimum(used / np.maximum(capacity, 1), 1.0)
    out: Float = np.abs(share[:, 0] - share[:, 1]) / 2
    return out


class BalancedAllocation:
    name = "NodeResourcesBalancedAllocation"

    def score(self, pod: PodShape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        if not pod.requests.get("cpu") and not pod.requests.get("memory"):
            return None
        capacity = snapshot.allocatable[:, :2]
        with_pod = imbalance(snapshot.requested[:, :2] + np.array([pod.requests.get("cpu", 0), pod.requests.get("memory", 0)]), capacity)
        out: Float = np.floor((1.0 - with_pod) * 100.0)
        return out
