"""Roles and bindings."""

from __future__ import annotations

from datetime import UTC, datetime

from kinds.core.making import changed, created, findings
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from sampan.kinds.rbac import role, role_binding


def test_rules_say_what_they_lack() -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": []}, {"resources": ["x"], "verbs": ["get"]},
             {"nonResourceURLs": ["/x"], "verbs": ["get"]}]
    assert findings(ROLES, {"metadata": {"name": "a"}, "rules": rules}) == [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
        'rules[2].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs']


def test_an_aggregated_role_needs_a_selector() -> None:
    assert findings(CLUSTER_ROLES, {"metadata": {"name": "a"}, "aggregationRule": {}}) == [
        "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is "
        "non-nil"]


def test_subjects_get_the_group_of_their_kind() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]
    binding = created(ROLE_BINDINGS, {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects})
    assert [one.apiGroup for one in binding.subjects] == ["rbac.authorization.k8s.io", ""]
    assert binding.roleRef.apiGroup == "rbac.authorization.k8s.io"


def test_a_binding_of_the_cluster_refers_to_cluster_roles_and_accounts_with_namespaces() -> None:
    body = {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]}
    assert findings(CLUSTER_ROLE_BINDINGS, body) == [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"', "subjects[0].namespace: Required value"]


def test_the_role_of_a_binding_stays() -> None:
    old = created(ROLE_BINDINGS, {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}})
    wrong = changed(ROLE_BINDINGS, old, {"roleRef": {"name": "other"}})[1]
    assert [text.rpartition(": ")[2] for text in wrong] == ["cannot change roleRef"]


def test_a_put_creates_roles_and_bindings() -> None:
    assert role.KIND.allow_create_on_update
    assert role_binding.KIND.allow_create_on_update


def test_a_binding_is_printed_with_its_subjects_by_kind() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
    binding = created(ROLE_BINDINGS, {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects})
    cells = {one.name: one.value(binding, datetime(2026, 1, 1, tzinfo=UTC)) for one in role_binding.KIND.columns}
    assert (cells["Role"], cells["Users"], cells["Groups"], cells["ServiceAccounts"]) == ("Role/r", "u", "g", "n/s")


def test_what_selects_nothing_that_can_be_is_told_of_twice() -> None:
    rule = {"clusterRoleSelectors": [{"matchExpressions": [{"key": "k", "operator": "x"}]}]}
    at = "aggregationRule.clusterRoleSelectors[0]"
    assert findings(CLUSTER_ROLES, {"metadata": {"name": "a"}, "aggregationRule": rule}) == [
        f'{at}.matchExpressions[0].operator: Invalid value: "x": not a valid selector operator',
        f"{at}: Invalid value: null: invalid label selector."]


def test_the_role_of_a_binding_stays_and_is_shown_as_upstream_holds_it() -> None:
    old = created(ROLE_BINDINGS, {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}})
    assert changed(ROLE_BINDINGS, old, {"roleRef": {"name": "s"}})[1] == [
        'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"s"}: cannot change roleRef']
