"""RuntimeClass: which handler of a node's runtime runs a pod, what it costs, and where it exists.

Source: kubernetes `pkg/apis/node/validation/validation.go`.
"""

from __future__ import annotations

from sampan.api import field, names, quantity
from sampan.api.node.v1 import RuntimeClass, Scheduling
from sampan.api.resources import RUNTIME_CLASSES
from sampan.kinds import checks, label_selectors
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age


def validate(obj: RuntimeClass) -> Findings:
    out = checks.named(obj.handler, names.dns1123_label, "handler")
    if obj.overhead is not None:
        for name, amount in obj.overhead.podFixed.items():
            at = f"overhead.limits[{name}]"
            out += checks.named(name, names.qualified_name, at)
            if quantity.nano(amount) < 0:
                out.append(field.invalid(at, amount, "must be greater than or equal to 0"))
    if obj.scheduling is not None:
        out += _scheduling(obj.scheduling)
    return out


def _scheduling(scheduling: Scheduling) -> Findings:
    out: Findings = []
    label_selectors.labels(out, scheduling.nodeSelector, "scheduling.nodeSelector")
    seen: set[tuple[object, ...]] = set()
    for index, one in enumerate(scheduling.tolerations):
        at = f"scheduling.tolerations.[{index}]"
        if one.key:
            out += checks.named(one.key, names.label_key, f"{at}.key")
        if not one.key and one.operator != "Exists":
            out.append(field.invalid(f"{at}.operator", one.operator, "operator must be Exists when `key` is empty, which "
                                                                     'means "match all values and all keys"'))
        if one.tolerationSeconds is not None and one.effect != "NoExecute":
            out.append(field.invalid(f"{at}.effect", one.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        if one.operator in ("", "Equal"):
            out += checks.named(one.value, names.label_value, f"{at}.operator")
        elif one.operator == "Exists":
            if one.value:
                out.append(field.invalid(f"{at}.operator", one, "value must be empty when `operator` is 'Exists'"))
        else:
            out.append(field.not_supported(f"{at}.operator", one.operator, ("Equal", "Exists")))
        if one.effect:
            out += checks.one_of(one.effect, ("NoSchedule", "PreferNoSchedule", "NoExecute"), f"{at}.effect")
        identity = (one.key, one.operator, one.value, one.effect)
        if identity in seen:
            out.append(field.duplicate(at, one))
        seen.add(identity)
    return out


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
)
