"""Role: rules within a namespace."""

from __future__ import annotations

from sampan.api import names
from sampan.api.rbac.v1 import Role
from sampan.api.resources import ROLES
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Kind
from sampan.kinds.rbac import rules


def as_stored(role: Role) -> None:
    role.rules = role.rules or None


def validate(role: Role) -> Findings:
    return rules.validate_rules(role.rules, namespaced=True)


KIND: Kind[Role] = Kind(
    resource=ROLES,
    metadata="both",
    as_stored=as_stored,
    validate=validate,
    name_check=names.path_segment_name,
    allow_create_on_update=True,
)
