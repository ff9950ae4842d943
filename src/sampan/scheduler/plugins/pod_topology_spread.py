"""PodTopologySpread: pods that a selector means are spread over zones, hosts or any other domain.

Hard constraints keep the skew, soft ones score; pods without either that belong to a Service or workload are spread
by the profile's defaults. Source: `plugins/podtopologyspread/{filtering,scoring,common,plugin}.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sampan.api.resources import REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICES, STATEFUL_SETS
from sampan.api.selectors import NOTHING, Requirement, Selector, SelectorError, of_label_selector, of_set
from sampan.scheduler.nodeselect import wanted_rows
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape, Spread, Term
from sampan.scheduler.snapshot import Float, Int64, Mask, Snapshot
from sampan.scheduler.taints import untolerated
from sampan.scheduler.world import What

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
MISSING_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
SKEWED = "node(s) didn't match pod topology spread constraints"


@dataclass(frozen=True)
class DefaultSpread:
    """A default constraint of the profile; which pods count is found out per pod."""

    topology_key: str
    max_skew: int
    hard: bool = False


SYSTEM_DEFAULTS = (DefaultSpread(HOSTNAME, 3), DefaultSpread(ZONE, 5))


class PodTopologySpread(Plugin):
    name = "PodTopologySpread"
    events: frozenset[What] = frozenset(("node", "node gone", "pod added", "pod changed", "pod gone"))
    knows_taints = True

    def __init__(self, defaults: tuple[DefaultSpread, ...] = SYSTEM_DEFAULTS) -> None:
        self._defaults, self._system = defaults, defaults is SYSTEM_DEFAULTS

    # filter

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        spreads = self._spreads(pod, snapshot, hard=True)
        if not spreads:
            return None
        complete = self._complete(spreads, snapshot)
        fits = np.ones(len(snapshot.alive), np.bool_)
        missing, skewed = np.zeros_like(fits), np.zeros_like(fits)
        for one in spreads:
            has = snapshot.has_label(one.topology_key)
            missing |= fits & ~has
            fits &= has
            bad = fits & self._too_many(one, pod, snapshot, complete)
            skewed |= bad
            fits &= ~bad
        return Verdict(fits, (Reason(MISSING_LABEL, missing, resolvable=False), Reason(SKEWED, skewed, resolvable=True)))

    def _too_many(self, one: Spread, pod: Shape, snapshot: Snapshot, complete: Mask) -> Mask:
        counted = self._counted(one, pod, snapshot, complete & snapshot.alive)
        column = snapshot.labels.get(one.topology_key)
        if column is None or not counted.any():
            return np.zeros(len(snapshot.alive), np.bool_)
        size = len(column.values) + 1
        rows = snapshot.index.counter((one.term,), live=True).array(len(snapshot.alive))
        inside = column.ids[counted]
        sums = np.bincount(inside, weights=rows[counted], minlength=size)
        present = np.zeros(size, np.bool_)
        present[inside] = True
        least = sums[present].min()
        if int(present.sum()) < one.min_domains:
            least = 0
        own = 1 if pod.matched_by(one.term, snapshot.world.namespace_labels) else 0
        bad = sums + (own - least) > one.max_skew
        out: Mask = bad[column.ids]
        return out

    @staticmethod
    def _complete(spreads: tuple[Spread, ...], snapshot: Snapshot) -> Mask:
        out = np.ones(len(snapshot.alive), np.bool_)
        for one in spreads:
            out &= snapshot.has_label(one.topology_key)
        return out

    @staticmethod
    def _counted(one: Spread, pod: Shape, snapshot: Snapshot, rows: Mask) -> Mask:
        """The rows of `rows` that the constraint's policies count."""
        if one.honor_affinity and (wanted := wanted_rows(pod, snapshot)) is not None:
            rows = rows & wanted
        if one.honor_taints:
            rows = rows & ~untolerated(pod, snapshot)
        return rows

    # score

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        spreads = self._spreads(pod, snapshot, hard=False)
        if not spreads:
            return None
        strict = bool(pod.soft_spread) or not self._system
        complete = self._complete(spreads, snapshot) if strict else snapshot.alive
        judged = feasible & complete
        raw = np.zeros(len(snapshot.alive), np.float64)
        for one in spreads:
            raw += self._raw(one, pod, snapshot, judged, complete)
        raw = np.floor(raw + 0.5)
        values = raw[judged]
        if not len(values):
            return np.zeros_like(raw)
        most, least = values.max(), values.min()
        out: Float = np.full_like(raw, 100.0) if most == 0 else np.floor(100.0 * (most + least - raw) / most)
        return np.where(judged, out, 0.0)

    def _raw(self, one: Spread, pod: Shape, snapshot: Snapshot, judged: Mask, complete: Mask) -> Float:
        rows: Int64 = snapshot.index.counter((one.term,), live=True).array(len(snapshot.alive))
        has = snapshot.has_label(one.topology_key)
        if one.topology_key == HOSTNAME:
            weight = np.log(int(judged.sum()) + 2)
            out: Float = np.where(has, rows * weight + (one.max_skew - 1), 0.0)
            return out
        column = snapshot.labels.get(one.topology_key)
        # a node without the label is, among the defaults, in the domain of no name
        ids = column.ids if column is not None else np.full(len(snapshot.alive), -1, np.int32)
        size = (len(column.values) if column is not None else 0) + 1
        counted = self._counted(one, pod, snapshot, complete & snapshot.alive)
        sums = np.bincount(ids[counted] + 1, weights=rows[counted], minlength=size)
        weight = np.log(len(np.unique(ids[judged])) + 2)
        return np.where(has, sums[ids + 1] * weight + (one.max_skew - 1), 0.0)

    # which constraints

    def _spreads(self, pod: Shape, snapshot: Snapshot, *, hard: bool) -> tuple[Spread, ...]:
        if pod.hard_spread or pod.soft_spread:
            return pod.hard_spread if hard else pod.soft_spread
        wanted = [one for one in self._defaults if one.hard == hard]
        if not wanted:
            return ()
        version = snapshot.world.version(SERVICES, REPLICATION_CONTROLLERS, REPLICA_SETS, STATEFUL_SETS)
        known = pod.cache.get("default spread")
        if known is None or known[0] != version:
            known = pod.cache["default spread"] = (version, default_selector(pod, snapshot))
        selector: Selector = known[1]
        if selector.empty or selector.nothing:
            return ()
        term = Term("", selector, frozenset((pod.namespace,)))
        return tuple(Spread(one.topology_key, one.max_skew, replace(term, topology_key=one.topology_key)) for one in wanted)

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        spreads = self._spreads(pod, snapshot, hard=True)
        if change.what in ("node", "node gone"):
            keys = [one.topology_key for one in spreads]
            before = change.before.metadata.labels if change.before is not None else {}
            after = snapshot.node(change.row).metadata.labels if change.what == "node" else {}
            was, now = all(key in before for key in keys), all(key in after for key in keys)
            retainted = change.before is not None and now and change.before.spec.taints != snapshot.node(change.row).spec.taints
            return was != now or retainted or (now and any(before.get(key) != after[key] for key in keys))
        labels = snapshot.world.namespace_labels
        assert change.pod is not None
        if change.what == "pod changed":
            return any(change.pod.matched_by(one.term, labels) != change.before.matched_by(one.term, labels) for one in spreads)
        return any(change.pod.matched_by(one.term, labels) for one in spreads)


