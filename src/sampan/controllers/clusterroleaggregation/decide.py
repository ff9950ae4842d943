"""The rules of an aggregated ClusterRole. Pure.

Source: kube-controller-manager `clusterroleaggregation/clusterroleaggregation_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sampan.api.rbac.v1 import ClusterRole, PolicyRule
from sampan.api.selectors import of_label_selector


def rules(role: ClusterRole, roles: Iterable[ClusterRole]) -> list[PolicyRule]:
    """The rules of all selected roles, in the order of selectors and names, each once."""
    found: list[PolicyRule] = []
    ordered = sorted(roles, key=lambda one: one.metadata.name)
    for selector in role.aggregationRule.clusterRoleSelectors if role.aggregationRule is not None else ():
        matches = of_label_selector(selector).matches
        for other in ordered:
            if other.metadata.name == role.metadata.name or not matches(other.metadata.labels):
                continue
            for rule in other.rules or ():
                if rule not in found:
                    found.append(rule)
    return found
