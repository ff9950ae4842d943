"""One scheduling cycle: a pod's shape and the columns in, a node or the reasons out. Pure.

Source: kube-scheduler `schedule_one.go`, `framework/types.go` (FitError).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sampan.scheduler.plugins.base import Filter, Reason, Score
from sampan.scheduler.snapshot import Mask, PodShape, Snapshot

NO_VICTIMS = "No preemption victims found for incoming pod."
NOT_HELPFUL = "Preemption is not helpful for scheduling."


@dataclass(frozen=True)
class Profile:
    """A scheduler's plugins and weights under its name."""

    name: str
    filters: Sequence[Filter]
    scores: Sequence[tuple[Score, int]]


@dataclass(frozen=True)
class Placed:
    """The pod goes to this row."""

    row: int


@dataclass(frozen=True)
class Refused:
    """No node fits: upstream's words, and which plugins said no."""

    message: str
    plugins: frozenset[str] = field(default=frozenset())


def schedule(pod: PodShape, snapshot: Snapshot, profile: Profile, start: int = 0) -> Placed | Refused:
    """Find the best node.

    Args:
        pod: What is to be placed.
        snapshot: Not changed.
        profile: Which plugins to ask.
        start: Among equals the first row at or after this one wins, so that ties go round.
    """
    if not len(snapshot):
        return Refused("no nodes available to schedule pods")
    feasible, reasons, plugins = _filter(pod, snapshot, profile)
    if not feasible.any():
        return Refused(_message(pod, snapshot, reasons), plugins)
    rows = np.flatnonzero(feasible)
    if len(rows) == 1:
        return Placed(int(rows[0]))
    total = np.zeros(len(snapshot.alive), np.float64)
    for plugin, weight in profile.scores:
        found = plugin.score(pod, snapshot, feasible)
        if found is not None:
            total += weight * found
    best = rows[total[rows] == total[rows].max()]
    after = best[best >= start]
    return Placed(int(after[0] if len(after) else best[0]))


def _filter(pod: PodShape, snapshot: Snapshot, profile: Profile) -> tuple[Mask, list[tuple[Reason, Mask]], frozenset[str]]:
    """The feasible rows; each reason with the rows that it is the first to exclude; the plugins that excluded any."""
    feasible = snapshot.alive.copy()
    reasons: list[tuple[Reason, Mask]] = []
    plugins: set[str] = set()
    for plugin in profile.filters:
        verdict = plugin.filter(pod, snapshot)
        if verdict is None:
            continue
        lost = feasible & ~verdict.fits
        if lost.any():
            plugins.add(plugin.name)
            reasons += [(reason, lost & reason.rows) for reason in verdict.reasons]
            feasible &= verdict.fits
    return feasible, reasons, frozenset(plugins)


def _message(pod: PodShape, snapshot: Snapshot, reasons: Sequence[tuple[Reason, Mask]]) -> str:
    total = len(snapshot)
    counts: Counter[str] = Counter()
    hopeless = np.zeros(len(snapshot.alive), np.bool_)
    for reason, rows in reasons:
        counts[reason.text] += int(rows.sum())
        if not reason.resolvable:
            hopeless |= rows
    texts = sorted(f"{count} {text}" for text, count in counts.items() if count)
    message = f"0/{total} nodes are available: {', '.join(texts)}. no new claims to deallocate, preemption: "
    if pod.pod.spec.preemptionPolicy == "Never":
        return message + "not eligible due to preemptionPolicy=Never."
    helpless = int(hopeless.sum())
    parts = sorted(f"{count} {text.rstrip('.')}" for text, count in ((NO_VICTIMS, total - helpless), (NOT_HELPFUL, helpless)) if count)
    return f"{message}0/{total} nodes are available: {', '.join(parts)}."
