"""Admission policies through the chain: what they deny, warn of, note and change."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, refusal
from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.errors import OtherStatus
from sampan.api.resources import (
    CONFIG_MAPS,
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    NAMESPACES,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from sampan.apiserver.admission.policy_plugins import MutatingAdmissionPolicies, ValidatingAdmissionPolicies
from sampan.apiserver.auth.authorizers import default_authorizers

MATCH = {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}]}


def _readers() -> MemoryReaders:
    readers = MemoryReaders()
    readers.put(NAMESPACES, {"metadata": {"name": "a", "labels": {"team": "x"}}})
    return readers


def _validating(spec: dict[str, Any], *, actions: tuple[str, ...] = ("Deny",), readers: MemoryReaders | None = None,
                **binding: Any) -> ValidatingAdmissionPolicies:
    readers = readers or _readers()
    readers.put(VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "p"}, "spec": {"matchConstraints": MATCH, "failurePolicy": "Fail"} | spec})
    readers.put(VALIDATING_ADMISSION_POLICY_BINDINGS, {"metadata": {"name": "b"}, "spec": {
        "policyName": "p", "validationActions": list(actions)} | binding})
    return ValidatingAdmissionPolicies(readers, default_authorizers(readers))


def _mutating(spec: dict[str, Any]) -> MutatingAdmissionPolicies:
    readers = _readers()
    readers.put(MUTATING_ADMISSION_POLICIES, {"metadata": {"name": "p"}, "spec": {
        "matchConstraints": MATCH, "failurePolicy": "Fail", "reinvocationPolicy": "Never"} | spec})
    readers.put(MUTATING_ADMISSION_POLICY_BINDINGS, {"metadata": {"name": "b"}, "spec": {"policyName": "p"}})
    return MutatingAdmissionPolicies(readers, default_authorizers(readers))


def _map(name: str = "web", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}} | more


def test_a_denial_has_the_reason_and_the_message_of_its_validation() -> None:
    plugin = _validating({"validations": [{"expression": "object.metadata.name != 'web'", "messageExpression": "'no ' + object.metadata.name", "reason": "Forbidden"}]})
    with pytest.raises(OtherStatus) as caught:
        admit(plugin, ask("CREATE", CONFIG_MAPS, _map()))
    assert (caught.value.code, caught.value.reason) == (403, "Forbidden")
    assert caught.value.message == "configmaps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no web"


@pytest.mark.parametrize("expression", [
    "request.operation == 'CREATE' && request.userInfo.username == 'kubernetes-admin'", "namespaceObject.metadata.labels.team == 'x'", "oldObject == null",
    "authorizer.group('').resource('pods').namespace('a').check('create').allowed()", "authorizer.requestResource.check('create').allowed()",
    "has(object.data) ? object.data.all(k, object.data[k] != '') : true", "request.kind.kind == 'ConfigMap'",
])
def test_expressions_see_the_request(expression: str) -> None:
    admit(_validating({"validations": [{"expression": expression}]}), ask("CREATE", CONFIG_MAPS, _map()))


def test_variables_are_worked_out_once_and_see_those_before() -> None:
    spec = {"variables": [{"name": "n", "expression": "object.metadata.name"}, {"name": "l", "expression": "variables.n.size()"}],
            "validations": [{"expression": "variables.l > 3", "messageExpression": "string(variables.l)"}]}
    assert refusal(_validating(spec), ask("CREATE", CONFIG_MAPS, _map()), OtherStatus).endswith("denied request: 3")


def test_match_conditions_and_selectors_let_others_pass() -> None:
    never = [{"expression": "false"}]
    admit(_validating({"validations": never, "matchConditions": [{"name": "c", "expression": "object.metadata.name == 'other'"}]}), ask("CREATE", CONFIG_MAPS, _map()))
    admit(_validating({"validations": never, "matchConstraints": MATCH | {"namespaceSelector": {"matchLabels": {"team": "y"}}}}), ask("CREATE", CONFIG_MAPS, _map()))
    admit(_validating({"validations": never}, matchResources={"objectSelector": {"matchLabels": {"a": "b"}}}), ask("CREATE", CONFIG_MAPS, _map()))


def test_an_error_denies_or_is_ignored_as_the_policy_says() -> None:
    rule = [{"expression": "object.data.x == 'y'"}]
    words = refusal(_validating({"validations": rule}), ask("CREATE", CONFIG_MAPS, _map()), OtherStatus)
    assert words.endswith("expression 'object.data.x == 'y'' resulted in error: no such key: data")
    admit(_validating({"validations": rule, "failurePolicy": "Ignore"}), ask("CREATE", CONFIG_MAPS, _map()))


def test_warnings_and_audit_annotations_let_the_request_pass() -> None:
    spec = {"validations": [{"expression": "false", "message": "hm"}], "auditAnnotations": [{"key": "who", "valueExpression": "request.userInfo.username"}]}
    request = admit(_validating(spec, actions=("Warn", "Audit")), ask("CREATE", CONFIG_MAPS, _map()))
    assert request.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': hm"]
    assert request.audit_annotations["p/who"] == "kubernetes-admin"
    assert codec.loads(request.audit_annotations["validation.policy.admission.k8s.io/validation_failure"])[0]["message"] == "hm"


def test_parameters_come_from_the_binding() -> None:
    readers = _readers()
    spec = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{"expression": "object.metadata.name != params.data.bad"}]}
    ref = {"name": "limits", "parameterNotFoundAction": "Deny"}
    plugin = _validating(spec, readers=readers, paramRef=ref)
    assert "no params found for policy binding with `Deny` parameterNotFoundAction" in refusal(plugin, ask("CREATE", CONFIG_MAPS, _map()), OtherStatus)
    readers.put(CONFIG_MAPS, {"metadata": {"name": "limits"}, "data": {"bad": "web"}}, "a")
    assert refusal(plugin, ask("CREATE", CONFIG_MAPS, _map()), OtherStatus).endswith("failed expression: object.metadata.name != params.data.bad")
    admit(plugin, ask("CREATE", CONFIG_MAPS, _map("ok")))


def test_policies_cannot_lock_themselves_out() -> None:
    plugin = _validating({"validations": [{"expression": "false"}], "matchConstraints": {"resourceRules": [
        {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}})
    body = {"metadata": {"name": "p"}, "spec": {"policyName": "p"}}
    admit(plugin, ask("UPDATE", VALIDATING_ADMISSION_POLICY_BINDINGS, body, body))


def test_both_kinds_of_patch_change_the_object_in_order() -> None:
    plugin = _mutating({"mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'added': 'yes'}}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data', value: {'n': object.metadata.labels.added}}]"}}]})
    request = admit(plugin, ask("CREATE", CONFIG_MAPS, _map()))
    assert request.object.metadata.labels == {"added": "yes"}
    assert request.object.data == {"n": "yes"}


def test_a_mutation_that_fails_refuses_the_request() -> None:
    plugin = _mutating({"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/nothing'}]"}}]})
    assert "policy 'p' with binding 'b' denied request" in refusal(plugin, ask("CREATE", CONFIG_MAPS, _map()))