def default_selector(pod: Shape, snapshot: Snapshot) -> Selector:
    """What the Services and the workload of a pod select, together; nothing when there is neither.

    Source: `plugins/helper/spread.go`.
    """
    world = snapshot.world
    found: set[Requirement] = set()
    for service in world.of_namespace(SERVICES, pod.namespace):
        selector = of_set(service.spec.selector)
        if service.spec.selector and selector.matches(pod.labels):
            found |= set(selector.requirements)
    owner = pod.controller
    if owner is not None:
        found |= set(_owner_selector(pod, owner.kind, owner.name, snapshot).requirements)
    return Selector(found) if found else NOTHING


def _owner_selector(pod: Shape, kind: str, name: str, snapshot: Snapshot) -> Selector:
    world = snapshot.world
    if kind == "ReplicationController":
        controller = world.get(REPLICATION_CONTROLLERS, name, pod.namespace)
        return of_set(controller.spec.selector) if controller is not None else NOTHING
    workload = (world.get(REPLICA_SETS, name, pod.namespace) if kind == "ReplicaSet"
                else world.get(STATEFUL_SETS, name, pod.namespace) if kind == "StatefulSet" else None)
    if workload is None:
        return NOTHING
    try:
        return of_label_selector(workload.spec.selector)
    except SelectorError:
        return NOTHING
