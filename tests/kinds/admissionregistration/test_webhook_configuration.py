"""Webhook configurations."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import MUTATING_WEBHOOK_CONFIGURATIONS, VALIDATING_WEBHOOK_CONFIGURATIONS

RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def body(**hook: Any) -> dict[str, Any]:
    return {"metadata": {"name": "w"}, "webhooks": [{
        "name": "a.example.com", "clientConfig": {"service": {"name": "s", "namespace": "n"}}, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "rules": [RULE]} | hook]}


def test_a_webhook_gets_upstreams_defaults() -> None:
    hook = created(MUTATING_WEBHOOK_CONFIGURATIONS, body()).webhooks[0]
    assert (hook.failurePolicy, hook.matchPolicy, hook.timeoutSeconds, hook.reinvocationPolicy) == ("Fail", "Equivalent", 10, "Never")
    assert (hook.clientConfig.service.port, hook.rules[0].scope) == (443, "*")


def test_a_webhook_says_what_is_wrong_with_it() -> None:
    hook = {"name": "short", "sideEffects": "Some", "timeoutSeconds": 31, "admissionReviewVersions": ["v2"],
            "clientConfig": {"url": "http://me@x/y?z#f"}, "rules": [RULE | {"operations": ["*", "CREATE"]}]}
    assert findings(VALIDATING_WEBHOOK_CONFIGURATIONS, body(**hook)) == [
        'webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots',
        "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
        'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
        "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: "
        "https://host[/path]",
        'webhooks[0].clientConfig.url: Invalid value: "me": user information is not permitted in the URL',
        'webhooks[0].clientConfig.url: Invalid value: "f": fragments are not permitted in the URL',
        'webhooks[0].clientConfig.url: Invalid value: "z": query parameters are not permitted in the URL',
        'webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1']


def test_a_path_of_a_service_has_no_empty_segments() -> None:
    service = {"service": {"name": "s", "namespace": "n", "path": "/a//b"}}
    assert findings(VALIDATING_WEBHOOK_CONFIGURATIONS, body(clientConfig=service)) == [
        'webhooks[0].clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be empty']


def test_the_generation_moves_with_the_webhooks() -> None:
    old = created(VALIDATING_WEBHOOK_CONFIGURATIONS, body())
    assert changed(VALIDATING_WEBHOOK_CONFIGURATIONS, old, {"metadata": {"labels": {"a": "b"}}})[0].metadata.generation == 1
    assert changed(VALIDATING_WEBHOOK_CONFIGURATIONS, old, {"webhooks": []})[0].metadata.generation == 2


@pytest.mark.parametrize(("service", "told"), [
    ({"name": "", "namespace": "n"}, ["namespace: Required value"]),
    ({"name": "s", "namespace": ""}, ["name: Required value"]),
    ({"name": "s", "namespace": "n", "path": ""}, []),
    ({"name": "s", "namespace": "n", "path": "//"}, ['path: Invalid value: "//": segment[0] may not be empty']),
    ({"name": "s", "namespace": "n", "path": "x"}, ["path: Invalid value: \"x\": must start with a '/'",
                                                    'path: Invalid value: "x": segment[0] may not be empty']),
    ({"name": "s", "namespace": "n", "path": "/a//b"}, ['path: Invalid value: "/a//b": segment[1] may not be empty']),
])
def test_what_a_service_lacks_is_told_of_the_other_name(service: dict[str, Any], told: list[str]) -> None:
    assert findings(VALIDATING_WEBHOOK_CONFIGURATIONS, body(clientConfig={"service": service})) == [
        f"webhooks[0].clientConfig.service.{text}" for text in told]
