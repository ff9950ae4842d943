"""MutatingAdmissionPolicy: changes in CEL that are applied to objects.

Source: kubernetes `pkg/apis/admissionregistration/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.admissionregistration.v1 import MutatingAdmissionPolicy, Mutation
from sampan.api.cel.admission import OBJECT, PATCHES
from sampan.api.cel.environment import Environment
from sampan.api.resources import MUTATING_ADMISSION_POLICIES
from sampan.kinds import checks, meta
from sampan.kinds.admissionregistration import expressions, policies, rules
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

PATCH_TYPES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}


def validate(obj: MutatingAdmissionPolicy) -> Findings:
    spec = obj.spec
    out, env = policies.validate_head(spec, mutating=True)
    if not spec.mutations:
        out.append(field.required("spec.mutations", "mutations must contain at least one item"))
    for index, one in enumerate(spec.mutations):
        out += _mutation(one, f"spec.mutations[{index}]", env)
    if not spec.reinvocationPolicy:
        return [*out, field.required("spec.reinvocationPolicy")]
    return out + checks.one_of(spec.reinvocationPolicy, rules.REINVOCATION_POLICIES, "spec.reinvocationPolicy")


def _mutation(one: Mutation, at: str, env: Environment) -> Findings:
    if not one.patchType:
        return [field.required(f"{at}.patchType")]
    if one.patchType not in PATCH_TYPES:
        return [field.not_supported(f"{at}.patchType", one.patchType, tuple(PATCH_TYPES))]
    place = PATCH_TYPES[one.patchType]
    part, where = getattr(one, place), f"{at}.{place}"
    if part is None:
        out = [field.required(where, f"must be specified when patchType is {one.patchType}")]
    elif not part.expression.strip():
        out = [field.required(f"{where}.expression")]
    else:
        wanted = OBJECT if one.patchType == "ApplyConfiguration" else PATCHES
        out = expressions.check(env, part.expression, (wanted,), f"{where}.expression")
    other = next(name for name in PATCH_TYPES.values() if name != place)
    if getattr(one, other) is not None:
        out.append(field.invalid(f"{at}.{other}", f"{{{other}}}", f"must not be specified when patchType is {one.patchType}"))
    return out


KIND: Kind[MutatingAdmissionPolicy] = Kind(
    resource=MUTATING_ADMISSION_POLICIES,
    metadata="object",
    default=policies.default,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Mutations", lambda obj, _: len(obj.spec.mutations), type="integer"),
        Column("ParamKind", lambda obj, _: rules.param_kind_text(obj.spec.paramKind)),
        Column("Age", age),
    ),
    unconditional_update=False,
)
