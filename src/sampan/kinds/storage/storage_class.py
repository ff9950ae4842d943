"""StorageClass: how volumes of a kind are made.

Source: kubernetes `pkg/apis/storage/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.core.v1 import TopologySelectorTerm
from sampan.api.resources import STORAGE_CLASSES
from sampan.api.storage.v1 import StorageClass
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec.warn import DEPRECATED_LABELS
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.storage.parameters import validate_parameters, validate_provisioner

IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
IS_DEFAULT_BETA = "storageclass.beta.kubernetes.io/is-default-class"


def is_default(obj: StorageClass) -> bool:
    """Whether claims without a class get this one."""
    return "true" in (obj.metadata.annotations.get(IS_DEFAULT), obj.metadata.annotations.get(IS_DEFAULT_BETA))


def waits_for_consumer(obj: StorageClass) -> bool:
    """Whether binding waits until a pod that uses the claim is scheduled."""
    return obj.volumeBindingMode == "WaitForFirstConsumer"


def default(obj: StorageClass) -> None:
    if obj.reclaimPolicy is None:
        obj.reclaimPolicy = "Delete"
    if obj.volumeBindingMode is None:
        obj.volumeBindingMode = "Immediate"


def validate(obj: StorageClass) -> Findings:
    out = validate_provisioner(obj.provisioner, "provisioner")
    out += validate_parameters(obj.parameters, "parameters")
    if obj.reclaimPolicy:
        out += checks.one_of(obj.reclaimPolicy, ("Delete", "Retain"), "reclaimPolicy")
    if obj.volumeBindingMode is None:
        out.append(field.required("volumeBindingMode"))
    else:
        out += checks.one_of(obj.volumeBindingMode, ("Immediate", "WaitForFirstConsumer"), "volumeBindingMode")
    return out + _topologies(obj.allowedTopologies, "allowedTopologies")


def _topologies(terms: list[TopologySelectorTerm], path: str) -> Findings:
    out: Findings = []
    seen: list[dict[str, frozenset[str]]] = [{}] * len(terms)  # upstream fills its list with empty ones, then appends to it
    for index, term in enumerate(terms):
        keys: dict[str, frozenset[str]] = {}
        for place, one in enumerate(term.matchLabelExpressions):
            at = f"{path}[{index}].matchLabelExpressions[{place}]"
            if not one.values:
                out.append(field.required(f"{at}.values"))
            values: set[str] = set()
            for number, value in enumerate(one.values or ()):
                if value in values:
                    out.append(field.duplicate(f"{at}.values[{number}]", value))
                values.add(value)
            out += checks.named(one.key, names.label_key, f"{at}.key")
            if one.key in keys:
                out.append(field.duplicate(f"{at}.key", one.key))
            keys[one.key] = frozenset(values)
        out += [field.duplicate(f"{path}[{index}].matchLabelExpressions", "") for known in seen if known == keys]
        seen.append(keys)
    return out


def validate_update(new: StorageClass, old: StorageClass) -> Findings:
    return (field.immutable(new.parameters or None, old.parameters or None, "parameters")
            + field.immutable(new.provisioner, old.provisioner, "provisioner")
            + field.immutable(new.reclaimPolicy, old.reclaimPolicy, "reclaimPolicy")
            + field.immutable(new.volumeBindingMode, old.volumeBindingMode, "volumeBindingMode"))


def warnings(new: StorageClass, old: StorageClass | None) -> list[str]:
    """Node labels in topologies that have newer names."""
    return [f"allowedTopologies[{index}].matchLabelExpressions[{place}].key: {DEPRECATED_LABELS[one.key]}"
            for index, term in enumerate(new.allowedTopologies) for place, one in enumerate(term.matchLabelExpressions)
            if one.key in DEPRECATED_LABELS]


def _name(obj: StorageClass) -> str:
    return f"{obj.metadata.name} (default)" if is_default(obj) else obj.metadata.name


KIND: Kind[StorageClass] = Kind(
    resource=STORAGE_CLASSES,
    metadata="both",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda obj, _: _name(obj), format="name"),
        Column("Provisioner", lambda obj, _: obj.provisioner),
        Column("ReclaimPolicy", lambda obj, _: obj.reclaimPolicy or "Delete"),
        Column("VolumeBindingMode", lambda obj, _: obj.volumeBindingMode or "Immediate"),
        Column("AllowVolumeExpansion", lambda obj, _: bool(obj.allowVolumeExpansion)),
        Column("Age", age),
    ),
    warnings=warnings,
)
