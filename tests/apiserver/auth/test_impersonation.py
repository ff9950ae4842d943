from __future__ import annotations

from typing import Any

import pytest

from apiserver.readers import MemoryReaders
from sampan.api.errors import ApiError, BadRequest, Forbidden
from sampan.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from sampan.apiserver.auth.authorizers import default_authorizers
from sampan.apiserver.auth.impersonation import Impersonator
from sampan.apiserver.request import RequestInfo, User

ADMIN = User("admin", groups=("system:masters", "system:authenticated"))
ALICE = User("alice", groups=("system:authenticated",))


def _request(who: User = ADMIN, /, **headers: str) -> RequestInfo:
    named = {f"impersonate-{key.replace('_', '-')}": value for key, value in headers.items()}
    return RequestInfo("GET", "/api/v1/namespaces/a/pods", {}, named, "list", is_resource=True, version="v1", resource="pods",
                       namespace="a", user=who)


def _world(*rules: dict[str, list[str]], user: str = "alice") -> tuple[Impersonator, MemoryReaders]:
    readers = MemoryReaders()
    readers.put(CLUSTER_ROLES, {"metadata": {"name": "r"}, "rules": list(rules)})
    readers.put(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": user}],
                                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}})
    return Impersonator(default_authorizers(readers)), readers


def _refused(impersonator: Impersonator, request: RequestInfo, kind: type[ApiError] = Forbidden) -> str:
    with pytest.raises(kind) as caught:
        impersonator.impersonate(request)
    return caught.value.message


def test_without_headers_everybody_is_himself() -> None:
    assert _world()[0].impersonate(_request(ALICE)) == ALICE


@pytest.mark.parametrize(("headers", "user"), [
    ({"user": "zoe"}, User("zoe", groups=("system:authenticated",))),
    ({"user": "zoe", "group": "system:masters", "uid": "u", "extra_scopes": "a"},
     User("zoe", "u", ("system:masters", "system:authenticated"), {"scopes": ("a",)})),
    ({"user": "zoe", "group": "a\nb", "extra_x%2fy": "1\n2"}, User("zoe", "", ("a", "b", "system:authenticated"), {"x/y": ("1", "2")})),
    ({"user": "system:serviceaccount:a:default"}, User(
        "system:serviceaccount:a:default", groups=("system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"))),
    ({"user": "system:node:n1"}, User("system:node:n1", groups=("system:nodes", "system:authenticated"))),
    ({"user": "system:anonymous"}, User("system:anonymous", groups=("system:unauthenticated",))),
])
def test_masters_act_as_anybody(headers: dict[str, str], user: User) -> None:
    assert _world()[0].impersonate(_request(**headers)) == user


def test_groups_without_a_user_make_no_sense() -> None:
    assert _refused(_world()[0], _request(group="x"), BadRequest) == (
        'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"x"}, Extra:map[string][]string(nil)} '
        "without impersonating a user name")


CLASSIC = {"apiGroups": [""], "resources": ["users", "groups", "serviceaccounts"], "verbs": ["impersonate"]}


def test_a_refusal_names_the_new_verb_first_and_the_classic_one_after_it_worked_once() -> None:
    impersonator, _ = _world({**CLASSIC, "resourceNames": ["bob"]})
    assert _refused(impersonator, _request(ALICE, user="carol")) == (
        'pods is forbidden: User "alice" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "a"')
    assert impersonator.impersonate(_request(ALICE, user="bob")).name == "bob"
    assert _refused(impersonator, _request(ALICE, user="carol")) == (
        'users "carol" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope')
    assert _refused(impersonator, _request(ALICE, user="system:serviceaccount:a:other")) == (
        'serviceaccounts "other" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in API group "" '
        'in the namespace "a"')


def test_a_constrained_user_acts_for_the_allowed_verb_only() -> None:
    impersonator, _ = _world(
        {"apiGroups": ["authentication.k8s.io"], "resources": ["users"], "verbs": ["impersonate:user-info"], "resourceNames": ["bob"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:user-info:list"]})
    assert impersonator.impersonate(_request(ALICE, user="bob")).name == "bob"
    request = _request(ALICE, user="bob")
    request.verb = "delete"
    assert "impersonate-on:user-info:delete" in _refused(impersonator, request)
    assert "impersonate:user-info" in _refused(impersonator, _request(ALICE, user="carol"))


def test_constrained_impersonation_never_gives_masters() -> None:
    impersonator, _ = _world(
        {"apiGroups": ["authentication.k8s.io"], "resources": ["*"], "verbs": ["impersonate:user-info"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:user-info:list"]})
    assert impersonator.impersonate(_request(ALICE, user="bob", group="devs")).groups == ("devs", "system:authenticated")
    assert "impersonating the system:masters group is not allowed" in _refused(
        impersonator, _request(ALICE, user="bob", group="system:masters"))


def test_an_account_acts_as_its_own_node() -> None:
    name = "system:serviceaccount:a:agent"
    impersonator, _ = _world(
        {"apiGroups": ["authentication.k8s.io"], "resources": ["nodes"], "verbs": ["impersonate:associated-node"], "resourceNames": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:associated-node:list"]}, user=name)
    # the subject of the rule is the account itself
    agent = User(name, extra={"authentication.kubernetes.io/node-name": ("n1",)})
    assert impersonator.impersonate(_request(agent, user="system:node:n1")).groups == ("system:nodes", "system:authenticated")
    assert "impersonate" in _refused(impersonator, _request(agent, user="system:node:n2"))


def test_requestors_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from sampan.apiserver.auth import impersonation
    monkeypatch.setattr(impersonation, "MOST_REQUESTORS", 3)
    impersonator: Any = _world()[0]
    for index in range(10):
        impersonator.impersonate(_request(User(f"u{index}", groups=("system:masters",)), user="x"))
    assert list(impersonator._last) == ["u7", "u8", "u9"]
