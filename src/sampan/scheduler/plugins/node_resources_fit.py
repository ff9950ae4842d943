"""NodeResourcesFit: what is requested must be free; the emptier (or fuller) node is better.

Source: `plugins/noderesources/{fit,resource_allocation,least_allocated,most_allocated,requested_to_capacity_ratio}.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sampan.api.resources import DEVICE_CLASSES
from sampan.kinds.core.pod import amounts
from sampan.scheduler.dra.extended import shares_now
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.room import lacking
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Int64, Mask, Rows, Snapshot
from sampan.scheduler.world import CLASS_PREFIX, What

StrategyType = Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]


@dataclass(frozen=True)
class Strategy:
    """How full nodes are judged. `points` are (utilization in percent, score 0 to 10) of the broken line."""

    type: StrategyType = "LeastAllocated"
    resources: tuple[tuple[str, int], ...] = (("cpu", 1), ("memory", 1))
    points: tuple[tuple[int, int], ...] = ()


def fit_mask(requests: Int64, free: Int64) -> Mask:
    """Mark the nodes on which one pod fits.

    Args:
        requests: int64[R] in `Snapshot.columns` order: milli-CPU, bytes, then counts.
        free: int64[R, N], same units; negative where a node is overcommitted.

    Returns:
        bool[N]. A resource the pod does not request never excludes a node.

    Raises:
        ValueError: The two arrays disagree on R.

    Source: kube-scheduler `noderesources/fit.go`, `fitsRequest`.
    """
    if requests.shape[0] != free.shape[0]:
        raise ValueError(f"{requests.shape[0]} requests for {free.shape[0]} columns")
    mask: Mask = np.ones(free.shape[1], np.bool_)
    for index in np.flatnonzero(requests):
        mask &= free[index] >= requests[index]
    return mask


def used_shares(pod: Shape, snapshot: Snapshot, resource: str, rows: Rows) -> tuple[Int64, Int64] | None:
    """(used with the pod, capacity) of these rows; None: the resource does not count for this pod.

    CPU and memory count with stand-ins for containers that ask for nothing; what a pod asks for as a whole counts once
    it is there, not while it looks for a place.
    """
    if resource in ("cpu", "memory"):
        index = 0 if resource == "cpu" else 1
        return snapshot.scoring[index, rows] + pod.asking.get(resource, 0), snapshot.allocatable[index, rows]
    asked = pod.asking.get(resource, 0)
    # a resource that few nodes have counts only for the pods that want it
    if not asked and resource not in ("cpu", "memory", "ephemeral-storage"):
        return None
    used, capacity = shares_now(snapshot, resource, rows)
    return used + asked, capacity


class NodeResourcesFit(Plugin):
    name = "NodeResourcesFit"
    by_row = True
    events: frozenset[What] = frozenset(("node", "pod gone", "pod changed", "device class"))

    def __init__(self, strategy: Strategy = Strategy(), ignored: frozenset[str] = frozenset(), ignored_groups: frozenset[str] = frozenset()) -> None:
        self._strategy, self._ignored, self._groups = strategy, ignored, ignored_groups

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        wanted = self._wanted(pod, snapshot)
        lacks = lacking(snapshot, pod.priority, tuple((index, amount) for _, index, amount in wanted))
        fits: Mask | None = None
        reasons: list[Reason] = []
        for (name, index, amount), lack in zip(wanted, lacks, strict=True):
            short: Mask = lack
            if name in pod.extended and name in snapshot.world.device_class_of:
                short = lack & (snapshot.allocatable[index] > 0)  # where a node has none of it, DynamicResources has the say
            if not short.any():
                continue
            fits = ~short if fits is None else fits & ~short
            reasons += self._reasons(name, amount, short, snapshot.allocatable[index])
        return Verdict(fits, tuple(reasons)) if fits is not None else None

    @staticmethod
    def _reasons(name: str, amount: int, short: Mask, capacity: Int64) -> list[Reason]:
        if name == "pods":
            return [Reason("Too many pods", short, resolvable=True)]
        never = capacity < amount  # what the empty node does not have either, no preemption can give
        text = f"Insufficient {name}"
        return [Reason(text, short & never, resolvable=False), Reason(text, short & ~never, resolvable=True)]

    def _wanted(self, pod: Shape, snapshot: Snapshot) -> list[tuple[str, int, int]]:
        out = [("pods", 3, 1)]
        for name, amount in pod.requests.items():
            if amount > 0 and not self._ignores(name):
                out.append((name, snapshot.column(name), amount))
        return out

    def _ignores(self, name: str) -> bool:
        return name in self._ignored or ("/" in name and name.split("/", 1)[0] in self._groups)

    def score_rows(self, pod: Shape, snapshot: Snapshot, rows: Rows) -> Float | None:
        parts = []
        for resource, weight in self._strategy.resources:
            shares = used_shares(pod, snapshot, resource, rows)
            if shares is not None:
                parts.append((*shares, weight))
        if self._strategy.type == "RequestedToCapacityRatio":
            return _ratio(parts, self._strategy.points, len(snapshot.alive[rows]))
        total = np.zeros(len(snapshot.alive[rows]), np.int64)
        weights = np.zeros_like(total)
        for used, capacity, weight in parts:  # where a node has none of it, nothing is free, nothing is used of it
            part = np.maximum(capacity - used, 0) if self._strategy.type == "LeastAllocated" else np.minimum(used, capacity)
            part *= 100
            part //= np.maximum(capacity, 1)
            part *= weight
            total += part
            weights += (capacity > 0) * weight
        total //= np.maximum(weights, 1)
        return total.astype(np.float64)

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.what == "device class":
            found = snapshot.world.get(DEVICE_CLASSES, change.key[1])
            return found is not None and not pod.extended.isdisjoint((found.spec.extendedResourceName, CLASS_PREFIX + found.metadata.name))
        if change.row < 0 or not snapshot.alive[change.row]:
            return True
        if change.what == "node":
            return self._grew(change, pod, snapshot)
        assert change.pod is not None
        if change.what == "pod changed":
            return any(change.before.requests.get(name, 0) > change.pod.requests.get(name, 0) for name, _, _ in self._wanted(pod, snapshot))
        return self._freed(change.pod, change, pod, snapshot)

    def _grew(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        """Whether the pod fits the node when that is empty, and did not, or the node has more of something: others may have to go."""
        before = amounts(change.before.status.allocatable) if change.before is not None else None
        more = before is None
        for name, index, amount in self._wanted(pod, snapshot):
            has = int(snapshot.allocatable[index, change.row])
            by_devices = not has and name in pod.extended and name in snapshot.world.device_class_of
            if has < amount and not by_devices:
                return False
            more = more or by_devices or (before is not None and has > before.get(name, 0))
        return more

    def _freed(self, gone: Shape, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        """Whether anything about the row is different for the pod now: it fits, is short of less, or can make room where it could not."""
        row, lower, fits, possible = change.row, 0, True, True
        levels = [] if change.kept else [level for priority, level in snapshot.levels.items() if priority >= pod.priority]
        below = [level for priority, level in snapshot.by_priority.items() if priority < pod.priority]
        for name, index, amount in self._wanted(pod, snapshot):
            has = int(snapshot.allocatable[index, row])
            if not has and name in pod.extended and name in snapshot.world.device_class_of:
                continue
            free = has - int(snapshot.requested[index, row]) - sum(int(level[index, row]) for level in levels)
            removable = sum(int(level[index, row]) for level in below)
            lower = removable if name == "pods" else lower
            freed = 1 if name == "pods" else gone.requests.get(name, 0)
            if free - freed < amount <= free:
                return True
            fits, possible = fits and free >= amount, possible and free + removable >= amount
        if change.kept and not fits:  # the last of those that had to go: somebody more important has had the room
            return all(one.live or one.shape.priority >= pod.priority for one in snapshot.pods_on[row].values())
        if fits or change.held or pod.pod.spec.preemptionPolicy == "Never":
            return fits
        return possible and lower > 0 if gone.priority >= pod.priority else not lower


def broken_line(points: Sequence[tuple[int, int]], utilization: Int64) -> Int64:
    """int64[N]: the score 0 to 100 at each utilization; whole-number steps cut towards zero, as Go does."""
    xs = [x for x, _ in points]
    ys = [y * 10 for _, y in points]
    out = np.full(len(utilization), ys[-1], np.int64)
    for index in range(len(points) - 1, -1, -1):
        below = utilization <= xs[index]
        if index == 0:
            value: Int64 = np.full(len(utilization), ys[0], np.int64)
        else:
            rise, run = ys[index] - ys[index - 1], xs[index] - xs[index - 1]
            step = rise * (utilization - xs[index - 1])
            value = ys[index - 1] + np.sign(step) * (np.abs(step) // run)
        out = np.where(below, value, out)
    return out


def _ratio(parts: Sequence[tuple[Int64, Int64, int]], points: tuple[tuple[int, int], ...], rows: int) -> Float:
    total, weights = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for used, capacity, weight in parts:
        full = (capacity == 0) | (used > capacity)
        utilization = np.where(full, 100, used * 100 // np.maximum(capacity, 1))
        part = broken_line(points, utilization)
        counts = part > 0
        total += np.where(counts, part * weight, 0)
        weights += np.where(counts, weight, 0)
    out: Float = np.floor(total / np.maximum(weights, 1) + 0.5)
    return out
