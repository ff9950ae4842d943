"""InterPodAffinity: pods that must or would rather be with, or away from, other pods of their domain.

Existing pods' wishes count as well: their required anti-affinity keeps others away, their other terms attract or repel.
Source: `plugins/interpodaffinity/{filtering,scoring}.go`.
"""

from __future__ import annotations

import numpy as np

from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Snapshot
from sampan.scheduler.world import What

AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"


class InterPodAffinity(Plugin):
    name = "InterPodAffinity"
    events: frozenset[What] = frozenset(("node", "pod added", "pod changed", "pod gone", "namespace"))

    def __init__(self, hard_weight: int = 1, *, ignore_existing: bool = False) -> None:
        self._hard_weight, self._ignore_existing = hard_weight, ignore_existing

    # filter

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        near = self._near(pod, snapshot) if pod.required else None
        away = self._away(pod, snapshot) if pod.anti else None
        unwelcome = self._unwelcome(pod, snapshot)
        if near is None and away is None and unwelcome is None:
            return None
        fits = np.ones(len(snapshot.alive), np.bool_) if near is None else near
        reasons = [] if near is None else [Reason(AFFINITY, ~near, resolvable=False)]
        for text, bad in ((ANTI_AFFINITY, away), (EXISTING, unwelcome)):
            if bad is not None:
                reasons.append(Reason(text, fits & bad, resolvable=True))
                fits = fits & ~bad
        return Verdict(fits, tuple(reasons))

    @staticmethod
    def _near(pod: Shape, snapshot: Snapshot) -> Mask:
        """bool[N]: for each term a pod that matches all of them is in the node's domain."""
        rows = snapshot.index.counter(pod.required).array(len(snapshot.alive)) > 0
        fits = np.ones(len(snapshot.alive), np.bool_)
        keyed = np.ones(len(snapshot.alive), np.bool_)
        any_counted = False
        for term in pod.required:
            has = snapshot.has_label(term.topology_key)
            any_counted = any_counted or bool((rows & has).any())
            keyed &= has
            fits &= snapshot.domain_any(term.topology_key, rows)
        if not any_counted and all(pod.matched_by(term, snapshot.world.namespace_labels) for term in pod.required):
            return keyed  # the first of a group that wants to be together may go anywhere
        return fits

    @staticmethod
    def _away(pod: Shape, snapshot: Snapshot) -> Mask | None:
        """bool[N]: a pod that one of the terms means is in the node's domain."""
        bad: Mask | None = None
        for term in pod.anti:
            counts = snapshot.index.counter((term,))
            if counts:
                found = snapshot.domain_any(term.topology_key, counts.array(len(snapshot.alive)) > 0)
                bad = found if bad is None else bad | found
        return bad

    @staticmethod
    def _unwelcome(pod: Shape, snapshot: Snapshot) -> Mask | None:
        """bool[N]: a pod in the node's domain does not want this one."""
        bad: Mask | None = None
        for term, counts in snapshot.index.anti.matching(pod.klass, snapshot.world.namespace_labels):
            found = snapshot.domain_any(term.topology_key, counts.array(len(snapshot.alive)) > 0)
            bad = found if bad is None else bad | found
        return bad

    # score

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        weights = self._weights(pod, snapshot)
        if not weights:
            return None
        raw = np.zeros(len(snapshot.alive), np.float64)
        for key, rows in weights.items():
            found = snapshot.domain_sums(key, rows)
            if found is not None:
                column, sums = found
                raw += np.where(column.ids >= 0, sums[column.ids], 0.0)
        values = raw[feasible]
        least, most = values.min(initial=np.inf), values.max(initial=-np.inf)
        if not most > least:
            return np.zeros_like(raw)
        out: Float = np.floor(100.0 * ((raw - least) / (most - least)))
        return out

    def _weights(self, pod: Shape, snapshot: Snapshot) -> dict[str, Float]:
        """Topology key → float[N] of what the pods of each row weigh for this pod."""
        out: dict[str, Float] = {}
        rows, labels, index = len(snapshot.alive), snapshot.world.namespace_labels, snapshot.index

        def add(key: str, amounts: Float) -> None:
            out[key] = out[key] + amounts if key in out else amounts

        for term, weight in pod.preferred:
            counts = index.counter((term,))
            if counts:
                add(term.topology_key, counts.array(rows) * np.float64(weight))
        if self._hard_weight and index.required:
            for term, counts in index.required.matching(pod.klass, labels):
                add(term.topology_key, counts.array(rows) * np.float64(self._hard_weight))
        if index.preferred and not (self._ignore_existing and not pod.preferred):
            for term, sums in index.preferred.matching(pod.klass, labels):
                add(term.topology_key, sums.array(rows).astype(np.float64))
        return out

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        other, labels = change.pod, snapshot.world.namespace_labels
        if change.what == "node":
            return self._moved(change, pod, snapshot) or super().helps(change, pod, snapshot)
        if other is None:
            return True
        if change.what == "pod changed":
            was: Shape = change.before
            came = bool(pod.required) and all(other.matched_by(term, labels) for term in pod.required)
            came = came and not all(was.matched_by(term, labels) for term in pod.required)
            return came or any(was.matched_by(term, labels) and not other.matched_by(term, labels) for term in pod.anti)
        if change.what == "pod added":
            return bool(pod.required) and all(other.matched_by(term, labels) for term in pod.required)
        return any(other.matched_by(term, labels) for term in pod.anti) or any(pod.matched_by(term, labels) for term in other.anti)

    @staticmethod
    def _moved(change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        """Whether a node, and the pods on it, are in another domain now, which may help on nodes of the one or the other."""
        after = snapshot.node(change.row).metadata.labels
        if change.before is None:
            return bool(pod.anti) or any(term.topology_key in after for term in pod.required)
        before = change.before.metadata.labels
        return (any(key in after and before.get(key) != after[key] for key in (term.topology_key for term in pod.required))
                or any(key in before and before[key] != after.get(key) for key in (term.topology_key for term in pod.anti)))
