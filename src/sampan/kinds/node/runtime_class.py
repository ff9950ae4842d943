"""RuntimeClass: which handler of a node's runtime runs a pod, what it costs, and where it exists.

Source: kubernetes `pkg/apis/node/validation/validation.go`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.core.v1 import ResourceRequirements
from sampan.api.node.v1 import RuntimeClass, Scheduling
from sampan.api.resources import RUNTIME_CLASSES
from sampan.kinds import checks, label_selectors
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.core.pod_spec import resources, scheduling
from sampan.kinds.core.pod_spec.warn import DEPRECATED_LABELS
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age


def validate(obj: RuntimeClass) -> Findings:
    out = checks.required_name(obj.handler, names.dns1123_label, "handler")
    if obj.overhead is not None:
        resources.requirements(out, ResourceRequirements(limits=obj.overhead.podFixed), "overhead", ())
    if obj.scheduling is not None:
        out += _scheduling(obj.scheduling)
    return out


def _scheduling(wanted: Scheduling) -> Findings:
    out: Findings = []
    label_selectors.labels(out, wanted.nodeSelector, "scheduling.nodeSelector")
    scheduling.tolerations(out, wanted.tolerations, "scheduling.tolerations")
    seen: set[tuple[object, ...]] = set()
    for index, one in enumerate(wanted.tolerations):
        identity = (one.key, one.operator, one.value, one.effect)
        if identity in seen:
            out.append(field.duplicate(f"scheduling.tolerations[{index}]", internal(one)))
        seen.add(identity)
    return out


def warnings(new: RuntimeClass, old: RuntimeClass | None) -> list[str]:
    """Node labels that have newer names."""
    wanted = new.scheduling.nodeSelector if new.scheduling is not None else {}
    return [f"scheduling.nodeSelector: {DEPRECATED_LABELS[key]}" for key in wanted if key in DEPRECATED_LABELS]


def validate_update(new: RuntimeClass, old: RuntimeClass) -> Findings:
    return field.immutable(new.handler, old.handler, "handler")


KIND: Kind[RuntimeClass] = Kind(
    resource=RUNTIME_CLASSES,
    metadata="both",
    validate=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Handler", lambda obj, _: obj.handler),
        Column("Age", age),
    ),
    unconditional_update=False,
    warnings=warnings,
)
