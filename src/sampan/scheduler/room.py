"""What is free on the rows for pods of one priority: kept current row by row, since few rows change between two attempts.

Owns the sums over what runs, what is nominated and how important it is. Leaves what a pod asks for to those who compare.
Source: kube-scheduler `framework/runtime/framework.go` (RunFilterPluginsWithNominatedPods), `framework/preemption`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sampan.scheduler.snapshot import Int64, Snapshot

MOST_KEPT = 16
Rows = slice | list[int]


def free(snapshot: Snapshot, priority: int) -> Int64:
    """int64[R, N] of what is free, room that is kept for pods at least as important taken off; shared, so read-only."""
    return _kept(snapshot, "free", priority, _free)


def emptied(snapshot: Snapshot, priority: int) -> Int64:
    """The same once every less important pod is gone."""
    return _kept(snapshot, "emptied", priority, _emptied)


def _kept(snapshot: Snapshot, what: str, priority: int, made: Callable[[Snapshot, int, Rows], Int64]) -> Int64:
    tables: dict[int, tuple[int, Int64]] = snapshot.memory.setdefault(what, {})
    known = tables.pop(priority, None)
    rows = snapshot.touched_since(known[0]) if known is not None else None
    if known is None or rows is None:
        table = made(snapshot, priority, slice(None))
    else:
        table = known[1]
        if rows:
            table[:, rows] = made(snapshot, priority, rows)
    tables[priority] = (snapshot.moment, table)  # the last are those that were used last
    if len(tables) > MOST_KEPT:
        del tables[next(iter(tables))]
    return table


def _free(snapshot: Snapshot, priority: int, rows: Any) -> Int64:
    out: Int64 = snapshot.allocatable[:, rows] - snapshot.requested[:, rows]
    for other, level in snapshot.levels.items():
        if other >= priority:
            out -= level[:, rows]
    return out


def _emptied(snapshot: Snapshot, priority: int, rows: Any) -> Int64:
    out = _free(snapshot, priority, rows)
    for other, level in snapshot.by_priority.items():
        if other < priority:
            out += level[:, rows]
    return out
