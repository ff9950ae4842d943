"""What both kinds of admission policies begin with."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.admissionregistration.v1 import MutatingAdmissionPolicy, ValidatingAdmissionPolicy
from sampan.kinds.admissionregistration import policies

BOTH = pytest.mark.parametrize("wire", [MutatingAdmissionPolicy, ValidatingAdmissionPolicy])
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def made(wire: type[Any], **spec: Any) -> Any:
    return codec.convert(wire, {"metadata": {"name": "policy"}, "spec": {"matchConstraints": {"resourceRules": [RULE]}, **spec}})


def found(policy: Any) -> list[tuple[str, str]]:
    policies.default(policy)
    findings, _ = policies.validate_head(policy.spec, mutating=isinstance(policy, MutatingAdmissionPolicy))
    return [(one.reason, one.field) for one in findings]


@BOTH
def test_a_policy_that_says_the_least_is_good_and_refuses_when_it_fails(wire: type[Any]) -> None:
    # given
    policy = made(wire)
    # then
    assert found(policy) == []
    assert (policy.spec.failurePolicy, policy.spec.matchConstraints.matchPolicy) == ("Fail", "Equivalent")


@BOTH
@pytest.mark.parametrize(("spec", "problem"), [
    ({"matchConstraints": None}, ("FieldValueRequired", "spec.matchConstraints")),
    ({"matchConstraints": {}}, ("FieldValueRequired", "spec.matchConstraints.resourceRules")),
    ({"failurePolicy": "Shrug"}, ("FieldValueNotSupported", "spec.failurePolicy")),
    ({"paramKind": {"apiVersion": "v1"}}, ("FieldValueRequired", "spec.paramKind.kind")),
    ({"variables": [{"name": "bad", "expression": "1 +"}]}, ("FieldValueInvalid", "spec.variables[0].expression")),
])
def test_what_is_wrong_is_told_with_its_place(wire: type[Any], spec: dict[str, Any], problem: tuple[str, str]) -> None:
    assert problem in found(made(wire, **spec))


@BOTH
def test_expressions_may_speak_of_parameters_only_where_the_policy_has_some(wire: type[Any]) -> None:
    # given
    variable = {"variables": [{"name": "most", "expression": "params.most"}]}
    # then
    assert found(made(wire, **variable)) == [("FieldValueInvalid", "spec.variables[0].expression")]
    assert found(made(wire, paramKind={"apiVersion": "v1", "kind": "ConfigMap"}, **variable)) == []
