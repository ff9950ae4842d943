from __future__ import annotations

import pytest

from apiserver.readers import MemoryReaders
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.auth.denial import denial
from sampan.apiserver.auth.policy import bootstrap_objects
from sampan.apiserver.auth.rbac import Rbac
from sampan.apiserver.request import Attributes, User

ALICE = User("alice", groups=("devs", "system:authenticated"))


def _asks(user: User, verb: str, resource: str, *, namespace: str = "", name: str = "", group: str = "") -> Attributes:
    plural, _, sub = resource.partition("/")
    return Attributes(user=user, verb=verb, path="", is_resource=True, group=group, version="v1", resource=plural,
                      subresource=sub, namespace=namespace, name=name)


def _role(name: str, *rules: dict[str, list[str]]) -> dict[str, object]:
    return {"metadata": {"name": name}, "rules": list(rules)}


def _binding(name: str, kind: str, role: str, *subjects: dict[str, str]) -> dict[str, object]:
    return {"metadata": {"name": name}, "subjects": list(subjects),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}}


PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


@pytest.fixture
def readers() -> MemoryReaders:
    return MemoryReaders()


def test_a_role_binding_allows_in_its_namespace_and_says_why(readers: MemoryReaders) -> None:
    # given a role and its binding
    rbac = Rbac(readers)
    readers.put(ROLES, _role("r", PODS), "a")
    readers.put(ROLE_BINDINGS, _binding("b", "Role", "r", {"kind": "User", "name": "alice"}), "a")
    # then it holds there and nowhere else
    allowed = rbac.authorize(_asks(ALICE, "get", "pods", namespace="a", name="x"))
    assert allowed == Decision(allowed=True, reason='RBAC: allowed by RoleBinding "b/a" of Role "r" to User "alice"')
    assert rbac.authorize(_asks(ALICE, "get", "pods", namespace="b")) == Decision(allowed=False, reason="")
    assert rbac.authorize(_asks(ALICE, "list", "pods")) == Decision(allowed=False, reason="")
    assert rbac.authorize(_asks(ALICE, "delete", "pods", namespace="a")) == Decision(allowed=False, reason="")
    assert rbac.authorize(_asks(ALICE, "get", "pods/log", namespace="a")) == Decision(allowed=False, reason="")


def test_a_change_counts_at_once(readers: MemoryReaders) -> None:
    rbac = Rbac(readers)
    asks = _asks(ALICE, "get", "pods", namespace="a")
    assert not rbac.authorize(asks).allowed
    readers.put(CLUSTER_ROLES, _role("r", PODS))
    readers.put(ROLE_BINDINGS, _binding("b", "ClusterRole", "r", {"kind": "Group", "name": "devs"}), "a")
    assert rbac.authorize(asks).allowed
    readers.put(CLUSTER_ROLES, _role("r"))
    assert not rbac.authorize(asks).allowed
    readers.put(CLUSTER_ROLES, _role("r", PODS))
    assert rbac.authorize(asks).allowed
    readers.of(ROLE_BINDINGS).remove("a", "b")
    assert not rbac.authorize(asks).allowed


