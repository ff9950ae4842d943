"""NodeAffinity: nodeSelector, required and preferred node affinity. Source: `plugins/nodeaffinity`,
component-helpers `scheduling/corev1/nodeaffinity`.
"""

from __future__ import annotations

import numpy as np

from sampan.api.core.v1 import NodeSelectorRequirement, NodeSelectorTerm
from sampan.scheduler.plugins.base import Reason, Verdict
from sampan.scheduler.plugins.normalize import to_hundred
from sampan.scheduler.snapshot import Float, Mask, PodShape, Snapshot

MISMATCH = "node(s) didn't match Pod's node affinity/selector"
NARROWED = "node(s) didn't satisfy plugin(s) [NodeAffinity]"


def _value_rows(snapshot: Snapshot, key: str, values: list[str]) -> Mask:
    column = snapshot.labels.get(key)
    if column is None:
        return np.zeros(len(snapshot.alive), np.bool_)
    wanted = [column.values[value] for value in values if value in column.values]
    rows: Mask = np.isin(column.ids, wanted)
    return rows


def _has(snapshot: Snapshot, key: str) -> Mask:
    column = snapshot.labels.get(key)
    return column.ids >= 0 if column is not None else np.zeros(len(snapshot.alive), np.bool_)


def requirement_rows(snapshot: Snapshot, one: NodeSelectorRequirement) -> Mask:
    """bool[N] of the nodes whose labels satisfy one requirement; an operator nobody knows matches none."""
    if one.operator == "In":
        return _value_rows(snapshot, one.key, one.values)
    if one.operator == "NotIn":
        return ~_value_rows(snapshot, one.key, one.values)
    if one.operator == "Exists":
        return _has(snapshot, one.key)
    if one.operator == "DoesNotExist":
        return ~_has(snapshot, one.key)
    if one.operator in ("Gt", "Lt"):
        return _compared(snapshot, one)
    return np.zeros(len(snapshot.alive), np.bool_)


def _compared(snapshot: Snapshot, one: NodeSelectorRequirement) -> Mask:
    column = snapshot.labels.get(one.key)
    rows = np.zeros(len(snapshot.alive), np.bool_)
    if column is None or len(one.values) != 1:
        return rows
    try:
        bound = int(one.values[0])
    except ValueError:
        return rows
    for value, number in column.values.items():
        try:
            holds = int(value) > bound if one.operator == "Gt" else int(value) < bound
        except ValueError:
            continue
        if holds:
            rows |= column.ids == number
    return rows


def _field_rows(snapshot: Snapshot, one: NodeSelectorRequirement) -> Mask:
    rows = np.zeros(len(snapshot.alive), np.bool_)
    if one.key != "metadata.name":
        return rows
    for name in one.values:
        if name in snapshot.rows:
            rows[snapshot.rows[name]] = True
    return rows if one.operator == "In" else ~rows


def term_rows(snapshot: Snapshot, term: NodeSelectorTerm) -> Mask:
    """bool[N] of one term: all of its requirements; an empty term matches none."""
    if not term.matchExpressions and not term.matchFields:
        return np.zeros(len(snapshot.alive), np.bool_)
    rows = np.ones(len(snapshot.alive), np.bool_)
    for one in term.matchExpressions:
        rows &= requirement_rows(snapshot, one)
    for one in term.matchFields:
        rows &= _field_rows(snapshot, one)
    return rows


class NodeAffinity:
    name = "NodeAffinity"

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        spec = pod.pod.spec
        required = spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution if (
            spec.affinity is not None and spec.affinity.nodeAffinity is not None) else None
        if not spec.nodeSelector and required is None:
            return None
        rows = np.ones(len(snapshot.alive), np.bool_)
        for key, value in spec.nodeSelector.items():
            rows &= _value_rows(snapshot, key, [value])
        narrowed = np.zeros(len(snapshot.alive), np.bool_)
        if required is not None:
            terms = required.nodeSelectorTerms or []
            any_term = np.zeros(len(snapshot.alive), np.bool_)
            for term in terms:
                any_term |= term_rows(snapshot, term)
            rows &= any_term
            narrowed = self._narrowed(snapshot, terms)
        reasons = (Reason(MISMATCH, ~rows & ~narrowed, resolvable=False), Reason(NARROWED, ~rows & narrowed, resolvable=False))
        return Verdict(rows, reasons)

    @staticmethod
    def _narrowed(snapshot: Snapshot, terms: list[NodeSelectorTerm]) -> Mask:
        """Nodes that are not even looked at, because every term names its nodes and none names these."""
        named = np.zeros(len(snapshot.alive), np.bool_)
        for term in terms:
            fields = [one for one in term.matchFields if one.key == "metadata.name" and one.operator == "In"]
            if not fields:
                return np.zeros(len(snapshot.alive), np.bool_)
            rows = np.ones(len(snapshot.alive), np.bool_)
            for one in fields:
                rows &= _field_rows(snapshot, one)
            named |= rows
        return ~named if terms else named

    def score(self, pod: PodShape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        affinity = pod.pod.spec.affinity
        if affinity is None or affinity.nodeAffinity is None:
            return None
        preferred = affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution
        if not preferred:
            return None
        raw = np.zeros(len(snapshot.alive), np.float64)
        for one in preferred:
            raw += one.weight * term_rows(snapshot, one.preference)
        return to_hundred(raw, feasible)
