"""ClusterRoleBinding: who has a role everywhere."""

from __future__ import annotations

from sampan.api import names
from sampan.api.rbac.v1 import ClusterRoleBinding
from sampan.api.resources import CLUSTER_ROLE_BINDINGS
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Kind
from sampan.kinds.rbac import rules


def validate(binding: ClusterRoleBinding) -> Findings:
    return rules.validate_binding(binding, ("ClusterRole",), namespaced=False)


KIND: Kind[ClusterRoleBinding] = Kind(
    resource=CLUSTER_ROLE_BINDINGS,
    metadata="both",
    default=rules.default_binding,
    validate=validate,
    validate_update=rules.validate_binding_update,
    name_check=names.path_segment_name,
    columns=rules.BINDING_COLUMNS,
    allow_create_on_update=True,
)
