"""The warnings in a ValidatingAdmissionPolicy's status. Pure.

Expressions are checked once for each kind that the policy names (not by `*`), with `object` and `params` of that kind's type.
Source: apiserver `admission/plugin/policy/validating/typechecking.go`, kube-controller-manager `validatingadmissionpolicystatus`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from sampan.api.admissionregistration.v1 import ExpressionWarning, TypeChecking, ValidatingAdmissionPolicy
from sampan.api.cel.admission import environment, with_variables
from sampan.api.cel.environment import Environment
from sampan.api.cel.errors import CompileError
from sampan.api.cel.schemas import declare
from sampan.api.cel.types import Type
from sampan.api.resourceinfo import Resource
from sampan.api.resources import VALIDATING_ADMISSION_POLICIES
from sampan.kinds.plan import Plan, Update

MOST_TYPES = 10
DEEPEST = 12  # of schemas within schemas: those of definitions hold themselves

Schema = Mapping[str, Any]


class Kind(NamedTuple):
    """Group, version and kind; sorts as upstream lists them."""

    group: str
    version: str
    kind: str

    def __str__(self) -> str:
        return f"{self.group}/{self.version}, Kind={self.kind}"


def kinds(policy: ValidatingAdmissionPolicy, resources: Iterable[Resource[Any]]) -> list[Kind]:
    """The kinds that the policy names, ten at most."""
    known = {(one.group, one.version, one.plural): one for one in resources}
    found: set[Kind] = set()
    constraints = policy.spec.matchConstraints
    for rule in constraints.resourceRules if constraints is not None else ():
        if any("*" in text for text in (*rule.apiGroups, *rule.apiVersions)):
            continue
        plain = sorted(one for one in rule.resources if "*" not in one and "/" not in one)
        for place in ((group, version, one) for group in sorted(rule.apiGroups) for version in sorted(rule.apiVersions) for one in plain):
            if place in known:
                found.add(Kind(place[0], place[1], known[place].kind))
            if len(found) == MOST_TYPES:
                return sorted(found)
    return sorted(found)


def params_kind(policy: ValidatingAdmissionPolicy) -> Kind | None:
    """The kind of the policy's parameters, if it takes some."""
    wanted = policy.spec.paramKind
    if wanted is None:
        return None
    group, _, version = wanted.apiVersion.rpartition("/")
    return Kind(group, version, wanted.kind)


def schema_of(document: Schema, kind: Kind) -> Schema | None:
    """The schema of a kind in an OpenAPI v3 document, with what it refers to in its place."""
    schemas = (document.get("components") or {}).get("schemas") or {}
    wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    found = next((one for one in schemas.values() if wanted in (one.get("x-kubernetes-group-version-kind") or ())), None)
    return None if found is None else _resolved(found, schemas, 0)


def _resolved(schema: Schema, schemas: Schema, depth: int) -> Schema:
    refs = [schema, *(schema.get("allOf") or ())]
    target = next((one["$ref"] for one in refs if "$ref" in one), None)
    if target is not None:
        schema = schemas.get(target.rpartition("/")[2]) or {}
    if depth > DEEPEST or ("type" not in schema and not schema.get("x-kubernetes-int-or-string")):
        return {"x-kubernetes-preserve-unknown-fields": True}  # quantities, raw extensions, what holds itself: of any type
    out = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            out[key] = _resolved(schema[key], schemas, depth + 1)
    if "properties" in schema:
        out["properties"] = {name: _resolved(one, schemas, depth + 1) for name, one in schema["properties"].items()}
    if out.get("type") == "object" and not out.get("properties") and "additionalProperties" not in out:
        out["x-kubernetes-preserve-unknown-fields"] = True
    return out


def decide(policy: ValidatingAdmissionPolicy, types: Mapping[Kind, Schema], params: Schema | None) -> Plan:
    """The status of this generation of the policy; nothing where it is there already.

    Args:
        policy: As the server has it.
        types: The schema of each kind that the policy names and that has one.
        params: The schema of its parameters; None: it takes none, or they are of no known type.
    """
    if policy.metadata.generation <= policy.status.observedGeneration:
        return Plan()
    warnings = list(_warnings(policy, types, params))
    status = replace(policy.status, observedGeneration=policy.metadata.generation, typeChecking=TypeChecking(expressionWarnings=warnings))
    return Plan((Update(VALIDATING_ADMISSION_POLICIES, replace(policy, status=status), "status"),))


def _warnings(policy: ValidatingAdmissionPolicy, types: Mapping[Kind, Schema], params: Schema | None) -> Iterable[ExpressionWarning]:
    environments = [(kind, _environment(policy, schema, params)) for kind, schema in sorted(types.items())]
    for index, one in enumerate(policy.spec.validations):
        for name, expression in (("expression", one.expression), ("messageExpression", one.messageExpression)):
            warning = _check(environments, expression) if expression else ""
            if warning:
                yield ExpressionWarning(fieldRef=f"spec.validations[{index}].{name}", warning=warning)


def _environment(policy: ValidatingAdmissionPolicy, schema: Schema, params: Schema | None) -> Environment:
    base = environment(params=policy.spec.paramKind is not None)
    declared: dict[str, Type | None] = dict.fromkeys(("object", "oldObject"), declare(schema, resource=True))
    if params is not None:
        declared["params"] = declare(params, resource=True)
    typed = base.extended({name: type for name, type in declared.items() if type is not None})
    return with_variables(typed, [(one.name, one.expression) for one in policy.spec.variables])[0]


def _check(environments: Sequence[tuple[Kind, Environment]], expression: str) -> str:
    found = []
    for kind, env in environments:
        try:
            env.compile(expression)
        except CompileError as error:
            found.append(f"{kind}: {error.message}\n")
    return "\n".join(found)
