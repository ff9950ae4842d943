"""ValidatingAdmissionPolicy: rules in CEL that objects must pass, where a binding says so.

Source: apiserver `pkg/admission/plugin/policy/validating`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sampan.api import codec
from sampan.api.admissionregistration.v1 import ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Validation
from sampan.api.cel.admission import STRING_OR_NULL
from sampan.api.cel.environment import Program
from sampan.api.cel.errors import CelError
from sampan.api.cel.types import BOOL, STRING
from sampan.api.errors import ApiError, OtherStatus
from sampan.api.resourceinfo import Resource
from sampan.api.resources import VALIDATING_ADMISSION_POLICIES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.matching import matched
from sampan.apiserver.admission.policies import (
    CompiledPolicies,
    Expressions,
    PolicyError,
    Scope,
    no_others,
    parameters,
    selected,
    values_of,
)
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.admission.versions import Versions
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.watchcache import Readers

CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
MESSAGE_MOST = 5 * 1024
ANNOTATION_MOST = 10 * 1024
FAILURES = "validation.policy.admission.k8s.io/validation_failure"


@dataclass(frozen=True)
class Denial:
    """One validation that did not hold, or could not be told. `index` -1: none in particular."""

    message: str
    reason: str = "Invalid"
    index: int = -1


class _Policy:
    """A policy with its expressions compiled."""

    def __init__(self, policy: ValidatingAdmissionPolicy) -> None:
        spec = policy.spec
        self.name, self.spec, self.ignores = policy.metadata.name, spec, spec.failurePolicy == "Ignore"
        self.expressions = Expressions(params=spec.paramKind is not None, variables=spec.variables, conditions=spec.matchConditions)
        of = self.expressions.of
        self.validations = [(one, of(one.expression, BOOL), of(one.messageExpression, STRING) if one.messageExpression else None)
                            for one in spec.validations]
        self.annotations = [(one.key, of(one.valueExpression, *STRING_OR_NULL)) for one in spec.auditAnnotations]

    def judge(self, values: dict[str, Any]) -> tuple[list[Denial], dict[str, str]]:
        """What does not hold, and audit annotations."""
        if not selected(self.expressions, values):
            return [], {}
        scope = self.expressions.scope(values)
        denials = [denial for index, one in enumerate(self.validations) if (denial := self._validate(scope, index, *one))]
        return denials, dict(self._annotate(scope))

    def _validate(self, scope: Scope, index: int, rule: Validation, program: Program | str, told: Program | str | None) -> Denial | None:
        try:
            if isinstance(program, str):
                raise CelError(program)
            if scope.run(program) is True:
                return None
        except CelError as error:
            return None if self.ignores else Denial(f"expression '{rule.expression}' resulted in error: {error}", index=index)
        message = _message(scope, told) or rule.message.strip() or f"failed expression: {rule.expression.strip()}"
        return Denial(message, rule.reason or "Invalid", index)

    def _annotate(self, scope: Scope) -> Iterator[tuple[str, str]]:
        for key, program in self.annotations:
            try:
                value = None if isinstance(program, str) else scope.run(program)
            except CelError:
                continue  # an annotation is told where it can be, and refuses nothing
            if isinstance(value, str) and value.strip():
                yield key, value.strip()[:ANNOTATION_MOST]


def _message(scope: Scope, program: Program | str | None) -> str:
    """What messageExpression says, empty where that is no good message."""
    if program is None or isinstance(program, str):
        return ""
    try:
        text = scope.run(program)
    except CelError:
        return ""
    text = text.strip() if isinstance(text, str) else ""
    return "" if len(text) > MESSAGE_MOST or "\n" in text else text


class ValidatingPolicies:
    """Judges by every policy that a binding puts to work."""

    def __init__(self, readers: Readers, authorizers: Authorizers, versions: Versions | None) -> None:
        self._readers, self._authorizers, self._versions = readers, authorizers, versions
        self._others = versions.others if versions is not None else no_others
        self._policies = CompiledPolicies(readers.of(VALIDATING_ADMISSION_POLICIES), _Policy)

    def validate(self, request: AdmissionRequest, bindings: list[ValidatingAdmissionPolicyBinding]) -> None:
        """Refuse, warn or note, as the bindings say.

        Raises:
            ApiError: A validation with the action Deny does not hold.
        """
        known: dict[Resource[Any], dict[str, Any]] = {}
        denied: list[tuple[str, str, Denial]] = []
        noted: list[dict[str, Any]] = []
        for binding in bindings:
            policy = self._policies.get(binding.spec.policyName)
            resource = matched(policy.spec.matchConstraints, request, self._readers, self._others) if policy is not None else None
            if policy is None or resource is None or matched(binding.spec.matchResources, request, self._readers, self._others) is None:
                continue
            if resource not in known:
                seen = self._versions.shown(request, resource) if self._versions is not None else request
                known[resource] = values_of(request, seen, self._readers, self._authorizers)
            for denial in self._judge(policy, binding, request, known[resource]):
                actions, named = binding.spec.validationActions, binding.metadata.name
                if "Deny" in actions or denial.index < 0:
                    denied.append((policy.name, named, denial))
                if "Warn" in actions:
                    request.warnings.append(
                        f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{named}': {denial.message}")
                if "Audit" in actions:
                    noted.append({"message": denial.message, "policy": policy.name, "binding": named,
                                  "expressionIndex": max(denial.index, 0), "validationActions": actions})
        if noted:
            request.audit_annotations[FAILURES] = codec.encode(noted).decode()
        if denied:
            raise refusal(request, *denied[0])

    def _judge(self, policy: _Policy, binding: ValidatingAdmissionPolicyBinding, request: AdmissionRequest,
               values: dict[str, Any]) -> list[Denial]:
        found: list[Denial] = []
        try:
            for params in parameters(policy.spec.paramKind, binding.spec.paramRef, request.namespace, self._readers, self._versions):
                denials, annotations = policy.judge(values | {"params": params})
                found += denials
                request.audit_annotations |= {f"{policy.name}/{key}": value for key, value in annotations.items()}
        except PolicyError as error:
            if not policy.ignores:
                found.append(Denial(f"failed to configure binding: {error}"))
        return found


def refusal(request: AdmissionRequest, policy: str, binding: str, denial: Denial) -> ApiError:
    """The answer to a request that a policy denies."""
    message = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {denial.message}"
    plain = forbidden(request, message, final=True)
    return OtherStatus(plain.message, code=CODES.get(denial.reason, 422), reason=denial.reason,
                       details=plain.details | {"causes": [{"message": message}]})
