"""Admission policies and their bindings."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import created, findings
from sampan.api.resources import (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
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
    assert findings(MUTATING_ADMISSION_POLICIES, {"metadata": {"name": "m"}, "spec": spec}) == [
        "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
        'spec.mutations[0].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch',
        'spec.mutations[1].patchType: Unsupported value: "Magic": supported values: "ApplyConfiguration", "JSONPatch"']


def test_what_is_deleted_is_not_changed() -> None:
    rules = [RULE | {"operations": ["DELETE"]}]
    told = 'resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"'
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/a'}]"}}
    spec = {"matchConstraints": {"resourceRules": rules}, "mutations": [mutation], "reinvocationPolicy": "Never"}
    assert findings(MUTATING_ADMISSION_POLICIES, {"metadata": {"name": "m"}, "spec": spec}) == [f"spec.matchConstraints.{told}"]
    binding = {"metadata": {"name": "m"}, "spec": {"policyName": "m", "matchResources": {"resourceRules": rules}}}
    assert findings(MUTATING_ADMISSION_POLICY_BINDINGS, binding) == [f"spec.matchResources.{told}"]


@pytest.mark.parametrize(("variables", "wrong"), [
    ([], ["spec.validations[0].expression", "undeclared reference to 'variables' (in container '')"]),
    ([{"name": "a", "expression": "1"}], ["spec.validations[0].expression", "undefined field 'b'"]),
    ([{"name": "b", "expression": " "}], ["spec.variables[0].expression", "expression is not specified",
                                          "spec.validations[0].expression", "undefined field 'b'"]),
])
def test_variables_are_known_where_there_are_some(variables: list[dict[str, str]], wrong: list[str]) -> None:
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "variables": variables, "validations": [{"expression": "variables.b == 1"}]}
    told = findings(VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "v"}, "spec": spec})
    assert len(told) == len(wrong) // 2
    assert all(text.startswith(path) and words in text for text, path, words in zip(told, wrong[::2], wrong[1::2], strict=True))


def test_what_is_set_to_nothing_is_not_left_out() -> None:
    spec = {"failurePolicy": "", "matchConstraints": {"matchPolicy": "", "resourceRules": [RULE]}, "validations": [{"expression": "true"}]}
    assert findings(VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "v"}, "spec": spec}) == [
        'spec.failurePolicy: Unsupported value: "": supported values: "Fail", "Ignore"',
        'spec.matchConstraints.matchPolicy: Unsupported value: "": supported values: "Equivalent", "Exact"']
