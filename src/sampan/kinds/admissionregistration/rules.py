"""What webhooks and admission policies have in common: rules, resources to match, match conditions, parameters.

Leaves the compilation of CEL expressions to their compiler; that they are there is checked here.
Source: kubernetes `pkg/apis/admissionregistration/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sampan.api import field, names
from sampan.api.admissionregistration.v1 import (
    MatchCondition,
    MatchResources,
    NamedRuleWithOperations,
    ParamKind,
    ParamRef,
    RuleWithOperations,
    Variable,
)
from sampan.api.meta.v1 import LabelSelector
from sampan.kinds import checks
from sampan.kinds.checks import Findings

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
MUTABLE_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
MAX_MATCH_CONDITIONS = 64
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
                       "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"))

Rule = RuleWithOperations | NamedRuleWithOperations


def default_rules(rules: Iterable[Rule]) -> None:
    """Any scope, where none is given."""
    for rule in rules:
        if rule.scope is None:
            rule.scope = "*"


def default_match(match: MatchResources) -> None:
    """Equivalent versions, every namespace, every object."""
    match.matchPolicy = "Equivalent" if match.matchPolicy is None else match.matchPolicy
    match.namespaceSelector = match.namespaceSelector or LabelSelector()
    match.objectSelector = match.objectSelector or LabelSelector()
    default_rules(match.resourceRules)
    default_rules(match.excludeResourceRules)


def validate_rule(rule: Rule, at: str) -> Findings:
    """Operations, groups, versions, resources and scope of one rule."""
    out: Findings = []
    if not rule.operations:
        out.append(field.required(f"{at}.operations"))
    out += _alone(rule.operations, "operations", f"{at}.operations")
    for index, one in enumerate(rule.operations):
        out += checks.one_of(one, OPERATIONS, f"{at}.operations[{index}]")
    for place, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values: list[str] = getattr(rule, place)
        if not values:
            out.append(field.required(f"{at}.{place}"))
        out += _alone(values, what, f"{at}.{place}")
        if place == "apiVersions":
            out += [field.required(f"{at}.{place}[{index}]") for index, one in enumerate(values) if not one]
    out += _resources(rule.resources, f"{at}.resources")
    if rule.scope is not None:
        out += checks.one_of(rule.scope, SCOPES, f"{at}.scope")
    return out


def _alone(values: Sequence[str], what: str, at: str) -> Findings:
    if "*" in values and len(values) > 1:
        return [field.invalid(at, values, f"if '*' is present, must not specify other {what}")]
    return []


def _resources(resources: list[str], at: str) -> Findings:
    if not resources:
        return [field.required(at)]
    out: Findings = []
    whole: set[str] = set()  # x/*
    everywhere: set[str] = set()  # */x
    for index, text in enumerate(resources):
        where = f"{at}[{index}]"
        if not text:
            out.append(field.required(where))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            continue
        if resource in whole:
            out.append(field.invalid(where, text, f"if '{resource}/*' is present, must not specify {text}"))
        if sub in everywhere:
            out.append(field.invalid(where, text, f"if '*/{sub}' is present, must not specify {text}"))
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        out.append(field.invalid(at, resources, "if '*/*' is present, must not specify other resources"))
    if "*" in resources and any(text and text != "*" and "/" not in text for text in resources):
        out.append(field.invalid(at, resources,
                                 "if '*' is present, must not specify other resources without subresources"))
    return out


def validate_match(match: MatchResources, at: str) -> Findings:
    """`matchConstraints` of a policy, `matchResources` of a binding."""
    out: Findings = []
    if match.matchPolicy is None:
        out.append(field.required(f"{at}.matchPolicy"))
    else:
        out += checks.one_of(match.matchPolicy, MATCH_POLICIES, f"{at}.matchPolicy")
    for name in ("namespaceSelector", "objectSelector"):
        selector: LabelSelector | None = getattr(match, name)
        out += checks.label_selector(selector, f"{at}.{name}") if selector is not None else [field.required(f"{at}.{name}")]
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(getattr(match, name)):
            out += _named_rule(rule, f"{at}.{name}[{index}]")
    return out


def validate_mutable(match: MatchResources, at: str) -> Findings:
    """What is deleted can't be changed: the operations of a mutating policy, told of without their places."""
    return [error for rule in match.resourceRules for one in rule.operations
            for error in checks.one_of(one, MUTABLE_OPERATIONS, f"{at}.resourceRules.operations")]


