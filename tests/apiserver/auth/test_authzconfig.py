"""Authorization configurations: what is taken, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec
from sampan.apiserver.auth.authzconfig import load, modes
from sampan.apiserver.auth.authzwebhook import WebhookSettings
from sampan.client import kubeconfig
from sampan.client.kubeconfig import Access
from sampan.lib.errors import ConfigError

HOOK = WebhookSettings("default", Access("https://x"))


def text(*authorizers: dict[str, Any]) -> bytes:
    return codec.encode({"kind": "AuthorizationConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "authorizers": list(authorizers)})


def webhook(**more: Any) -> dict[str, Any]:
    return {"type": "Webhook", "name": "w", "webhook": {
        "timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "Deny", "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/none"},
        "authorizedTTL": "1m", "unauthorizedTTL": "10s", **more}}


def test_a_configuration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.kubeconfig"
    kubeconfig.write(path, kubeconfig.build("w", Access("https://remote/reviews", token="t")))
    hook = webhook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": str(path)}, matchConditionSubjectAccessReviewVersion="v1",
                   matchConditions=[{"expression": "request.user != 'x'"}])
    read = load(text({"type": "Node", "name": "n"}, hook, {"type": "RBAC", "name": "r"}), "f").chain
    assert (read[0], read[2]) == ("Node", "RBAC")
    assert isinstance(read[1], WebhookSettings)
    assert read[1]._replace(access=HOOK.access) == WebhookSettings("w", HOOK.access, 60, 10, 3, "v1", True, ("request.user != 'x'",))
    assert (read[1].access.server, read[1].access.token) == ("https://remote/reviews", "t")


@pytest.mark.parametrize(("written", "why"), [
    (b"a: [", "can't be read"), (b"kind: Pod", "is no AuthorizationConfiguration"), (text(), "at least one authorization mode"),
    (text({"type": "ABAC", "name": "a"}), "Unsupported value"), (text({"type": "RBAC"}), "name: Required value"),
    (text({"type": "RBAC", "name": "A"}), "authorizer name is invalid"), (text({"type": "Webhook", "name": "w"}), "required when type=Webhook"),
    (text({"type": "RBAC", "name": "a"}, {"type": "RBAC", "name": "b"}), "Duplicate value"),
    (text({**webhook(), "type": "RBAC"}), "may only be specified when type=Webhook"), (text(webhook(timeout="31s")), "must be > 0s and <= 30s"),
    (text(webhook(timeout="")), "timeout: Required value"), (text(webhook(authorizedTTL="x")), "must be > 0s"),
    (text(webhook(failurePolicy="Maybe")), "failurePolicy: Unsupported value"), (text(webhook(subjectAccessReviewVersion="")), "Required value"),
    (text(webhook()), "must be a regular file"), (text(webhook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "x"})), "absolute path"),
    (text(webhook(connectionInfo={"type": "Else"})), "Unsupported value"),
    (text(webhook(matchConditions=[{"expression": "true"}])), "required if match conditions are specified"),
    (text(webhook(matchConditionSubjectAccessReviewVersion="v1", matchConditions=[{"expression": "request.none"}])), "undefined field"),
    (text(webhook(matchConditionSubjectAccessReviewVersion="v1", matchConditions=[{"expression": ""}])), "expression: Required value"),
])
def test_a_configuration_that_can_not_be_is_refused(written: bytes, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written, "authz.yaml")
    assert why in caught.value.message


def test_modes() -> None:
    assert modes(("Node", "RBAC"), None).chain == ("Node", "RBAC")
    assert modes(("RBAC", "Webhook"), HOOK).chain == ("RBAC", HOOK)
    for given, hook, why in ((("ABAC",), None, "not a valid mode"), (("RBAC", "RBAC"), None, "more than once"), (("Webhook",), None, "not passed"),
                             (("RBAC",), HOOK, "without mode Webhook")):
        with pytest.raises(ConfigError, match=why):
            modes(given, hook)
