"""What is free on the rows for pods of one priority: kept current row by row, since few rows change between two attempts.

Owns the sums over what runs, what is nominated and how important it is. Leaves what a pod asks for to those who compare.
Source: kube-scheduler `framework/runtime/framework.go` (RunFilterPluginsWithNominatedPods), `framework/preemption`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from sampan.scheduler.kept import kept
from sampan.scheduler.snapshot import Int64, Mask, Rows, Snapshot


def free(snapshot: Snapshot, priority: int, rows: Rows = slice(None)) -> Int64:
    """int64[R, rows] of what is free, room that is kept for pods at least as important taken off."""
    out: Int64 = snapshot.allocatable[:, rows] - snapshot.requested[:, rows]
    for other, level in snapshot.levels.items():
        if other >= priority:
            out -= level[:, rows]
    return out


def lacking(snapshot: Snapshot, priority: int, wanted: tuple[tuple[int, int], ...]) -> Mask:
    """bool[K, N] of the rows with a node where less than (column, amount) is free, for K of these; shared, so read-only."""
    def made(rows: Rows) -> Mask:
        left, alive = free(snapshot, priority, rows), snapshot.alive[rows]
        out = np.empty((len(wanted), len(alive)), np.bool_)
        for lacks, (index, amount) in zip(out, wanted, strict=True):
            np.less(left[index], amount, out=lacks)
        out &= alive
        return out

    out: Mask = kept(snapshot, "lacking", (priority, wanted), made)
    return out


def emptied(snapshot: Snapshot, priority: int) -> Int64:
    """int64[R, N], the same once every less important pod is gone; shared, so read-only."""
    out: Int64 = kept(snapshot, "emptied", priority, partial(_emptied, snapshot, priority))
    return out


def _emptied(snapshot: Snapshot, priority: int, rows: Rows) -> Int64:
    out = free(snapshot, priority, rows)
    for other, level in snapshot.by_priority.items():
        if other < priority:
            out += level[:, rows]
    return out
