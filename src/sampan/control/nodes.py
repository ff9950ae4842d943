"""Whether a pod may be on a node by its selector, affinity and tolerations, one node at a time. Pure.

The scheduler answers the same for all nodes at once with numpy; loops that own single nodes ask here.
Source: component-helpers `scheduling/corev1/nodeaffinity`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.core.v1 import Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint
from sampan.kinds.core.pod import toleration_matches


def fits_selector(spec: PodSpec, node: Node) -> bool:
    """The pod's node selector and required node affinity admit the node."""
    if not spec.nodeSelector.items() <= node.metadata.labels.items():
        return False
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    return required is None or matches(required, node)


def matches(selector: NodeSelector, node: Node) -> bool:
    """One of the terms matches; none matches nothing."""
    return any(_term(term, node) for term in selector.nodeSelectorTerms or ())


def untolerated(spec: PodSpec, node: Node, *effects: str) -> Taint | None:
    """The first taint with one of these effects that the pod does not tolerate."""
    for taint in node.spec.taints:
        if taint.effect in effects and not any(toleration_matches(one, taint) for one in spec.tolerations):
            return taint
    return None


def _term(term: NodeSelectorTerm, node: Node) -> bool:
    if not term.matchExpressions and not term.matchFields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return (all(_requirement(one, node.metadata.labels) for one in term.matchExpressions)
            and all(_requirement(one, fields) for one in term.matchFields))


def _requirement(one: NodeSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(one.key)
    match one.operator:
        case "In":
            return value in one.values
        case "NotIn":
            return value not in one.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compare(one, value)
        case _:
            return False


def _compare(one: NodeSelectorRequirement, value: str | None) -> bool:
    try:
        left, right = int(value or ""), int(one.values[0])
    except (ValueError, IndexError):
        return False
    return left > right if one.operator == "Gt" else left < right
