"""PodTopologySpread: pods that a selector means are spread over zones, hosts or any other domain.

Hard constraints keep the skew, soft ones score; pods without either that belong to a Service or workload are spread
by the profile's defaults. Source: `plugins/podtopologyspread/{filtering,scoring,common,plugin}.go`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sampan.api.resources import REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICES, STATEFUL_SETS
from sampan.api.selectors import NOTHING, Requirement, Selector, SelectorError, of_label_selector, of_set
from sampan.scheduler.domains import HOSTNAME, Domains, spreading
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Verdict
from sampan.scheduler.shape import Shape, Spread, Term
from sampan.scheduler.snapshot import Float, Mask, Snapshot
from sampan.scheduler.world import What

ZONE = "topology.kubernetes.io/zone"
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
        self._hard, self._soft = tuple(one for one in defaults if one.hard), tuple(one for one in defaults if not one.hard)
        self._system = defaults is SYSTEM_DEFAULTS

    # filter

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        spreads = self._spreads(pod, snapshot, hard=True)
        if not spreads:
            return None
        fits = np.ones(len(snapshot.alive), np.bool_)
        missing, skewed = np.zeros_like(fits), np.zeros_like(fits)
        for one in spreading(pod, snapshot, spreads, hard=True).parts:
            assert isinstance(one, Domains)
            has = one.has
            missing |= fits & ~has
            fits &= has
            bad = fits & self._too_many(one, pod, snapshot)
            skewed |= bad
            fits &= ~bad
        return Verdict(fits, (Reason(MISSING_LABEL, missing, resolvable=False), Reason(SKEWED, skewed, resolvable=True)))

    @staticmethod
    def _too_many(domains: Domains, pod: Shape, snapshot: Snapshot) -> Mask:
        one, present = domains.spread, domains.present
        if not present.any():
            return np.zeros(len(snapshot.alive), np.bool_)
        least = domains.sums[present].min() if np.count_nonzero(present) >= one.min_domains else 0.0
        own = 1 if pod.matched_by(one.term, snapshot.world.namespace_labels) else 0
        bad = domains.sums + (own - least) > one.max_skew
        out: Mask = bad[domains.ids]
        return out

    # score

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        spreads = self._spreads(pod, snapshot, hard=False)
        if not spreads:
            return None
        strict = bool(pod.soft_spread) or not self._system
        found = spreading(pod, snapshot, spreads, hard=False, strict=strict)
        judged = feasible & found.complete
        raw = found.parts[0].raw(judged)
        for one in found.parts[1:]:
            raw += one.raw(judged)
        raw += 0.5
        np.floor(raw, out=raw)
        most, least = raw.max(where=judged, initial=-np.inf), raw.min(where=judged, initial=np.inf)
        if most == 0:
            raw[:] = 100.0
        elif most > 0:  # there are such rows
            np.subtract(most + least, raw, out=raw)
            raw *= 100.0
            raw /= most
            np.floor(raw, out=raw)
        raw *= judged
        return raw

    # which constraints

    def _spreads(self, pod: Shape, snapshot: Snapshot, *, hard: bool) -> tuple[Spread, ...]:
        if pod.hard_spread or pod.soft_spread:
            return pod.hard_spread if hard else pod.soft_spread
        wanted = self._hard if hard else self._soft
        if not wanted:
            return ()
        version = snapshot.world.version(SERVICES, REPLICATION_CONTROLLERS, REPLICA_SETS, STATEFUL_SETS)
        known = pod.cache.get((self, hard))
        if known is None or known[0] != version:
            known = pod.cache[self, hard] = (version, self._defaults_of(wanted, pod, snapshot))
        found: tuple[Spread, ...] = known[1]
        return found

    @staticmethod
    def _defaults_of(wanted: tuple[DefaultSpread, ...], pod: Shape, snapshot: Snapshot) -> tuple[Spread, ...]:
        selector = default_selector(pod, snapshot)
        if selector.empty or selector.nothing:
            return ()
        term = Term("", selector, frozenset((pod.namespace,)))
        return tuple(Spread(one.topology_key, one.max_skew, term) for one in wanted)

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
