"""ValidatingAdmissionPolicy: rules in CEL that objects must pass.

Source: kubernetes `pkg/apis/admissionregistration/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.admissionregistration.v1 import (
    AuditAnnotation,
    ValidatingAdmissionPolicy,
    Validation,
)
from sampan.api.cel.admission import STRING_OR_NULL, environment
from sampan.api.cel.environment import Environment
from sampan.api.cel.types import BOOL, STRING
from sampan.api.resources import VALIDATING_ADMISSION_POLICIES
from sampan.kinds import checks, meta
from sampan.kinds.admissionregistration import expressions, policies, rules
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
MAX_AUDIT_ANNOTATIONS = 20
MAX_AUDIT_EXPRESSION_BYTES = 5 * 1024


def validate(obj: ValidatingAdmissionPolicy) -> Findings:
    spec = obj.spec
    out, env = policies.validate_head(spec)
    if not spec.validations and not spec.auditAnnotations:
        words = "validations or auditAnnotations must contain at least one item"
        return [*out, field.required("spec.validations", words), field.required("spec.auditAnnotations", words)]
    for index, one in enumerate(spec.validations):
        out += _validation(one, f"spec.validations[{index}]", env, params=spec.paramKind is not None)
    return out + _audit_annotations(obj.metadata.name, spec.auditAnnotations, "spec.auditAnnotations", env)


def _validation(one: Validation, at: str, env: Environment, *, params: bool) -> Findings:
    out: Findings = []
    if not one.expression.strip():
        out.append(field.required(f"{at}.expression", "expression is not specified"))
    out += expressions.check(env, one.expression, (BOOL,), f"{at}.expression")
    told = environment(params=params, authorizer=False)
    if "variables" in env.variables:
        told = told.extended({"variables": env.variables["variables"]})
    out += expressions.check(told, one.messageExpression, (STRING,), f"{at}.messageExpression")
    if one.messageExpression and not one.messageExpression.strip():
        out.append(field.invalid(f"{at}.messageExpression", one.messageExpression, "must be non-empty if specified"))
    if one.message and not one.message.strip():
        out.append(field.invalid(f"{at}.message", one.message, "message must be non-empty if specified"))
    elif any(line in one.message.strip() for line in "\n\r"):
        out.append(field.invalid(f"{at}.message", one.message, "message must not contain line breaks"))
    if one.reason is not None:
        out += checks.one_of(one.reason, REASONS, f"{at}.reason")
    return out


def _audit_annotations(name: str, annotations: list[AuditAnnotation], at: str, env: Environment) -> Findings:
    out: Findings = []
    if len(annotations) > MAX_AUDIT_ANNOTATIONS:
        out.append(field.invalid(at, internal(annotations), f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations"))
    seen: set[str] = set()
    for index, one in enumerate(annotations):
        where = f"{at}[{index}]"
        if name:
            out += checks.named(f"{name}/{one.key}", names.qualified_name, f"{where}.key")
        else:
            out.append(field.invalid(f"{where}.key", one.key, "requires metadata.name be non-empty"))
        expression = one.valueExpression.strip()
        if not expression:
            out.append(field.required(f"{where}.valueExpression", "valueExpression is not specified"))
        elif len(expression.encode()) > MAX_AUDIT_EXPRESSION_BYTES:
            out.append(field.required(f"{where}.valueExpression",
                                      f"must not exceed {MAX_AUDIT_EXPRESSION_BYTES} bytes in length"))
        else:
            out += expressions.check(env, expression, STRING_OR_NULL, f"{where}.valueExpression")
        if one.key in seen:
            out.append(field.duplicate(f"{where}.key", one.key))
        seen.add(one.key)
    return out


def validate_status(new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> Findings:
    out: Findings = []
    if new.status.typeChecking is not None:
        for index, one in enumerate(new.status.typeChecking.expressionWarnings):
            at = f"status.typeChecking.expressionWarnings[{index}]"
            if not one.warning:
                out.append(field.required(f"{at}.warning"))
            if not one.fieldRef.strip():
                out.append(field.required(f"{at}.fieldRef"))
    return out + checks.conditions(new.status.conditions, "status.conditions")


KIND: Kind[ValidatingAdmissionPolicy] = Kind(
    resource=VALIDATING_ADMISSION_POLICIES,
    metadata="object",
    default=policies.default,
    prepare_create=meta.first_without_status,
    prepare_update=meta.change_spec,
    validate=validate,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata, validate_status),),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Validations", lambda obj, _: len(obj.spec.validations), type="integer"),
        Column("ParamKind", lambda obj, _: rules.param_kind_text(obj.spec.paramKind)),
        Column("Age", age),
    ),
    unconditional_update=False,
)
