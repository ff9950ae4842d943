"""DeviceClass: devices of a kind, by CEL selectors, with configuration for their drivers.

Source: kubernetes `pkg/apis/resource/validation/validation.go`, `pkg/registry/resource/deviceclass/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.resource.v1 import DeviceClass
from sampan.api.resources import DEVICE_CLASSES
from sampan.kinds import meta
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec.resources import is_extended
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices


def validate(obj: DeviceClass) -> Findings:
    out = devices.validate_selectors(obj.spec.selectors, "spec.selectors")
    out += devices.each(obj.spec.config, devices.MAX_LIST, "spec.config",
                        lambda one, at: devices.validate_opaque(one.opaque, f"{at}.opaque"))
    name = obj.spec.extendedResourceName
    if name is not None and ("/" not in name or not is_extended(name)):
        out.append(field.invalid("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return out


KIND: Kind[DeviceClass] = Kind(
    resource=DEVICE_CLASSES,
    metadata="both",
    name_check=names.long_name,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate,
    columns=(Column("Name", lambda obj, _: obj.metadata.name, format="name"), Column("Age", age)),
)
