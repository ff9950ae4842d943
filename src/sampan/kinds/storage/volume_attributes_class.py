"""VolumeAttributesClass: what can be changed about a volume while it lives.

Source: kubernetes `pkg/apis/storage/validation/validation.go`, `pkg/registry/storage/volumeattributesclass`.
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.resources import VOLUME_ATTRIBUTES_CLASSES
from sampan.api.storage.v1 import VolumeAttributesClass
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.storage.parameters import validate_parameters, validate_provisioner


def validate(obj: VolumeAttributesClass) -> Findings:
    return (validate_provisioner(obj.driverName, "driverName")
            + validate_parameters(obj.parameters, "parameters", needed=True))


def judge_update(new: VolumeAttributesClass, old: VolumeAttributesClass) -> Findings:
    out: Findings = []
    if new.driverName != old.driverName:
        out.append(field.forbidden("driverName", "updates to driverName are forbidden."))
    if new.parameters != old.parameters:
        out.append(field.forbidden("parameters", "updates to parameters are forbidden."))
    return out + validate(new)


KIND: Kind[VolumeAttributesClass] = Kind(
    resource=VOLUME_ATTRIBUTES_CLASSES,
    metadata="both",
    validate=validate,
    judge_update=judge_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("DriverName", lambda obj, _: obj.driverName),
        Column("Age", age),
    ),
)
