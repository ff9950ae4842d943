"""NodeAffinity: nodeSelector, required and preferred node affinity. Source: `plugins/nodeaffinity`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sampan.api import field
from sampan.api.core.v1 import NodeSelector, PreferredSchedulingTerm
from sampan.scheduler.nodeselect import named_nodes, selector_rows, term_errors, term_rows, wanted_rows
from sampan.scheduler.normalize import to_hundred
from sampan.scheduler.plugins.base import Change, Narrowed, Plugin, PluginError, Reason, Rejected, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Snapshot
from sampan.scheduler.world import What

MISMATCH = "node(s) didn't match Pod's node affinity/selector"
CONFLICT = "pod affinity terms conflict"


class NodeAffinity(Plugin):
    """`added` and `preferred` are the profile's own affinity (NodeAffinityArgs.addedAffinity)."""

    name = "NodeAffinity"
    static = True
    events: frozenset[What] = frozenset(("node",))

    def __init__(self, added: NodeSelector | None = None, preferred: Sequence[PreferredSchedulingTerm] = ()) -> None:
        self._added, self._preferred = added, preferred

    def prefilter(self, pod: Shape, snapshot: Snapshot) -> Rejected | Narrowed | None:
        named = named_nodes(pod)
        if named is None:
            return None
        if not named:
            return Rejected(CONFLICT)
        rows = np.zeros(len(snapshot.alive), np.bool_)
        rows[[snapshot.rows[name] for name in named if name in snapshot.rows]] = True
        return Narrowed(rows)

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        reasons: list[Reason] = []
        fits = np.ones(len(snapshot.alive), np.bool_)
        if self._added is not None:
            fits = selector_rows(snapshot, self._added)
            reasons.append(Reason("node(s) didn't match scheduler-enforced node affinity", ~fits, resolvable=False))
        wanted = wanted_rows(pod, snapshot)
        if wanted is None and not reasons:
            return None
        if wanted is not None:
            reasons.append(Reason(MISMATCH, fits & ~wanted, resolvable=False))
            fits &= wanted
        return Verdict(fits, tuple(reasons))

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        return change.relabelled(snapshot) and super().helps(change, pod, snapshot)

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        affinity = pod.pod.spec.affinity
        own = affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution if affinity is not None and affinity.nodeAffinity is not None else ()
        if not own and not self._preferred:
            return None
        known = pod.cache.get("preferred nodes")
        if known is None or known[0] != snapshot.generation:
            if errors := [error for index, one in enumerate(own) if one.weight for error in term_errors(one.preference, f"[{index}]")]:
                raise PluginError(f'running PreScore plugin "{self.name}": {field.aggregate(errors)}')
            raw = np.zeros(len(snapshot.alive), np.float64)
            for one in (*self._preferred, *own):
                if one.weight:
                    raw += one.weight * term_rows(snapshot, one.preference)
            known = pod.cache["preferred nodes"] = (snapshot.generation, raw)
        return to_hundred(known[1], feasible)
