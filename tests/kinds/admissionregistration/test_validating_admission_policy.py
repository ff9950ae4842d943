"""Admission policies and their bindings."""

from __future__ import annotations

from typing import Any

from kinds.core.making import created, findings
from sampan.api.resources import (
    MUTATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)

RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"matchConstraints": {"resourceRules": [RULE]},
                                                "validations": [{"expression": "true"}]} | spec}


def test_a_policy_matches_every_namespace_and_object_unless_it_says_else() -> None:
    spec = created(VALIDATING_ADMISSION_POLICIES, body()).spec
    assert (spec.failurePolicy, spec.matchConstraints.matchPolicy) == ("Fail", "Equivalent")
    assert findings(VALIDATING_ADMISSION_POLICIES, body()) == []


def test_a_policy_says_what_is_wrong_with_it() -> None:
    spec = {"failurePolicy": "Perhaps", "paramKind": {"kind": "K"}, "variables": [{"name": "1x", "expression": "true"}],
            "matchConditions": [{"name": "a", "expression": "true"}, {"name": "a", "expression": " "}],
            "validations": [{"expression": "", "message": "a\nb", "reason": "Because"}]}
    assert findings(VALIDATING_ADMISSION_POLICIES, body(**spec)) == [
        'spec.failurePolicy: Unsupported value: "Perhaps": supported values: "Fail", "Ignore"',
        "spec.paramKind.apiVersion: Required value", "spec.matchConditions[1].expression: Required value",
        'spec.matchConditions[1].name: Duplicate value: "a"',
        'spec.variables[0].name: Invalid value: "1x": must be a valid CEL identifier',
        "spec.validations[0].expression: Required value: expression is not specified",
        'spec.validations[0].message: Invalid value: "a\\nb": message must not contain line breaks',
        'spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", '
        '"RequestEntityTooLarge"']


def test_a_policy_does_something() -> None:
    words = "Required value: validations or auditAnnotations must contain at least one item"
    assert findings(VALIDATING_ADMISSION_POLICIES, body(validations=[])) == [
        f"spec.validations: {words}", f"spec.auditAnnotations: {words}"]


def test_a_binding_names_a_policy_and_what_to_do() -> None:
    spec = {"policyName": "", "validationActions": ["Warn", "Warn", "Shout"], "paramRef": {}}
    assert findings(VALIDATING_ADMISSION_POLICY_BINDINGS, {"metadata": {"name": "b"}, "spec": spec}) == [
        "spec.policyName: Required value", "spec.paramRef: Required value: one of name or selector must be specified",
        "spec.paramRef.parameterNotFoundAction: Required value", 'spec.validationActions[1]: Duplicate value: "Warn"',
        'spec.validationActions[2]: Unsupported value: "Shout": supported values: "Audit", "Deny", "Warn"']


def test_a_mutation_is_of_one_type() -> None:
    mutations = [{"patchType": "JSONPatch", "applyConfiguration": {"expression": "x"}}, {"patchType": "Magic"}]
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "mutations": mutations, "reinvocationPolicy": "Never"}
    assert [text.split(":")[0] for text in findings(MUTATING_ADMISSION_POLICIES, {"metadata": {"name": "m"}, "spec": spec})] == [
        "spec.mutations[0].applyConfiguration", "spec.mutations[0].jsonPatch", "spec.mutations[1].patchType"]
