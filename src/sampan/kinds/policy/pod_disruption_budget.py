"""PodDisruptionBudget: how many of a set of pods may be away by choice.

Leaves the arithmetic of evictions to `sampan.kinds.policy.evict`.
Source: kubernetes `pkg/apis/policy/validation/validation.go`, `pkg/registry/policy/poddisruptionbudget/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
HELD_BACK = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def prepare_create(pdb: PodDisruptionBudget) -> None:
    pdb.status = PodDisruptionBudgetStatus()
    pdb.metadata.generation = 1


def validate(pdb: PodDisruptionBudget) -> Findings:
    spec, out = pdb.spec, Findings()
    if spec.minAvailable is not None and spec.maxUnavailable is not None:
        out.append(field.invalid("spec", _shown(spec), "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        value = getattr(spec, name)
        out += checks.positive_int_or_percent(value, f"spec.{name}")
        out += checks.at_most_100_percent(value, f"spec.{name}")
    out += checks.label_selector(spec.selector, "spec.selector")
    if spec.unhealthyPodEvictionPolicy is not None:
        out += checks.one_of(spec.unhealthyPodEvictionPolicy, EVICTION_POLICIES, "spec.unhealthyPodEvictionPolicy")
    return out


def _shown(spec: PodDisruptionBudgetSpec) -> dict[str, object]:
    return {"MinAvailable": spec.minAvailable, "Selector": spec.selector, "MaxUnavailable": spec.maxUnavailable,
            "UnhealthyPodEvictionPolicy": spec.unhealthyPodEvictionPolicy}


def validate_status(new: PodDisruptionBudget, old: PodDisruptionBudget) -> Findings:
    return (checks.conditions(new.status.conditions, "status.conditions")
            + checks.all_nonnegative(new.status, "status", *HELD_BACK))


def warnings(new: PodDisruptionBudget, old: PodDisruptionBudget | None) -> list[str]:
    if checks.is_empty_selector(new.spec.selector) and (old is None or not checks.is_empty_selector(old.spec.selector)):
        return ["spec.selector: Prefer not using an empty selector: it selects all pods in the namespace"]
    return []


KIND: Kind[PodDisruptionBudget] = Kind(
    resource=POD_DISRUPTION_BUDGETS,
    metadata="none",
    prepare_create=prepare_create,
    prepare_update=meta.change_spec,
    validate=validate,
    name_check=names.path_segment_name,  # upstream looks at nothing else
    subkinds=(SubKind("status", meta.keep_spec, validate_status, metadata="none"),),
    columns=(
        Column("Name", lambda pdb, _: pdb.metadata.name, format="name"),
        Column("Min Available", lambda pdb, _: _amount(pdb.spec.minAvailable)),
        Column("Max Unavailable", lambda pdb, _: _amount(pdb.spec.maxUnavailable)),
        Column("Allowed Disruptions", lambda pdb, _: pdb.status.disruptionsAllowed, type="integer"),
        Column("Age", age),
    ),
    unconditional_update=False,
)


def _amount(value: int | str | None) -> str:
    return "N/A" if value is None else str(value)
