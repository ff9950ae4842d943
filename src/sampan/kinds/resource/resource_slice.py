"""ResourceSlice: some of the devices of a driver's pool.

Source: kubernetes `pkg/apis/resource/validation/validation.go`, `pkg/registry/resource/resourceslice/strategy.go`.
"""

from __future__ import annotations

import re
from datetime import datetime

from sampan.api import field, names
from sampan.api.resource.v1 import Device, DeviceAttribute, DeviceTaint, ResourceSlice, ResourceSliceSpec
from sampan.api.resources import RESOURCE_SLICES
from sampan.api.scalars import Time
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices
from sampan.kinds.storage.parameters import validate_driver_name

MAX_DEVICES = 128
MAX_ATTRIBUTES = 32
MAX_VALUE = 64
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?")
_VALUES = ("bool_", "int_", "string", "version", "bools", "ints", "strings", "versions")


def touch(obj: ResourceSlice, now: datetime) -> None:
    """A taint that does not say since when is one since now."""
    for device in obj.spec.devices:
        for taint in device.taints:
            if taint.timeAdded is None:
                taint.timeAdded = Time.of(now)


def validate(obj: ResourceSlice) -> Findings:
    spec, pool = obj.spec, obj.spec.pool
    out = validate_driver_name(spec.driver, "spec.driver")
    out += devices.pool_name(pool.name, "spec.pool.name")
    if pool.resourceSliceCount <= 0:
        out.append(field.invalid("spec.pool.resourceSliceCount", pool.resourceSliceCount, "must be greater than zero"))
    if pool.generation < 0:
        out.append(field.invalid("spec.pool.generation", pool.generation, "must be greater than or equal to zero"))
    out += _place(spec)
    for index, device in enumerate(spec.devices):
        out += _device(device, f"spec.devices[{index}]")
    out += devices.bounded(spec.devices, MAX_DEVICES, "spec.devices")
    return out + devices.unique([one.name for one in spec.devices], "spec.devices", "name")


def _place(spec: ResourceSliceSpec) -> Findings:
    """Exactly one of the ways to say which nodes can use the devices."""
    out: Findings = []
    options = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
    given = [name for name in options if getattr(spec, name) not in (None, "", False)]
    if spec.nodeName:
        out += checks.named(spec.nodeName, names.dns1123_subdomain, "spec.nodeName")
    if spec.nodeSelector is not None and len(spec.nodeSelector.nodeSelectorTerms or ()) != 1:
        out.append(field.invalid("spec.nodeSelector.nodeSelectorTerms", spec.nodeSelector.nodeSelectorTerms,
                                 "must have exactly one node selector term"))
    words = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not given:
        out.append(field.required("spec", words))
    elif len(given) > 1:
        shown = ", ".join(f"`{name}`" for name in given)
        out.append(field.invalid("spec", f"{{{shown}}}", f"{words}, but multiple fields are set"))
    return out


def _device(device: Device, at: str) -> Findings:
    out = checks.named(device.name, names.dns1123_label, f"{at}.name")
    for key, attribute in sorted(device.attributes.items()):
        out += devices.qualified_name(key, f"{at}.attributes[{key}]")
        out += _attribute(attribute, f"{at}.attributes[{key}]")
    for key in sorted(device.capacity):
        out += devices.qualified_name(key, f"{at}.capacity[{key}]")
    both = len(device.attributes) + len(device.capacity)
    if both > MAX_ATTRIBUTES:
        out.append(field.invalid(at, both, f"the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}"))
    for index, taint in enumerate(device.taints):
        out += _taint(taint, f"{at}.taints[{index}]")
    return out


def _attribute(attribute: DeviceAttribute, at: str) -> Findings:
    given = [name for name in _VALUES if getattr(attribute, name) not in (None, [])]
    if not given:
        return [field.required(at, "exactly one value must be specified")]
    out: Findings = []
    if len(given) > 1:
        out.append(field.invalid(at, attribute, "exactly one value must be specified"))
    if attribute.string is not None and len(attribute.string) > MAX_VALUE:
        out.append(field.too_long(f"{at}.string", MAX_VALUE))
    if attribute.version is not None:
        if not _SEMVER.fullmatch(attribute.version):
            out.append(field.invalid(f"{at}.version", attribute.version,
                                     "must be a string compatible with semver.org spec 2.0.0"))
        if len(attribute.version) > MAX_VALUE:
            out.append(field.too_long(f"{at}.version", MAX_VALUE))
    return out


def _taint(taint: DeviceTaint, at: str) -> Findings:
    out = checks.named(taint.key, names.label_key, f"{at}.key")
    if taint.value:
        out += checks.named(taint.value, names.label_value, f"{at}.value")
    if not taint.effect:
        return [*out, field.required(f"{at}.effect")]
    return out + checks.one_of(taint.effect, devices.EFFECTS, f"{at}.effect")


def validate_update(new: ResourceSlice, old: ResourceSlice) -> Findings:
    return (field.immutable(new.spec.pool.name, old.spec.pool.name, "spec.pool.name")
            + field.immutable(new.spec.driver, old.spec.driver, "spec.driver")
            + field.immutable(new.spec.nodeName, old.spec.nodeName, "spec.nodeName"))


KIND: Kind[ResourceSlice] = Kind(
    resource=RESOURCE_SLICES,
    touch=touch,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Node", lambda obj, _: obj.spec.nodeName or "<unset>"),
        Column("Driver", lambda obj, _: obj.spec.driver),
        Column("Pool", lambda obj, _: obj.spec.pool.name),
        Column("Age", age),
    ),
    fields={
        "spec.nodeName": lambda obj: obj.spec.nodeName or "",
        "spec.driver": lambda obj: obj.spec.driver,
    },
)
