"""ClusterRole: rules everywhere, written down or collected from other roles by label."""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.rbac.v1 import ClusterRole
from sampan.api.resources import CLUSTER_ROLES
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Kind
from sampan.kinds.rbac import rules


def as_stored(role: ClusterRole) -> None:
    role.rules = role.rules or None


def validate(role: ClusterRole) -> Findings:
    out = rules.validate_rules(role.rules, namespaced=False)
    if role.aggregationRule is not None:
        path = "aggregationRule.clusterRoleSelectors"
        selectors = role.aggregationRule.clusterRoleSelectors
        if not selectors:
            out.append(field.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
        for index, selector in enumerate(selectors):
            wrong = checks.label_selector(selector, f"{path}[{index}]")
            if any(error.field != f"{path}[{index}]" for error in wrong):
                wrong.append(field.invalid(f"{path}[{index}]", None, "invalid label selector."))
            out += wrong
    return out


KIND: Kind[ClusterRole] = Kind(
    resource=CLUSTER_ROLES,
    metadata="both",
    as_stored=as_stored,
    validate=validate,
    name_check=names.path_segment_name,
    allow_create_on_update=True,
)
