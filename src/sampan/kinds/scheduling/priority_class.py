"""PriorityClass: a name for how important a pod is.

Source: kubernetes `pkg/apis/scheduling/{validation/validation.go,helpers.go,v1/defaults.go}`.
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.resources import PRIORITY_CLASSES
from sampan.api.scheduling.v1 import PriorityClass
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_PREFIX = "system-"
SYSTEM_CRITICAL = 2 * HIGHEST_USER_PRIORITY
SYSTEM_CLASSES = {
    "system-node-critical": (SYSTEM_CRITICAL + 1000,
                             "Used for system critical pods that must not be moved from their current node."),
    "system-cluster-critical": (SYSTEM_CRITICAL, "Used for system critical pods that must run in the cluster, "
                                                 "but can be moved to another node if necessary."),
}
POLICIES = ("PreemptLowerPriority", "Never")


def is_system(obj: PriorityClass) -> bool:
    """One of the two that every cluster has, exactly as it should be."""
    known = SYSTEM_CLASSES.get(obj.metadata.name)
    return known == (obj.value, obj.description) and not obj.globalDefault


def default(obj: PriorityClass) -> None:
    if obj.preemptionPolicy is None:
        obj.preemptionPolicy = "PreemptLowerPriority"


def validate(obj: PriorityClass) -> Findings:
    out: Findings = []
    name = obj.metadata.name
    if name.startswith(SYSTEM_PREFIX):
        if problem := _system_problem(obj):
            out.append(field.forbidden("metadata.name", f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved "
                                                        f"for system use only. error: {problem}"))
    elif obj.value > HIGHEST_USER_PRIORITY:
        out.append(field.forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"))
    if obj.preemptionPolicy == "":
        out.append(field.required("preemptionPolicy"))
    elif obj.preemptionPolicy is not None:
        out += checks.one_of(obj.preemptionPolicy, POLICIES, "preemptionPolicy")
    return out


def _system_problem(obj: PriorityClass) -> str:
    known = SYSTEM_CLASSES.get(obj.metadata.name)
    if known is None:
        return f"{obj.metadata.name} is not a known system priority class"
    if obj.value != known[0]:
        return f"value of {obj.metadata.name} PriorityClass must be {known[0]}"
    if obj.globalDefault:
        return f"globalDefault of {obj.metadata.name} PriorityClass must be false"
    return ""


def judge_update(new: PriorityClass, old: PriorityClass) -> Findings:
    out: Findings = []
    if new.value != old.value:
        out.append(field.forbidden("value", "may not be changed in an update."))
    return out + field.immutable(new.preemptionPolicy, old.preemptionPolicy, "preemptionPolicy")


KIND: Kind[PriorityClass] = Kind(
    resource=PRIORITY_CLASSES,
    prepare_create=meta.first_generation,
    default=default,
    validate=validate,
    judge_update=judge_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Value", lambda obj, _: obj.value, type="integer"),
        Column("Global-Default", lambda obj, _: obj.globalDefault, type="boolean"),
        Column("Age", age),
        Column("PreemptionPolicy", lambda obj, _: obj.preemptionPolicy or ""),
    ),
)
