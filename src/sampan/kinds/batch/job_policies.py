"""Validation of what decides about a Job's failure and success: pod failure policy, success policy, indexes.

Source: kubernetes `pkg/apis/batch/validation/validation.go`.
"""

from __future__ import annotations

from sampan.api import field, goprint, names
from sampan.api.batch.v1 import JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicyRule
from sampan.kinds import checks
from sampan.kinds.batch import indexes
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal

ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")
MAX_RULES = 20
MAX_EXIT_CODES = 255
MAX_INDEXES_BYTES = 64 * 1024
MAX_PARALLELISM = 100_000
MAX_PARALLELISM_OF_MANY = 10_000


def validate_mode(spec: JobSpec, path: str) -> Findings:
    """`completionMode` and what it demands of numbers."""
    out: Findings = []
    if spec.completionMode not in (None, "NonIndexed", "Indexed"):
        return [field.not_supported(f"{path}.completionMode", spec.completionMode, ("NonIndexed", "Indexed"))]
    if spec.completionMode != "Indexed":
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if (value := getattr(spec, name)) is not None:
                out.append(field.invalid(f"{path}.{name}", value, "requires indexed completion mode"))
        return out
    return _indexed(spec, path)


def _indexed(spec: JobSpec, path: str) -> Findings:
    out: Findings = []
    many, failing, parallel = spec.completions, spec.maxFailedIndexes, spec.parallelism
    if many is None:
        out.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
    if parallel is not None and parallel > MAX_PARALLELISM:
        out.append(field.invalid(f"{path}.parallelism", parallel,
                                 f"must be less than or equal to {MAX_PARALLELISM} when completion mode is Indexed"))
    if many is not None and failing is not None and failing > many:
        out.append(field.invalid(f"{path}.maxFailedIndexes", failing, "must be less than or equal to completions"))
    if failing is not None and failing > MAX_PARALLELISM:
        out.append(field.invalid(f"{path}.maxFailedIndexes", failing, f"must be less than or equal to {MAX_PARALLELISM}"))
    if many is None or many <= MAX_PARALLELISM or spec.backoffLimitPerIndex is None:
        return out
    words = (f"must be less than or equal to {MAX_PARALLELISM_OF_MANY} when completions are above {MAX_PARALLELISM} and used "
             "with backoff limit per index")
    if failing is None:
        out.append(field.required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {MAX_PARALLELISM}"))
    if parallel is not None and parallel > MAX_PARALLELISM_OF_MANY:
        out.append(field.invalid(f"{path}.parallelism", parallel, words))
    if failing is not None and failing > MAX_PARALLELISM_OF_MANY:
        out.append(field.invalid(f"{path}.maxFailedIndexes", failing, words))
    return out


def validate_failure_policy(spec: JobSpec, path: str) -> Findings:
    """`podFailurePolicy`, if it is there."""
    if spec.podFailurePolicy is None:
        return []
    rules, at = spec.podFailurePolicy.rules or [], f"{path}.podFailurePolicy.rules"
    pod = spec.template.spec
    containers = {one.name for one in (*(pod.containers or ()), *pod.initContainers)}
    out: Findings = []
    if len(rules) > MAX_RULES:
        out.append(field.too_many(at, len(rules), MAX_RULES))
    for index, rule in enumerate(rules):
        out += _rule(rule, spec, containers, f"{at}[{index}]")
    return out


def _rule(rule: PodFailurePolicyRule, spec: JobSpec, containers: set[str], at: str) -> Findings:
    out: Findings = []
    if not rule.action:
        out.append(field.required(f"{at}.action", f"valid values: [{' '.join(map(goprint.quote, ACTIONS))}]"))
    elif rule.action == "FailIndex" and spec.backoffLimitPerIndex is None:
        out.append(field.invalid(f"{at}.action", rule.action, "requires the backoffLimitPerIndex to be set"))
    else:
        out += checks.one_of(rule.action, ACTIONS, f"{at}.action")
    if rule.onExitCodes is not None:
        out += _exit_codes(rule.onExitCodes, containers, f"{at}.onExitCodes")
    if len(rule.onPodConditions) > MAX_RULES:
        out.append(field.too_many(f"{at}.onPodConditions", len(rule.onPodConditions), MAX_RULES))
    for index, one in enumerate(rule.onPodConditions):
        where = f"{at}.onPodConditions[{index}]"
        out += checks.named(one.type, names.qualified_name, f"{where}.type")
        if not one.status:
            out.append(field.required(f"{where}.status", f"valid values: [{' '.join(map(goprint.quote, STATUSES))}]"))
        else:
            out += checks.one_of(one.status, STATUSES, f"{where}.status")
    if rule.onExitCodes is not None and rule.onPodConditions:
        out.append(field.invalid_unshown(at, "specifying both OnExitCodes and OnPodConditions is not supported"))
    if rule.onExitCodes is None and not rule.onPodConditions:
        out.append(field.invalid_unshown(at, "specifying one of OnExitCodes and OnPodConditions is required"))
    return out


def _exit_codes(codes: PodFailurePolicyOnExitCodesRequirement, containers: set[str], at: str) -> Findings:
    out: Findings = []
    if not codes.operator:
        out.append(field.required(f"{at}.operator", f"valid values: [{' '.join(map(goprint.quote, OPERATORS))}]"))
    else:
        out += checks.one_of(codes.operator, OPERATORS, f"{at}.operator")
    if codes.containerName is not None and codes.containerName not in containers:
        out.append(field.invalid(f"{at}.containerName", codes.containerName,
                                 "must be one of the container or initContainer names in the pod template"))
    values, where = codes.values or [], f"{at}.values"
    if not values:
        out.append(field.invalid(where, codes.values, "at least one value is required"))
    elif len(values) > MAX_EXIT_CODES:
        out.append(field.too_many(where, len(values), MAX_EXIT_CODES))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if codes.operator == "In" and value == 0:
            out.append(field.invalid(f"{where}[{index}]", value, "must not be 0 for the In operator"))
        if value in seen:
            out.append(field.duplicate(f"{where}[{index}]", value))
        seen.add(value)
    if values != sorted(values):
        out.append(field.invalid(where, values, "must be ordered"))
    return out


def validate_success_policy(spec: JobSpec, path: str) -> Findings:
    """`successPolicy`, if it is there."""
    if spec.successPolicy is None:
        return []
    rules, at = spec.successPolicy.rules or [], f"{path}.successPolicy"
    if spec.completionMode != "Indexed":
        return [field.invalid(at, {"Rules": internal(rules) or []}, "requires indexed completion mode")]
    if not rules:
        return [field.required(f"{at}.rules", "at least one rules must be specified when the successPolicy is specified")]
    out: Findings = []
    if len(rules) > MAX_RULES:
        out.append(field.too_many(f"{at}.rules", len(rules), MAX_RULES))
    for index, rule in enumerate(rules):
        out += _success_rule(rule, spec.completions or 0, f"{at}.rules[{index}]")
    return out


def _success_rule(rule: SuccessPolicyRule, completions: int, at: str) -> Findings:
    if rule.succeededCount is None and rule.succeededIndexes is None:
        return [field.required(at, "at least one of succeededCount or succeededIndexes must be specified")]
    out: Findings = []
    named: int | None = None
    if rule.succeededIndexes is not None:
        where = f"{at}.succeededIndexes"
        if len(rule.succeededIndexes) > MAX_INDEXES_BYTES:
            out.append(field.too_long(where, MAX_INDEXES_BYTES))
        try:
            named = indexes.check(rule.succeededIndexes, completions)
        except ValueError as error:
            out.append(field.invalid(where, rule.succeededIndexes, f"error parsing succeededIndexes: {error}"))
            named = 0  # as upstream goes on
    if rule.succeededCount is not None:
        where = f"{at}.succeededCount"
        out += checks.nonnegative(rule.succeededCount, where)
        if rule.succeededCount > completions:
            out.append(field.invalid(where, rule.succeededCount,
                                     f"must be less than or equal to {completions} (the number of specified completions)"))
        if named is not None and rule.succeededCount > named:
            out.append(field.invalid(where, rule.succeededCount, f"must be less than or equal to {named} (the number of "
                                                                 "indexes in the specified succeededIndexes field)"))
    return out
