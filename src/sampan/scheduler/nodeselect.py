"""Node selectors over the label columns: which rows satisfy a requirement, a term, a selector.

Source: component-helpers `scheduling/corev1/nodeaffinity`.
"""

from __future__ import annotations

import numpy as np

from sampan.api.core.v1 import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from sampan.api.errors import FieldError
from sampan.api.selectors import int64, requirement_errors
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Mask, Snapshot

OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


def value_rows(snapshot: Snapshot, key: str, values: list[str]) -> Mask:
    """bool[N] of the nodes where a label has one of these values."""
    column = snapshot.labels.get(key)
    if column is None:
        return np.zeros(len(snapshot.alive), np.bool_)
    wanted = [column.values[value] for value in values if value in column.values]
    if len(wanted) == 1:
        rows: Mask = column.ids == wanted[0]
        return rows
    return np.isin(column.ids, wanted)


def requirement_rows(snapshot: Snapshot, one: NodeSelectorRequirement) -> Mask:
    """bool[N] of the nodes whose labels satisfy one requirement; an operator nobody knows matches none."""
    if one.operator == "In":
        return value_rows(snapshot, one.key, one.values)
    if one.operator == "NotIn":
        return ~value_rows(snapshot, one.key, one.values)
    if one.operator == "Exists":
        return snapshot.has_label(one.key)
    if one.operator == "DoesNotExist":
        return ~snapshot.has_label(one.key)
    if one.operator in ("Gt", "Lt"):
        return _compared(snapshot, one)
    return np.zeros(len(snapshot.alive), np.bool_)


def _compared(snapshot: Snapshot, one: NodeSelectorRequirement) -> Mask:
    column = snapshot.labels.get(one.key)
    rows = np.zeros(len(snapshot.alive), np.bool_)
    if column is None or len(one.values) != 1:
        return rows
    bound = int64(one.values[0])
    if bound is None:
        return rows
    for value, number in column.values.items():
        known = int64(value)
        if known is not None and (known > bound if one.operator == "Gt" else known < bound):
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


def term_errors(term: NodeSelectorTerm, path: str) -> list[FieldError]:
    """What is wrong with a term beyond what the API server has checked: values that no label can have."""
    return [error for index, one in enumerate(term.matchExpressions)
            for error in requirement_errors(one.key, OPERATORS.get(one.operator, one.operator), one.values, f"{path}.matchExpressions[{index}]")]


def term_rows(snapshot: Snapshot, term: NodeSelectorTerm) -> Mask:
    """bool[N] of one term: all of its requirements; an empty term matches none, nor does one that cannot be read."""
    if (not term.matchExpressions and not term.matchFields) or term_errors(term, ""):
        return np.zeros(len(snapshot.alive), np.bool_)
    rows = np.ones(len(snapshot.alive), np.bool_)
    for one in term.matchExpressions:
        rows &= requirement_rows(snapshot, one)
    for one in term.matchFields:
        rows &= _field_rows(snapshot, one)
    return rows


def selector_rows(snapshot: Snapshot, selector: NodeSelector) -> Mask:
    """bool[N] of the nodes that one of the terms matches."""
    rows = np.zeros(len(snapshot.alive), np.bool_)
    for term in selector.nodeSelectorTerms or ():
        rows |= term_rows(snapshot, term)
    return rows


def required_selector(pod: Shape) -> NodeSelector | None:
    """A pod's required node affinity."""
    affinity = pod.pod.spec.affinity
    if affinity is None or affinity.nodeAffinity is None:
        return None
    return affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution


def wanted_rows(pod: Shape, snapshot: Snapshot) -> Mask | None:
    """bool[N] of the nodes that nodeSelector and required affinity admit, not to be changed; None: all of them."""
    required = required_selector(pod)
    if required is None and not pod.pod.spec.nodeSelector:
        return None
    known = pod.cache.get("wanted rows")
    if known is not None and known[0] == snapshot.generation:
        found: Mask = known[1]
        return found
    rows = np.ones(len(snapshot.alive), np.bool_)
    for key, value in pod.pod.spec.nodeSelector.items():
        rows &= value_rows(snapshot, key, [value])
    if required is not None:
        rows &= selector_rows(snapshot, required)
    pod.cache["wanted rows"] = (snapshot.generation, rows)
    return rows


def named_nodes(pod: Shape) -> frozenset[str] | None:
    """The only nodes that a pod's terms name (matchFields); None: at least one term names none."""
    required = required_selector(pod)
    if required is None or not required.nodeSelectorTerms:
        return None
    out: set[str] = set()
    for term in required.nodeSelectorTerms:
        names: set[str] | None = None
        for one in term.matchFields:
            if one.key == "metadata.name" and one.operator == "In":
                names = set(one.values) if names is None else names & set(one.values)
        if names is None:
            return None
        out |= names
    return frozenset(out)
