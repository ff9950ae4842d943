"""CSIStorageCapacity: how much room there is for volumes of a class in a part of the cluster.

Source: kubernetes `pkg/apis/storage/validation/validation.go`.
"""

from __future__ import annotations

from sampan.api import field, names, quantity
from sampan.api.resources import CSI_STORAGE_CAPACITIES
from sampan.api.storage.v1 import CSIStorageCapacity
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec.warn import selector_label_warnings
from sampan.kinds.kind import Kind


def validate(obj: CSIStorageCapacity) -> Findings:
    out = checks.label_selector(obj.nodeTopology, "nodeTopology")
    out += checks.named(obj.storageClassName, names.dns1123_subdomain, "storageClassName")
    if obj.capacity is not None and quantity.nano(obj.capacity) < 0:
        out.append(field.invalid("capacity", obj.capacity, "must be greater than or equal to 0"))
    return out


def validate_update(new: CSIStorageCapacity, old: CSIStorageCapacity) -> Findings:
    return (field.immutable(new.nodeTopology, old.nodeTopology, "nodeTopology")
            + field.immutable(new.storageClassName, old.storageClassName, "storageClassName"))


def warnings(new: CSIStorageCapacity, old: CSIStorageCapacity | None) -> list[str]:
    return list(selector_label_warnings(new.nodeTopology, "nodeTopology"))


KIND: Kind[CSIStorageCapacity] = Kind(
    resource=CSI_STORAGE_CAPACITIES,
    metadata="both",
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    unconditional_update=False,
)