@pytest.mark.parametrize(("rule", "verb", "resource", "group", "name", "allowed"), [
    ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, "impersonate", "anything/sub", "x.y", "", True),
    ({"apiGroups": [""], "resources": ["pods/*"], "verbs": ["get"]}, "get", "pods/log", "", "", False),
    ({"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]}, "get", "pods/log", "", "", True),
    ({"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]}, "get", "pods", "", "", False),
    ({"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]}, "patch", "deployments/scale", "apps", "w", True),
    ({"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["*"]}, "patch", "deployments", "apps", "w", False),
    ({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["m"]}, "get", "configmaps", "", "m", True),
    ({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["m"]}, "get", "configmaps", "", "n", False),
    ({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"], "resourceNames": ["m"]}, "list", "configmaps", "", "", False),
    ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["get"]}, "get", "pods", "", "", False),
])
def test_rules_match_as_upstream(readers: MemoryReaders, rule: dict[str, list[str]], verb: str, resource: str, group: str,
                                 name: str, allowed: bool) -> None:
    rbac = Rbac(readers)
    readers.put(CLUSTER_ROLES, _role("r", rule))
    readers.put(CLUSTER_ROLE_BINDINGS, _binding("b", "ClusterRole", "r", {"kind": "User", "name": "alice"}))
    asked = _asks(ALICE, verb, resource, namespace="a", name=name, group=group)
    assert rbac.authorize(asked).allowed is allowed
    assert rbac.authorize(asked).allowed is allowed


def test_a_service_account_is_found_by_its_namespace(readers: MemoryReaders) -> None:
    rbac = Rbac(readers)
    readers.put(ROLES, _role("r", PODS), "a")
    readers.put(ROLE_BINDINGS, _binding("b", "Role", "r", {"kind": "ServiceAccount", "name": "bot", "namespace": "tools"}), "a")
    bot = User("system:serviceaccount:tools:bot")
    decision = rbac.authorize(_asks(bot, "list", "pods", namespace="a"))
    assert decision == Decision(allowed=True, reason='RBAC: allowed by RoleBinding "b/a" of Role "r" to ServiceAccount "bot/tools"')
    assert not rbac.authorize(_asks(User("system:serviceaccount:a:bot"), "list", "pods", namespace="a")).allowed


def test_a_binding_to_nothing_is_told_with_the_denial(readers: MemoryReaders) -> None:
    rbac = Rbac(readers)
    readers.put(ROLE_BINDINGS, _binding("b", "Role", "gone", {"kind": "User", "name": "alice"}), "a")
    readers.put(CLUSTER_ROLE_BINDINGS, _binding("c", "ClusterRole", "lost", {"kind": "Group", "name": "devs"}))
    asked = _asks(ALICE, "get", "pods", namespace="a", name="x")
    reason = ('RBAC: [clusterrole.rbac.authorization.k8s.io "lost" not found, '
              'role.rbac.authorization.k8s.io "gone" not found]')
    assert rbac.authorize(asked) == Decision(allowed=False, reason=reason)
    assert str(denial(asked, reason)) == (
        f'pods "x" is forbidden: User "alice" cannot get resource "pods" in API group "" in the namespace "a": {reason}')


def test_paths_that_are_no_resources(readers: MemoryReaders) -> None:
    rbac = Rbac(readers)
    readers.put(CLUSTER_ROLES, _role("r", {"nonResourceURLs": ["/healthz", "/api/*"], "verbs": ["get"]}))
    readers.put(CLUSTER_ROLE_BINDINGS, _binding("b", "ClusterRole", "r", {"kind": "User", "name": "alice"}))

    def may(path: str, verb: str = "get") -> bool:
        return rbac.authorize(Attributes(user=ALICE, verb=verb, path=path)).allowed

    assert may("/healthz")
    assert may("/api/v1")
    assert not may("/api")
    assert not may("/healthz", "post")
    assert not may("/metrics")
    assert str(denial(Attributes(user=ALICE, verb="get", path="/metrics"))) == (
        'forbidden: User "alice" cannot get path "/metrics"')


def test_the_rules_of_a_user_are_listed(readers: MemoryReaders) -> None:
    rbac = Rbac(readers)
    for resource, obj in bootstrap_objects():
        readers.put(resource, obj)
    readers.put(ROLES, _role("r", PODS), "a")
    readers.put(ROLE_BINDINGS, _binding("b", "Role", "r", {"kind": "User", "name": "alice"}), "a")
    resources, urls, incomplete = rbac.rules_for(ALICE, "a")
    assert {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]} in resources
    assert any("/healthz" in rule["nonResourceURLs"] for rule in urls)
    assert not incomplete
    assert {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]} not in rbac.rules_for(ALICE, "b")[0]


def test_a_remembered_decision_does_not_look_at_rules_again(readers: MemoryReaders) -> None:
    # given one decision taken
    rbac = Rbac(readers)
    readers.put(CLUSTER_ROLES, _role("r", PODS))
    readers.put(CLUSTER_ROLE_BINDINGS, _binding("b", "ClusterRole", "r", {"kind": "Group", "name": "devs"}))
    asked = _asks(ALICE, "get", "pods", namespace="a", name="x")
    assert rbac.authorize(asked).allowed
    # when the objects go behind the caches' backs, so that no generation moves
    readers.of(CLUSTER_ROLE_BINDINGS)._entries.clear()
    # then the decision is still known, until a generation does move
    assert rbac.authorize(asked).allowed
    readers.put(CLUSTER_ROLES, _role("other"))
    assert not rbac.authorize(asked).allowed
