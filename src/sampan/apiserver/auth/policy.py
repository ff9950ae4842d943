"""The roles and bindings that every cluster has from the start, and how a start brings them up to date.

Owns the data (`bootstrap_policy.json`, facts of Kubernetes 1.36) and the pure reconciliation. Leaves reading and writing
to the caller. Source: kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`, component-helpers
`auth/rbac/reconciliation`: what is missing is created; rules and subjects that are missing are added (never taken away)
unless the annotation says autoupdate "false"; a changed roleRef is a binding made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from sampan.api import codec
from sampan.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from sampan.apiserver.auth.rules import missing, rules_of

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"


class _Policy(msgspec.Struct):
    clusterRoles: list[ClusterRole]
    clusterRoleBindings: list[ClusterRoleBinding]
    roles: list[Role]
    roleBindings: list[RoleBinding]


@cache
def _policy() -> _Policy:
    return codec.decode(_Policy, (Path(__file__).parent / "bootstrap_policy.json").read_bytes())


def bootstrap_cluster_roles() -> list[ClusterRole]:
    """Shared: change nothing."""
    return _policy().clusterRoles


def bootstrap_objects() -> Iterator[tuple[Resource[Any], Any]]:
    """Everything, roles before the bindings to them. Shared: change nothing."""
    policy = _policy()
    for resource, objects in ((CLUSTER_ROLES, policy.clusterRoles), (CLUSTER_ROLE_BINDINGS, policy.clusterRoleBindings),
                              (ROLES, policy.roles), (ROLE_BINDINGS, policy.roleBindings)):
        for obj in objects:
            yield resource, obj


class Step(NamedTuple):
    """One write of the reconciliation; `object` belongs to the caller. "replace" is a deletion, then a creation."""

    action: Literal["create", "update", "replace"]
    resource: Resource[Any]
    object: Any


def reconcile(find: Callable[[Resource[Any], str, str], Any]) -> list[Step]:
    """The writes that bring a cluster's policy up to date; `find(resource, namespace, name)` is what it has, or None."""
    steps = []
    for resource, wanted in bootstrap_objects():
        step = _step(resource, wanted, find(resource, wanted.metadata.namespace, wanted.metadata.name))
        if step is not None:
            steps.append(step)
    return steps


def _step(resource: Resource[Any], wanted: Any, found: Any) -> Step | None:
    if found is None:
        made = codec.clone(wanted)
        made.kind, made.apiVersion = resource.kind, resource.group_version
        return Step("create", resource, made)
    if found.metadata.annotations.get(AUTOUPDATE) == "false":
        return None
    new = codec.clone(found)
    new.metadata.labels = wanted.metadata.labels | found.metadata.labels
    new.metadata.annotations = wanted.metadata.annotations | found.metadata.annotations
    if resource in (CLUSTER_ROLES, ROLES):
        _add_rules(new, wanted)
    elif new.roleRef != wanted.roleRef:
        made = codec.clone(wanted)
        made.kind, made.apiVersion = resource.kind, resource.group_version
        return Step("replace", resource, made)
    else:
        new.subjects += [subject for subject in wanted.subjects if subject not in new.subjects]
    return Step("update", resource, new) if new != found else None


def _add_rules(new: Any, wanted: Any) -> None:
    aggregation = getattr(wanted, "aggregationRule", None)
    if aggregation is not None:
        # the rules of an aggregated role are the aggregator's business
        if new.aggregationRule is None:
            new.aggregationRule = aggregation
        else:
            selectors = new.aggregationRule.clusterRoleSelectors
            selectors += [one for one in aggregation.clusterRoleSelectors if one not in selectors]
        return
    lacking = missing(rules_of(new.rules), rules_of(wanted.rules))
    if lacking:
        new.rules = [*(new.rules or ()), *_whole_rules(wanted.rules, new.rules or ())]


def _whole_rules(wanted: Sequence[PolicyRule] | None, owned: Sequence[PolicyRule]) -> list[PolicyRule]:
    """The wanted rules of which a part is missing."""
    return [rule for rule in wanted or () if missing(rules_of(owned), rules_of([rule]))]