def _named_rule(rule: NamedRuleWithOperations, at: str) -> Findings:
    out: Findings = []
    again = set(checks.repeated(rule.resourceNames))
    for index, name in enumerate(rule.resourceNames):
        out += checks.named(name, names.path_segment_name, f"{at}.resourceNames[{index}]")
        if index in again:
            out.append(field.duplicate(f"{at}.resourceNames[{index}]", name))
    return out + validate_rule(rule, at)


def validate_match_conditions(conditions: list[MatchCondition], at: str, problems: Mapping[int, Findings] | None = None) -> Findings:
    """Names once each, an expression in each; `problems` are what its compiler found."""
    out: Findings = []
    if len(conditions) > MAX_MATCH_CONDITIONS:
        out.append(field.too_many(at, len(conditions), MAX_MATCH_CONDITIONS))
    seen: set[str] = set()
    for index, one in enumerate(conditions):
        where = f"{at}[{index}]"
        if not one.expression.strip():
            out.append(field.required(f"{where}.expression"))
        out += (problems or {}).get(index, [])
        out += checks.required_name(one.name, names.qualified_name, f"{where}.name")
        if one.name and one.name in seen:
            out.append(field.duplicate(f"{where}.name", one.name))
        seen.add(one.name)
    return out


def validate_variables(variables: list[Variable], at: str, problems: Mapping[int, Findings] | None = None) -> Findings:
    out: Findings = []
    for index, one in enumerate(variables):
        where = f"{at}[{index}]"
        if not one.name.strip():
            out.append(field.required(f"{where}.name", "name is not specified"))
        elif not _IDENTIFIER.fullmatch(one.name) or one.name in _RESERVED:
            out.append(field.invalid(f"{where}.name", one.name, "must be a valid CEL identifier"))
        if not one.expression.strip():
            out.append(field.required(f"{where}.expression", "expression is not specified"))
        out += (problems or {}).get(index, [])
    return out


def validate_param_kind(kind: ParamKind, at: str) -> Findings:
    out: Findings = []
    group, slash, version = kind.apiVersion.rpartition("/")
    where = f"{at}.apiVersion"
    if not kind.apiVersion:
        out.append(field.required(where))
    elif "/" in group:
        out.append(field.invalid(where, kind.apiVersion, f"unexpected GroupVersion string: {kind.apiVersion}"))
    else:
        if slash and group and (messages := names.dns1123_subdomain(group)):
            out.append(field.invalid(where, group, ",".join(messages)))
        if not version:
            out.append(field.invalid(where, kind.apiVersion, "version must be specified"))
        elif messages := names.dns1035_label(version):
            out.append(field.invalid(where, version, ",".join(messages)))
    if not kind.kind:
        out.append(field.required(f"{at}.kind"))
    elif messages := names.dns1035_label(kind.kind.lower()):
        out.append(field.invalid(f"{at}.kind", kind.kind,
                                 f"may have mixed case, but should otherwise match: {','.join(messages)}"))
    return out


def validate_param_ref(ref: ParamRef, at: str) -> Findings:
    out: Findings = []
    words = "name and selector are mutually exclusive"
    if ref.name:
        out += checks.named(ref.name, names.path_segment_name, f"{at}.name")
    if ref.name and ref.selector is not None:
        out += [field.forbidden(f"{at}.name", words), field.forbidden(f"{at}.selector", words)]
    out += checks.label_selector(ref.selector, f"{at}.selector")
    if not ref.name and ref.selector is None:
        out.append(field.required(at, "one of name or selector must be specified"))
    if not ref.parameterNotFoundAction:
        out.append(field.required(f"{at}.parameterNotFoundAction"))
    else:
        out += checks.one_of(ref.parameterNotFoundAction, ("Deny", "Allow"), f"{at}.parameterNotFoundAction")
    return out


def param_kind_text(kind: ParamKind | None) -> str:
    """As tables show it: `v1/ConfigMap`."""
    return "<unset>" if kind is None else f"{kind.apiVersion}/{kind.kind}"
