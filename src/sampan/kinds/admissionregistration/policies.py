"""What the specs of both kinds of admission policies begin with: whom they match, their parameters, conditions and variables.

Source: kubernetes `pkg/apis/admissionregistration/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.admissionregistration.v1 import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicySpec,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicySpec,
)
from sampan.api.cel.admission import environment
from sampan.api.cel.environment import Environment
from sampan.kinds import checks
from sampan.kinds.admissionregistration import expressions, rules
from sampan.kinds.checks import Findings


def default(obj: MutatingAdmissionPolicy | ValidatingAdmissionPolicy) -> None:
    """A policy that fails refuses; what it matches has the defaults of webhooks."""
    obj.spec.failurePolicy = "Fail" if obj.spec.failurePolicy is None else obj.spec.failurePolicy
    if obj.spec.matchConstraints is not None:
        rules.default_match(obj.spec.matchConstraints)


def validate_head(spec: MutatingAdmissionPolicySpec | ValidatingAdmissionPolicySpec, *, mutating: bool = False) -> tuple[Findings, Environment]:
    """The findings, and what the policy's expressions may speak of: with its variables."""
    out = Findings()
    if spec.failurePolicy is None:
        out.append(field.required("spec.failurePolicy"))
    else:
        out += checks.one_of(spec.failurePolicy, rules.FAILURE_POLICIES, "spec.failurePolicy")
    if spec.paramKind is not None:
        out += rules.validate_param_kind(spec.paramKind, "spec.paramKind")
    if spec.matchConstraints is None:
        out.append(field.required("spec.matchConstraints"))
    else:
        out += rules.validate_match(spec.matchConstraints, "spec.matchConstraints")
        if not spec.matchConstraints.resourceRules:
            out.append(field.required("spec.matchConstraints.resourceRules"))
        if mutating:
            out += rules.validate_mutable(spec.matchConstraints, "spec.matchConstraints")
    params = spec.paramKind is not None
    out += rules.validate_match_conditions(spec.matchConditions, "spec.matchConditions",
                                           expressions.conditions(spec.matchConditions, "spec.matchConditions", params=params))
    env = environment(params=params, mutating=mutating)
    problems: dict[int, Findings] = {}
    if spec.variables or mutating:
        env, problems = expressions.variables(env, spec.variables, "spec.variables")
    return out + rules.validate_variables(spec.variables, "spec.variables", problems), env
