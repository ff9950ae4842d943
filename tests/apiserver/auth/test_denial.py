from __future__ import annotations

import pytest

from sampan.apiserver.auth.denial import denial
from sampan.apiserver.request import Attributes, User

ALICE = User('al"ice')


@pytest.mark.parametrize(("values", "reason", "text"), [
    ({"resource": "pods", "namespace": "a", "name": "x"}, "",
     'pods "x" is forbidden: User "al\\"ice" cannot get resource "pods" in API group "" in the namespace "a"'),
    ({"resource": "deployments", "subresource": "scale", "group": "apps"}, "why",
     'deployments.apps is forbidden: User "al\\"ice" cannot get resource "deployments/scale" in API group "apps" at the cluster scope: why'),
])
def test_a_resource_is_named_with_its_scope(values: dict[str, str], reason: str, text: str) -> None:
    attributes = Attributes(user=ALICE, verb="get", path="", is_resource=True, **values)  # type: ignore[arg-type]
    assert denial(attributes, reason).message == text


def test_a_path_has_empty_details() -> None:
    status = denial(Attributes(user=ALICE, verb="get", path="/metrics")).status()
    assert status["message"] == 'forbidden: User "al\\"ice" cannot get path "/metrics"'
    assert status["details"] == {}
    assert list(status) == ["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"]
