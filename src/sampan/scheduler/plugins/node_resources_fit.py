"""NodeResourcesFit: what is requested must be free; the emptier (or fuller) node is better.

Source: `plugins/noderesources/{fit,least_allocated,most_allocated}.go`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from sampan.scheduler.plugins.base import Reason, Verdict
from sampan.scheduler.snapshot import Float, Int64, Mask, PodShape, Snapshot


def fit_mask(requests: Int64, free: Int64) -> Mask:
    """Mark the nodes on which one pod fits.

    Args:
        requests: int64[R] in `Snapshot.columns` order: milli-CPU, bytes, then counts.
        free: int64[N, R], same units; negative where a node is overcommitted.

    Returns:
        bool[N]. A resource the pod does not request never excludes a node.

    Raises:
        ValueError: The two arrays disagree on R.

    Source: kube-scheduler `noderesources/fit.go`, `fitsRequest`.
    """
    if requests.shape[0] != free.shape[1]:
        raise ValueError(f"{requests.shape[0]} requests for {free.shape[1]} columns")
    wanted = np.flatnonzero(requests)
    mask: Mask = np.all(free[:, wanted] >= requests[wanted], axis=1)
    return mask


class NodeResourcesFit:
    name = "NodeResourcesFit"

    def __init__(self, strategy: Literal["LeastAllocated", "MostAllocated"] = "LeastAllocated",
                 weights: tuple[int, int] = (1, 1)) -> None:
        self._strategy, self._weights = strategy, weights

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        wanted = snapshot.vector(pod)
        free = snapshot.allocatable - snapshot.requested
        fits = fit_mask(wanted, free)
        if fits[snapshot.alive].all():
            return None
        reasons = []
        for name, index in snapshot.columns.items():
            if not wanted[index]:
                continue
            short = free[:, index] < wanted[index]
            if not short.any():
                continue
            # what the empty node does not have either, no preemption can give
            never = snapshot.allocatable[:, index] < wanted[index]
            text = "Too many pods" if name == "pods" else f"Insufficient {name}"
            reasons += [Reason(text, short & never, resolvable=False), Reason(text, short & ~never, resolvable=True)]
        return Verdict(fits, tuple(reasons))

    def score(self, pod: PodShape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        capacity = snapshot.allocatable[:, :2]
        used = snapshot.scoring + np.array(pod.scoring, np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self._strategy == "LeastAllocated":
                part = np.where((capacity > 0) & (used <= capacity), (capacity - used) * 100 // np.maximum(capacity, 1), 0)
            else:
                part = np.where(capacity > 0, np.minimum(used, capacity) * 100 // np.maximum(capacity, 1), 0)
        weights = np.where(capacity > 0, np.array(self._weights), 0)
        total = weights.sum(axis=1)
        out: Float = ((part * weights).sum(axis=1) // np.maximum(total, 1)).astype(np.float64)
        return out
