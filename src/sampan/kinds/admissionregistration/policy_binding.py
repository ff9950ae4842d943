"""ValidatingAdmissionPolicyBinding and MutatingAdmissionPolicyBinding: where a policy holds, and with which parameters.

Source: kubernetes `pkg/apis/admissionregistration/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import field, names
from sampan.api.admissionregistration.v1 import MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBinding
from sampan.api.resources import MUTATING_ADMISSION_POLICY_BINDINGS, VALIDATING_ADMISSION_POLICY_BINDINGS
from sampan.kinds import checks, meta
from sampan.kinds.admissionregistration import rules
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

ACTIONS = ("Audit", "Deny", "Warn")

Binding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding


def default(obj: Binding) -> None:
    if obj.spec.matchResources is not None:
        rules.default_match(obj.spec.matchResources)


def validate(obj: Binding) -> Findings:
    out = checks.required_name(obj.spec.policyName, names.dns1123_subdomain, "spec.policyName")
    if obj.spec.paramRef is not None:
        out += rules.validate_param_ref(obj.spec.paramRef, "spec.paramRef")
    if obj.spec.matchResources is not None:
        out += rules.validate_match(obj.spec.matchResources, "spec.matchResources")
    return out


def validate_mutating(obj: MutatingAdmissionPolicyBinding) -> Findings:
    match = obj.spec.matchResources
    return validate(obj) + (rules.validate_mutable(match, "spec.matchResources") if match is not None else [])


def validate_validating(obj: ValidatingAdmissionPolicyBinding) -> Findings:
    actions, at, out = obj.spec.validationActions, "spec.validationActions", validate(obj)
    again = set(checks.repeated(actions))
    for index, one in enumerate(actions):
        out += checks.one_of(one, ACTIONS, f"{at}[{index}]")
        if index in again:
            out.append(field.duplicate(f"{at}[{index}]", one))
    if "Deny" in actions and "Warn" in actions:
        out.append(field.invalid(at, actions, "must not contain both Deny and Warn (repeating the same validation failure "
                                              "information in the API response and headers serves no purpose)"))
    if not actions:
        out.append(field.required(at, "at least one validation action is required"))
    return out


def _params(obj: Binding) -> str:
    ref = obj.spec.paramRef
    if ref is None:
        return "<unset>"
    name = ref.name or "*"
    return f"{ref.namespace}/{name}" if ref.namespace else name


_COLUMNS: tuple[Column[Any], ...] = (
    Column("Name", lambda obj, _: obj.metadata.name, format="name"),
    Column("PolicyName", lambda obj, _: obj.spec.policyName),
    Column("ParamRef", lambda obj, _: _params(obj)),
    Column("Age", age),
)

VALIDATING: Kind[ValidatingAdmissionPolicyBinding] = Kind(
    resource=VALIDATING_ADMISSION_POLICY_BINDINGS,
    metadata="object",
    default=default,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate_validating,
    columns=_COLUMNS,
    unconditional_update=False,
)

MUTATING: Kind[MutatingAdmissionPolicyBinding] = Kind(
    resource=MUTATING_ADMISSION_POLICY_BINDINGS,
    metadata="object",
    default=default,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate_mutating,
    columns=_COLUMNS,
    unconditional_update=False,
)
