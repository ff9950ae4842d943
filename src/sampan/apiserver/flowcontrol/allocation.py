"""Dividing the server's seats among priority levels: who may borrow how much of whom.

Source: KEP-1040, "Dispatching"; `k8s.io/apiserver/pkg/util/flowcontrol/conc_alloc.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_TARGET = 0.001
EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class Item:
    """One level: what it could use, and between which bounds it must stay."""

    target: float
    lower: float
    upper: float


def divide(total: int, items: Sequence[Item]) -> tuple[list[float], float]:
    """Seats for each, `total` together, and the fair fraction: everybody has that much of its target, or a bound.

    Raises:
        ValueError: The bounds leave no solution.
    """
    low, high = sum(item.lower for item in items), sum(item.upper for item in items)
    if total < 0 or low - total > EPSILON or total - high > EPSILON:
        raise ValueError(f"{total} seats can't be divided between bounds that sum to {low:g} and {high:g}")
    targets = [max(item.target, LEAST_TARGET) for item in items]
    if total == 0 or not items:
        return [0.0] * len(items), 0.0
    if low - total > -EPSILON:
        return [item.lower for item in items], min(item.lower / target for item, target in zip(items, targets, strict=True))
    if total - high > -EPSILON:
        return [item.upper for item in items], max(item.upper / target for item, target in zip(items, targets, strict=True))
    fraction = _fraction(total, items, targets)
    return [max(item.lower, min(item.upper, fraction * target)) for item, target in zip(items, targets, strict=True)], fraction


def _fraction(total: int, items: Sequence[Item], targets: Sequence[float]) -> float:
    """Where the sum of all, each held within its bounds, reaches `total`: it grows with the fraction, in straight pieces."""
    changes: list[tuple[float, float]] = []
    for item, target in zip(items, targets, strict=True):
        changes += [(item.lower / target, target), (item.upper / target, -target)]
    changes.sort()
    at, reached, slope = changes[0][0], sum(item.lower for item in items), 0.0
    for bound, change in changes:
        if slope > 0 and reached + (bound - at) * slope >= total:
            return at + (total - reached) / slope
        reached += (bound - at) * slope
        at, slope = bound, slope + change
    return at
