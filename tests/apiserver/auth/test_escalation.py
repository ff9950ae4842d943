from __future__ import annotations

import pytest

from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.errors import Forbidden, NotFound
from sampan.api.rbac.v1 import ClusterRole, Role, RoleBinding
from sampan.api.resources import ROLE_BINDINGS, ROLES
from sampan.apiserver.auth.authorizers import Authorizers, default_authorizers
from sampan.apiserver.auth.escalation import check_binding, check_role
from sampan.apiserver.request import ADMIN, User

ALICE = User("alice", groups=("devs", "system:authenticated"))


@pytest.fixture
def readers() -> MemoryReaders:
    readers = MemoryReaders()
    readers.put(ROLES, {"metadata": {"name": "own"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, "a")
    readers.put(ROLES, {"metadata": {"name": "big"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}, "a")
    _bind(readers, "own")
    return readers


def _bind(readers: MemoryReaders, role: str) -> None:
    readers.put(ROLE_BINDINGS, {"metadata": {"name": f"to-{role}"}, "subjects": [{"kind": "User", "name": "alice"}],
                                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}}, "a")


@pytest.fixture
def authorizers(readers: MemoryReaders) -> Authorizers:
    return default_authorizers(readers)


def _role(*rules: dict[str, list[str]]) -> Role:
    return codec.convert(Role, {"metadata": {"name": "new", "namespace": "a"}, "rules": list(rules)})


def _binding(kind: str, name: str) -> RoleBinding:
    return codec.convert(RoleBinding, {"metadata": {"name": "new", "namespace": "a"}, "subjects": [],
                                       "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}})


def test_what_one_has_one_may_grant(authorizers: Authorizers) -> None:
    check_role("roles", "a", _role({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}), None, ALICE, authorizers)
    check_binding("rolebindings", "a", _binding("Role", "own"), None, ALICE, authorizers)


def test_what_one_lacks_is_named_rule_by_rule(authorizers: Authorizers) -> None:
    role = _role({"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "delete"]},
                 {"nonResourceURLs": ["/x"], "verbs": ["get"]})
    with pytest.raises(Forbidden) as caught:
        check_role("roles", "a", role, None, ALICE, authorizers)
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "new" is forbidden: user "alice" (groups=["devs" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}\n'
        '{NonResourceURLs:["/x"], Verbs:["get"]}')
    assert caught.value.details == {"name": "new", "group": "rbac.authorization.k8s.io", "kind": "roles"}


def test_the_verb_escalate_opens_the_door_for_roles_and_bind_for_bindings(readers: MemoryReaders, authorizers: Authorizers) -> None:
    everything = _role({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    with pytest.raises(Forbidden):
        check_binding("rolebindings", "a", _binding("Role", "big"), None, ALICE, authorizers)
    readers.put(ROLES, {"metadata": {"name": "grantor"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate", "bind"]}]}, "a")
    _bind(readers, "grantor")
    check_role("roles", "a", everything, None, ALICE, authorizers)
    check_binding("rolebindings", "a", _binding("Role", "big"), None, ALICE, authorizers)


def test_a_binding_to_nothing_needs_the_verb_bind(authorizers: Authorizers) -> None:
    with pytest.raises(NotFound, match=r'clusterrole\.rbac\.authorization\.k8s\.io "none" not found'):
        check_binding("rolebindings", "a", _binding("ClusterRole", "none"), None, ALICE, authorizers)


def test_masters_and_the_garbage_collector_are_not_asked(authorizers: Authorizers) -> None:
    everything = _role({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    check_role("roles", "a", everything, None, ADMIN, authorizers)
    without = codec.clone(everything)
    without.metadata.finalizers = ["x.y/z"]
    check_role("roles", "a", everything, without, ALICE, authorizers)
    labelled = codec.clone(everything)
    labelled.metadata.labels = {"a": "b"}
    with pytest.raises(Forbidden):
        check_role("roles", "a", everything, labelled, ALICE, authorizers)


def test_an_aggregation_rule_wants_full_authority(authorizers: Authorizers) -> None:
    role = codec.convert(ClusterRole, {"metadata": {"name": "new"}, "rules": None,
                                       "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}})
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use an aggregationRule"):
        check_role("clusterroles", "", role, None, ALICE, authorizers)


def test_rules_that_mean_too_much_are_judged_as_wholes_only(readers: MemoryReaders, authorizers: Authorizers) -> None:
    # given a rule of 27 million combinations, which alice does not have
    many = _role({"apiGroups": [f"g{n}" for n in range(300)], "resources": [f"r{n}" for n in range(300)], "verbs": [f"v{n}" for n in range(300)]})
    with pytest.raises(Forbidden, match=r"more than 10000 combinations that none of the held rules has as a whole: split the rules$"):
        check_role("roles", "a", many, None, ALICE, authorizers)
    # when she gets a rule that has all of them
    _bind(readers, "big")
    # then she may grant it
    check_role("roles", "a", many, None, ALICE, authorizers)
