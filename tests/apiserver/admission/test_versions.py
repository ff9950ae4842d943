"""Policies whose rules name another version of a resource than the request: matchPolicy Equivalent, on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from api_asking import Asker, with_server
from apiserver.crd.definitions import condition, until

GROUP = "/apis/admissionregistration.k8s.io/v1"
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"


def hpa(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}], **spec}}


def rules(group: str, version: str, resource: str, policy: str = "Equivalent") -> dict[str, Any]:
    return {"matchPolicy": policy, "resourceRules": [{"apiGroups": [group], "apiVersions": [version], "operations": ["*"], "resources": [resource]}]}


async def validating(asker: Asker, constraints: dict[str, Any], expression: str, message: str = "''") -> None:
    await asker.must("POST", f"{GROUP}/validatingadmissionpolicies", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": {
            "matchConstraints": constraints, "validations": [{"expression": expression, "messageExpression": message}]}})
    await asker.must("POST", f"{GROUP}/validatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": ["Deny"]}})


async def mutating(asker: Asker, constraints: dict[str, Any], expression: str) -> None:
    await asker.must("POST", f"{GROUP}/mutatingadmissionpolicies", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": {
            "matchConstraints": constraints, "reinvocationPolicy": "Never", "failurePolicy": "Fail",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]}})
    await asker.must("POST", f"{GROUP}/mutatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": {"policyName": "p"}})


def test_a_policy_sees_the_version_that_its_rules_name() -> None:
    async def test(asker: Asker) -> None:
        await validating(asker, rules("autoscaling", "v1", "horizontalpodautoscalers"), "object.spec.targetCPUUtilizationPercentage > 80",
                         "object.apiVersion + ' ' + request.resource.version + ' ' + request.requestResource.version")
        code, status = await asker.ask("POST", HPAS, hpa())
        assert code == 422
        assert status["message"].endswith("denied request: autoscaling/v1 v1 v2")

    with_server(test)


def test_exact_means_exact() -> None:
    async def test(asker: Asker) -> None:
        await validating(asker, rules("autoscaling", "v1", "horizontalpodautoscalers", "Exact"), "false")
        await asker.must("POST", HPAS, hpa())

    with_server(test)


def test_what_a_policy_changed_in_another_version_comes_back_in_the_requests_own() -> None:
    async def test(asker: Asker) -> None:
        await mutating(asker, rules("autoscaling", "v1", "horizontalpodautoscalers"),
                       "Object{spec: Object.spec{targetCPUUtilizationPercentage: 55, maxReplicas: 9}}")
        made = await asker.must("POST", HPAS, hpa())
        assert made["apiVersion"] == "autoscaling/v2"
        assert made["spec"]["maxReplicas"] == 9
        assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 55

    with_server(test)


@pytest.mark.slow
def test_versions_of_custom_resources_are_equivalent_too() -> None:
    async def test(asker: Asker) -> None:
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}
        await asker.must("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"}, "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
                "versions": [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v2")]}})
        await until(asker, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com",
                    lambda _, value: condition(value, "Established").get("status") == "True")
        await mutating(asker, rules("example.com", "v2", "widgets"), "Object{spec: Object.spec{size: object.apiVersion == 'example.com/v2' ? 2 : 1}}")
        made = await asker.must("POST", WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 0}})
        assert (made["apiVersion"], made["spec"]["size"]) == ("example.com/v1", 2)

    with_server(test)
