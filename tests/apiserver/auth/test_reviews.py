from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.errors import BadRequest, Invalid
from sampan.api.resources import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    ROLE_BINDINGS,
    ROLES,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
)
from sampan.apiserver.auth.authorizers import default_authorizers
from sampan.apiserver.auth.reviews import REVIEWS, Reviewer
from sampan.apiserver.auth.tokens import TokenFile, TokenUnion
from sampan.apiserver.request import User

ALICE = User("alice", "u-alice", ("devs", "system:authenticated"), {"k": ("v",)})
API = "https://kubernetes.default.svc"


class At:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


def _post(resource: Any, body: dict[str, Any], *, user: User = ALICE, namespace: str = "") -> dict[str, Any]:
    readers = MemoryReaders()
    readers.put(ROLES, {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, "a")
    readers.put(ROLE_BINDINGS, {"metadata": {"name": "r"}, "subjects": [{"kind": "User", "name": "alice"}],
                                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}}, "a")
    reviewer = Reviewer(default_authorizers(readers), TokenUnion([TokenFile({"t": ALICE})]), At())
    obj = codec.convert(resource.wire, {"metadata": {}, **body})
    return codec.to_builtins(asyncio.run(REVIEWS[resource](reviewer, user, namespace, obj)))["status"]


GET_PODS = {"namespace": "a", "verb": "get", "resource": "pods"}
REASON = 'RBAC: allowed by RoleBinding "r/a" of Role "r" to User "alice"'


def test_who_am_i() -> None:
    assert _post(SELF_SUBJECT_REVIEWS, {}) == {"userInfo": {
        "username": "alice", "uid": "u-alice", "groups": ["devs", "system:authenticated"], "extra": {"k": ["v"]}}}


def test_whose_token_is_it() -> None:
    good = _post(TOKEN_REVIEWS, {"spec": {"token": "t"}})
    assert (good["authenticated"], good["user"]["username"], good["audiences"]) == (True, "alice", [API])
    assert _post(TOKEN_REVIEWS, {"spec": {"token": "x"}}) == {"error": "invalid bearer token", "user": {}}
    assert _post(TOKEN_REVIEWS, {"spec": {"token": "t", "audiences": ["other"]}}) == {"error": "invalid bearer token", "user": {}}
    with pytest.raises(BadRequest, match="token is required for TokenReview in authentication"):
        _post(TOKEN_REVIEWS, {"spec": {}})


def test_may_he() -> None:
    assert _post(SUBJECT_ACCESS_REVIEWS, {"spec": {"user": "alice", "resourceAttributes": GET_PODS}}) == {
        "allowed": True, "reason": REASON}
    assert _post(SUBJECT_ACCESS_REVIEWS, {"spec": {"user": "bob", "resourceAttributes": GET_PODS}}) == {"allowed": False}
    everything = {"verb": "*", "group": "*", "resource": "*"}
    assert _post(SUBJECT_ACCESS_REVIEWS, {"spec": {"groups": ["system:masters"], "resourceAttributes": everything}}) == {"allowed": True}
    assert _post(LOCAL_SUBJECT_ACCESS_REVIEWS, {"spec": {"user": "alice", "resourceAttributes": GET_PODS}}, namespace="a")["allowed"]


def test_may_i() -> None:
    assert _post(SELF_SUBJECT_ACCESS_REVIEWS, {"spec": {"resourceAttributes": GET_PODS}}) == {"allowed": True, "reason": REASON}
    path = {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}}
    assert _post(SELF_SUBJECT_ACCESS_REVIEWS, path) == {"allowed": False}


def test_what_may_i() -> None:
    status = _post(SELF_SUBJECT_RULES_REVIEWS, {"spec": {"namespace": "a"}})
    assert status["resourceRules"] == [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    assert (status["nonResourceRules"], status["incomplete"]) == ([], False)
    node = User("system:node:n", groups=("system:nodes",))
    status = _post(SELF_SUBJECT_RULES_REVIEWS, {"spec": {"namespace": "a"}}, user=node)
    assert (status["incomplete"], status["evaluationError"]) == (True, "node authorizer does not support user rule resolution")
    with pytest.raises(BadRequest, match="no namespace on request"):
        _post(SELF_SUBJECT_RULES_REVIEWS, {"spec": {}})


@pytest.mark.parametrize(("resource", "spec", "text"), [
    (SUBJECT_ACCESS_REVIEWS, {"resourceAttributes": {"verb": "get"}},
     'spec.user: Invalid value: "": at least one of user or group must be specified'),
    (SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/x"}},
     'spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":""}: cannot be specified in combination with resourceAttributes'),
    (SELF_SUBJECT_ACCESS_REVIEWS, {},
     "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"),
    (SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {"verb": "get", "labelSelector": {"requirements": [
        {"key": "a", "operator": "New"}, {"key": "a", "operator": "Exists", "values": ["b"]}]}}},
     "spec.resourceAttributes.labelSelector.requirements[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
    (SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {"verb": "get", "fieldSelector": {"requirements": [
        {"key": "", "operator": "Exists"}]}}},
     "spec.resourceAttributes.fieldSelector.requirements[0].key: Required value: must be specified"),
    (LOCAL_SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {"namespace": "b", "verb": "get"}},
     'spec.resourceAttributes.namespace: Invalid value: "b": must match metadata.namespace'),
])
def test_a_question_that_is_none_is_refused(resource: Any, spec: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid) as caught:
        _post(resource, {"spec": spec}, namespace="a")
    assert caught.value.message == f'.authorization.k8s.io "" is invalid: {text}'
