"""What roles and bindings have in common: rules, subjects, role references.

Source: kubernetes `pkg/apis/rbac/validation/validation.go`, `pkg/apis/rbac/v1/defaults.go`, `pkg/printers/internalversion`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sampan.api import field, names
from sampan.api.rbac.v1 import ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.kind import Column
from sampan.kinds.printing import age

GROUP = "rbac.authorization.k8s.io"

Binding = RoleBinding | ClusterRoleBinding


def validate_rules(rules: list[PolicyRule] | None, *, namespaced: bool) -> Findings:
    """Every rule at its place below `rules`."""
    return [error for index, rule in enumerate(rules or ()) for error in _rule(rule, f"rules[{index}]", namespaced)]


def _rule(rule: PolicyRule, path: str, namespaced: bool) -> Findings:
    out: Findings = []
    if not rule.verbs:
        out.append(field.required(f"{path}.verbs", "verbs must contain at least one value"))
    if rule.nonResourceURLs:
        at = f"{path}.nonResourceURLs"
        if namespaced:
            out.append(field.invalid(at, rule.nonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
        if rule.apiGroups or rule.resources or rule.resourceNames:
            out.append(field.invalid(at, rule.nonResourceURLs,
                                     "rules cannot apply to both regular resources and non-resource URLs"))
        return out
    if not rule.apiGroups:
        out.append(field.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.resources:
        out.append(field.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return out


def default_binding(binding: Binding) -> None:
    """The API groups that subjects and the role reference left out."""
    if not binding.roleRef.apiGroup:
        binding.roleRef.apiGroup = GROUP
    for subject in binding.subjects:
        if not subject.apiGroup and subject.kind in ("User", "Group"):
            subject.apiGroup = GROUP


def validate_binding(binding: Binding, kinds: tuple[str, ...], *, namespaced: bool) -> Findings:
    """The role reference, which may be of these `kinds`, and the subjects."""
    out = checks.one_of(binding.roleRef.apiGroup, (GROUP,), "roleRef.apiGroup")
    out += checks.one_of(binding.roleRef.kind, kinds, "roleRef.kind")
    out += checks.required_name(binding.roleRef.name, names.path_segment_name, "roleRef.name")
    for index, subject in enumerate(binding.subjects):
        out += _subject(subject, f"subjects[{index}]", namespaced)
    return out


def _subject(subject: Subject, path: str, namespaced: bool) -> Findings:
    out: Findings = []
    if not subject.name:
        out.append(field.required(f"{path}.name"))
    if subject.kind == "ServiceAccount":
        if subject.name:
            out += checks.named(subject.name, names.dns1123_subdomain, f"{path}.name")
        if subject.apiGroup:
            out.append(field.not_supported(f"{path}.apiGroup", subject.apiGroup, ("",)))
        if not namespaced and not subject.namespace:
            out.append(field.required(f"{path}.namespace"))
    elif subject.kind in ("User", "Group"):
        out += checks.one_of(subject.apiGroup, (GROUP,), f"{path}.apiGroup")
    else:
        out.append(field.not_supported(f"{path}.kind", subject.kind, ("ServiceAccount", "User", "Group")))
    return out


def validate_binding_update(new: Binding, old: Binding) -> Findings:
    """The role that a binding refers to stays."""
    return [] if new.roleRef == old.roleRef else [field.invalid("roleRef", internal(new.roleRef), "cannot change roleRef")]


def subjects_text(subjects: list[Subject], kind: str) -> str:
    """The names of subjects of one kind, as tables show them."""
    if kind == "ServiceAccount":
        return ", ".join(f"{one.namespace}/{one.name}" for one in subjects if one.kind == kind)
    return ", ".join(one.name for one in subjects if one.kind == kind)


def _role(binding: Binding, _: datetime) -> str:
    return role_text(binding.roleRef)


def role_text(ref: RoleRef) -> str:
    """`ClusterRole/view`."""
    return f"{ref.kind}/{ref.name}"


BINDING_COLUMNS: tuple[Column[Any], ...] = (
    Column("Name", lambda binding, _: binding.metadata.name, format="name"),
    Column("Role", _role),
    Column("Age", age),
    Column("Users", lambda binding, _: subjects_text(binding.subjects, "User"), priority=1),
    Column("Groups", lambda binding, _: subjects_text(binding.subjects, "Group"), priority=1),
    Column("ServiceAccounts", lambda binding, _: subjects_text(binding.subjects, "ServiceAccount"), priority=1),
)
