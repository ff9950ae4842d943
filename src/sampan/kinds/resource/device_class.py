"""DeviceClass: devices of a kind, by CEL selectors, with configuration for their drivers.

Source: kubernetes `pkg/apis/resource/validation/validation.go`, `pkg/registry/resource/deviceclass/strategy.go`.
"""

from __future__ import annotations

from sampan.api import names
from sampan.api.resource.v1 import DeviceClass
from sampan.api.resources import DEVICE_CLASSES
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices


def validate(obj: DeviceClass) -> Findings:
    out = devices.validate_selectors(obj.spec.selectors, "spec.selectors")
    for index, config in enumerate(obj.spec.config):
        out += devices.validate_opaque(config.opaque, f"spec.config[{index}].opaque")
    out += devices.bounded(obj.spec.config, devices.MAX_LIST, "spec.config")
    if obj.spec.extendedResourceName is not None:
        out += checks.named(obj.spec.extendedResourceName, names.qualified_name, "spec.extendedResourceName")
    return out


KIND: Kind[DeviceClass] = Kind(
    resource=DEVICE_CLASSES,
    metadata="both",
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate,
    columns=(Column("Name", lambda obj, _: obj.metadata.name, format="name"), Column("Age", age)),
)
