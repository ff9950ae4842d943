"""FlowSchema: which requests go to which priority level, and how they are told apart there.

Source: kubernetes `pkg/apis/flowcontrol/{validation/validation.go,v1/defaults.go}`, `pkg/registry/flowcontrol/flowschema`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import field, names
from sampan.api.flowcontrol.v1 import (
    FlowSchema,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    ResourcePolicyRule,
    Subject,
)
from sampan.api.resources import FLOW_SCHEMAS
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.flowcontrol.mandatory import FLOW_SCHEMAS as MANDATORY
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

METHODS = ("ByNamespace", "ByUser")
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
MAX_PRECEDENCE = 10000
_SUBJECTS = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}


def default(obj: FlowSchema) -> None:
    if obj.spec.matchingPrecedence == 0:
        obj.spec.matchingPrecedence = 1000


def validate(obj: FlowSchema) -> Findings:
    spec, name, out = obj.spec, obj.metadata.name, Findings()
    precedence, at = spec.matchingPrecedence, "spec.matchingPrecedence"
    if precedence <= 0:
        out.append(field.invalid(at, precedence, "must be a positive value"))
    if precedence > MAX_PRECEDENCE:
        out.append(field.invalid(at, precedence, f"must not be greater than {MAX_PRECEDENCE}"))
    if precedence == 1 and name != "exempt":
        out.append(field.invalid(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    if spec.distinguisherMethod is not None and spec.distinguisherMethod.type not in METHODS:
        out.append(field.not_supported("spec.distinguisherMethod.type", {"Type": spec.distinguisherMethod.type}, METHODS))
    level, at = spec.priorityLevelConfiguration.name, "spec.priorityLevelConfiguration.name"
    if level:
        out += checks.named(level, names.dns1123_subdomain, at)
    else:
        out.append(field.required(at, "must reference a priority level"))
    for index, rule in enumerate(spec.rules):
        out += _rule(rule, f"spec.rules[{index}]")
    if name in MANDATORY and spec != MANDATORY[name]:
        out.append(field.invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return out + condition_types(obj.status.conditions)


def condition_types(conditions: Any) -> Findings:
    """Conditions of flow schemas and priority levels: a type each, and each once."""
    out: Findings = []
    seen: set[str] = set()
    for index, one in enumerate(conditions):
        at = f"status.conditions[{index}].type"
        if one.type in seen:
            out.append(field.duplicate(at, one.type))
        seen.add(one.type)
        if not one.type:
            out.append(field.required(at))
    return out


def _rule(rule: PolicyRulesWithSubjects, at: str) -> Findings:
    out: Findings = []
    if not rule.subjects:
        out.append(field.required(f"{at}.subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(rule.subjects or ()):
        out += _subject(subject, f"{at}.subjects[{index}]")
    if not rule.resourceRules and not rule.nonResourceRules:
        out.append(field.required(at, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for index, one in enumerate(rule.resourceRules):
        out += _resource_rule(one, f"{at}.resourceRules[{index}]")
    for index, other in enumerate(rule.nonResourceRules):
        out += _url_rule(other, f"{at}.nonResourceRules[{index}]")
    return out


def _subject(subject: Subject, at: str) -> Findings:
    if subject.kind not in _SUBJECTS:
        return [field.not_supported(f"{at}.kind", subject.kind, ("Group", "ServiceAccount", "User"))]
    out: Findings = []
    for kind, place in _SUBJECTS.items():
        value, where = getattr(subject, place), f"{at}.{place}"
        if kind != subject.kind:
            if value is not None:
                out.append(field.forbidden(where, f"{place} is forbidden when subject kind is not '{kind}'"))
        elif value is None:
            out.append(field.required(where, f"{place} is required when subject kind is '{kind}'"))
        else:
            if not value.name:
                out.append(field.required(f"{where}.name"))
            if kind == "ServiceAccount":
                out += _service_account(value, where)
    return out


def _service_account(account: Any, at: str) -> Findings:
    out: Findings = []
    if account.name and account.name != "*":
        out += checks.named(account.name, names.dns1123_subdomain, f"{at}.name")
    if not account.namespace:
        return [*out, field.required(f"{at}.namespace", "must specify namespace for service account")]
    return out + checks.named(account.namespace, names.dns1123_label, f"{at}.namespace")


def _alone(values: list[str], what: str, at: str) -> Findings:
    """`*` stands for everything, so nothing else may stand beside it."""
    if "*" in values and len(values) > 1:
        return [field.invalid(at, values, f"if '*' is present, must not specify other {what}")]
    return []


def _verbs(verbs: list[str] | None, at: str) -> Findings:
    if not verbs:
        return [field.required(at, "verbs must contain at least one value")]
    if "*" not in verbs and not set(verbs) <= set(VERBS):
        return [field.not_supported(at, verbs, VERBS)]
    return _alone(verbs, "verbs", at)


def _resource_rule(rule: ResourcePolicyRule, at: str) -> Findings:
    out = _verbs(rule.verbs, f"{at}.verbs")
    for place, what, words in (("apiGroups", "api groups", "resource rules must supply at least one api group"),
                               ("resources", "resources", "resource rules must supply at least one resource")):
        values = getattr(rule, place)
        out += _alone(values, what, f"{at}.{place}") if values else [field.required(f"{at}.{place}", words)]
    spaces, where = rule.namespaces or [], f"{at}.namespaces"
    if not spaces and not rule.clusterScope:
        out.append(field.required(where, "resource rules that are not cluster scoped must supply at least one namespace"))
    if "*" in spaces:
        return out + _alone(spaces, "namespaces", where)
    return out + [field.invalid(f"{where}[{index}]", space, f"each member of this list must be '*' or a DNS-1123 label; {message}")
                  for index, space in enumerate(spaces) for message in names.dns1123_label(space)]


def _url_rule(rule: NonResourcePolicyRule, at: str) -> Findings:
    out, urls, where = _verbs(rule.verbs, f"{at}.verbs"), rule.nonResourceURLs or [], f"{at}.nonResourceURLs"
    if not urls:
        return [*out, field.required(where, "nonResourceURLs must contain at least one value")]
    if "*" in urls:
        return out + _alone(urls, "non-resource URLs", where)
    return out + [field.invalid(f"{where}[{index}]", url, problem)
                  for index, url in enumerate(urls) if (problem := url_problem(url))]


def url_problem(url: str) -> str:
    """Why a path of a non-resource rule is not valid; "" when it is."""
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if url.count("*") > 1 or ("*" in url and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def validate_status(new: FlowSchema, old: FlowSchema) -> Findings:
    return condition_types(new.status.conditions)


def _missing(obj: FlowSchema) -> str:
    dangling = meta.condition(obj.status.conditions, "Dangling")
    return dangling.status if dangling is not None else "?"


def _method(obj: FlowSchema) -> str:
    return obj.spec.distinguisherMethod.type if obj.spec.distinguisherMethod is not None else "<none>"


KIND: Kind[FlowSchema] = Kind(
    resource=FLOW_SCHEMAS,
    metadata="object",
    default=default,
    prepare_create=meta.first_without_status,
    prepare_update=meta.change_spec,
    validate=validate,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata, validate_status),),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("PriorityLevel", lambda obj, _: obj.spec.priorityLevelConfiguration.name),
        Column("MatchingPrecedence", lambda obj, _: obj.spec.matchingPrecedence),
        Column("DistinguisherMethod", lambda obj, _: _method(obj)),
        Column("Age", age),
        Column("MissingPL", lambda obj, _: _missing(obj)),
    ),
)
