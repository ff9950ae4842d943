"""Which requests a flow schema is about."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.flowcontrol.v1 import FlowSchema
from sampan.apiserver.flowcontrol.rules import distinguisher, matches
from sampan.apiserver.parse import parse
from sampan.apiserver.request import RequestInfo, User

ROBOT = User("system:serviceaccount:ci:robot", groups=("system:serviceaccounts", "system:authenticated"))
EVERYBODY = [{"kind": "Group", "group": {"name": "*"}}]
PODS = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}]


def request(path: str, method: str = "GET", user: User = ROBOT) -> RequestInfo:
    info = parse(method, path, {}, {})
    info.user = user
    return info


def schema(subjects: Any = EVERYBODY, resources: Any = PODS, paths: Any = (), by: str = "") -> FlowSchema:
    return codec.convert(FlowSchema, {"metadata": {"name": "s"}, "spec": {
        "priorityLevelConfiguration": {"name": "l"}, "matchingPrecedence": 1, **({"distinguisherMethod": {"type": by}} if by else {}),
        "rules": [{"subjects": subjects, "resourceRules": resources, "nonResourceRules": list(paths)}]}})


@pytest.mark.parametrize(("subject", "expected"), [
    ({"kind": "User", "user": {"name": ROBOT.name}}, True),
    ({"kind": "User", "user": {"name": "*"}}, True),
    ({"kind": "User", "user": {"name": "robot"}}, False),
    ({"kind": "Group", "group": {"name": "system:serviceaccounts"}}, True),
    ({"kind": "Group", "group": {"name": "system:masters"}}, False),
    ({"kind": "Group"}, False),
    ({"kind": "ServiceAccount", "serviceAccount": {"namespace": "ci", "name": "robot"}}, True),
    ({"kind": "ServiceAccount", "serviceAccount": {"namespace": "ci", "name": "*"}}, True),
    ({"kind": "ServiceAccount", "serviceAccount": {"namespace": "c", "name": "*"}}, False),
    ({"kind": "ServiceAccount", "serviceAccount": {"namespace": "ci", "name": "rob"}}, False),
    ({"kind": "ServiceAccount"}, False),
])
def test_subjects(subject: dict[str, Any], *, expected: bool) -> None:
    assert matches(request("/api/v1/namespaces/a/pods/p"), schema([subject])) is expected


@pytest.mark.parametrize(("method", "path", "rule", "expected"), [
    ("GET", "/api/v1/namespaces/a/pods/p", {}, True),
    ("GET", "/api/v1/namespaces/a/pods", {}, False),
    ("GET", "/api/v1/namespaces/a/pods", {"verbs": ["*"]}, True),
    ("GET", "/api/v1/namespaces/a/pods/p/log", {}, False),
    ("GET", "/api/v1/namespaces/a/pods/p/log", {"resources": ["pods/log"]}, True),
    ("GET", "/api/v1/namespaces/a/pods/p/log", {"resources": ["*"]}, True),
    ("GET", "/apis/apps/v1/namespaces/a/deployments/p", {"resources": ["*"]}, False),
    ("GET", "/apis/apps/v1/namespaces/a/deployments/p", {"resources": ["*"], "apiGroups": ["*"]}, True),
    ("GET", "/api/v1/namespaces/a/pods/p", {"namespaces": ["a", "b"]}, True),
    ("GET", "/api/v1/namespaces/a/pods/p", {"namespaces": ["b"]}, False),
    ("GET", "/api/v1/namespaces/a/pods/p", {"namespaces": None}, False),
    ("GET", "/api/v1/pods", {"verbs": ["list"]}, False),
    ("GET", "/api/v1/pods", {"verbs": ["list"], "clusterScope": True}, True),
    ("GET", "/healthz", {"verbs": ["*"], "resources": ["*"], "clusterScope": True}, False),
])
def test_resource_rules(method: str, path: str, rule: dict[str, Any], *, expected: bool) -> None:
    assert matches(request(path, method), schema(resources=[PODS[0] | rule])) is expected


@pytest.mark.parametrize(("path", "rule", "expected"), [
    ("/healthz", "/healthz", True), ("/healthz/etcd", "/healthz", True), ("/healthz2", "/healthz", False),
    ("/metrics", "*", True), ("/openapi/v3/apis/apps", "/openapi/*", True), ("/openapi2", "/openapi/*", False),
])
def test_path_rules(path: str, rule: str, *, expected: bool) -> None:
    schema_ = schema(resources=[], paths=[{"verbs": ["get"], "nonResourceURLs": [rule]}])
    assert matches(request(path), schema_) is expected
    assert not matches(request(path, "POST"), schema_)


def test_flows_are_users_or_namespaces_or_all_the_same() -> None:
    info = request("/api/v1/namespaces/a/pods/p")
    assert [distinguisher(info, schema(by=by).spec) for by in ("ByUser", "ByNamespace", "")] == [ROBOT.name, "a", ""]
