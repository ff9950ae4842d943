"""ResourceSlice: some of the devices of a driver's pool.

Source: kubernetes `pkg/apis/resource/validation/validation.go`, `pkg/registry/resource/resourceslice/strategy.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sampan.api import field, goprint, names
from sampan.api.resource.v1 import (
    Counter,
    CounterSet,
    Device,
    DeviceAttribute,
    DeviceCapacity,
    DeviceCounterConsumption,
    DeviceTaint,
    ResourcePool,
    ResourceSlice,
    ResourceSliceSpec,
)
from sampan.api.resources import RESOURCE_SLICES
from sampan.api.scalars import Time
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.core.pod_spec import scheduling
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.resource import capacity, devices
from sampan.kinds.storage.parameters import validate_driver_name

T = TypeVar("T")

MAX_DEVICES = 128
MAX_ADVANCED_DEVICES = 64
MAX_ATTRIBUTES = 32
MAX_ATTRIBUTE_VALUES = 48
MAX_VALUE = 64
MAX_TAINTS = 16
MAX_CONSUMED = 2
MAX_COUNTER_SETS = 8
MAX_COUNTERS = 32
MAX_KEY = 63 + 1 + 32
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?")
_SLICE_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_DEVICE_PLACES = ("nodeName", "nodeSelector", "allNodes")
_NO_PLACES = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the " \
             "ResourceSlice spec"


def touch(obj: ResourceSlice, now: datetime) -> None:
    """A taint that does not say since when is one since now."""
    for device in obj.spec.devices:
        for taint in device.taints:
            if taint.timeAdded is None:
                taint.timeAdded = Time.of(now)


def prepare_create(obj: ResourceSlice) -> None:
    meta.first_generation(obj)
    _drop_disabled(obj)


def prepare_update(new: ResourceSlice, old: ResourceSlice) -> None:
    meta.bump_generation(new, old)  # upstream compares before it drops
    _drop_disabled(new)


def _drop_disabled(obj: ResourceSlice) -> None:
    """Lists of values and shares of nodes' own resources: their features are off."""
    for device in obj.spec.devices:
        device.nodeAllocatableResourceMappings = {}
        for attribute in device.attributes.values():
            attribute.ints, attribute.bools, attribute.strings, attribute.versions = [], [], [], []


def validate(obj: ResourceSlice) -> Findings:
    return _slice(obj.spec, None)


def judge_update(new: ResourceSlice, old: ResourceSlice) -> Findings:
    return _slice(new.spec, old.spec)


def _slice(spec: ResourceSliceSpec, old: ResourceSliceSpec | None) -> Findings:
    out = validate_driver_name(spec.driver, "spec.driver") + _pool(spec.pool)
    if old is not None:
        out += field.immutable(spec.pool.name, old.pool.name, "spec.pool.name")
        out += field.immutable(spec.driver, old.driver, "spec.driver")
        out += field.immutable(spec.nodeName, old.nodeName, "spec.nodeName")
    given = _places(out, spec, _SLICE_PLACES, "must be either unset or set to a non-empty string", "spec")
    words = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not given:
        out.append(field.required("spec", words))
    elif len(given) > 1:
        out.append(field.invalid("spec", _braced(given), f"{words}, but multiple fields are set"))
    if spec.sharedCounters and spec.devices:
        out.append(field.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    advanced = any(device.taints or device.consumesCounters for device in spec.devices)
    before = {one.name: one for one in reversed(old.devices)} if old is not None else {}
    out += devices.once(
        spec.devices, MAX_ADVANCED_DEVICES if advanced else MAX_DEVICES, "spec.devices",
        lambda one, at: _device(one, before.get(one.name), at, own_place=bool(spec.perDeviceNodeSelection)), lambda one: one.name)
    return out + devices.once(spec.sharedCounters, MAX_COUNTER_SETS, "spec.sharedCounters", _counter_set, lambda one: one.name)


def _pool(pool: ResourcePool) -> Findings:
    out = devices.pool_name(pool.name, "spec.pool.name")
    if pool.resourceSliceCount <= 0:
        out.append(field.invalid("spec.pool.resourceSliceCount", pool.resourceSliceCount, "must be greater than zero"))
    if pool.generation < 0:
        out.append(field.invalid("spec.pool.generation", pool.generation, "must be greater than or equal to zero"))
    return out


def _places(out: Findings, of: ResourceSliceSpec | Device, places: tuple[str, ...], empty: str, at: str) -> list[str]:
    """Which of the ways to say which nodes can use devices are there. Appends what is wrong with each."""
    given = []
    for name in places:
        value = getattr(of, name)
        if value is None:
            continue
        if value == "" or value is False:
            out.append(field.invalid(f"{at}.{name}", value, empty if value == "" else "must be either unset or set to true"))
            continue
        given.append(name)
        if name == "nodeName":
            out += checks.named(value, names.dns1123_subdomain, f"{at}.{name}")
        elif name == "nodeSelector":
            scheduling.node_selector(out, value, f"{at}.{name}")
            if isinstance(of, ResourceSliceSpec) and len(value.nodeSelectorTerms or ()) != 1:
                out.append(field.invalid(f"{at}.{name}.nodeSelectorTerms", internal(value.nodeSelectorTerms),
                                         "must have exactly one node selector term"))
    return given


def _braced(given: list[str]) -> str:
    return f"{{{', '.join(f'`{name}`' for name in given)}}}"


def _device(device: Device, old: Device | None, at: str, *, own_place: bool) -> Findings:
    out = checks.named(device.name, names.dns1123_label, f"{at}.name")
    both = len(device.attributes) + len(device.capacity)
    if both > MAX_ATTRIBUTES:
        out.append(field.invalid(at, both, f"the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}"))
    if len(device.attributes) > MAX_ATTRIBUTE_VALUES:
        out.append(field.invalid(at, len(device.attributes),
                                 f"the total number of attribute values must not exceed {MAX_ATTRIBUTE_VALUES}"))
    out += _mapped(device.attributes, f"{at}.attributes", devices.qualified_name, _attribute, MAX_KEY)
    shared = capacity.validate if device.allowMultipleAllocations else _whole_capacity
    out += _mapped(device.capacity, f"{at}.capacity", devices.qualified_name, shared, MAX_KEY)
    if old is None or old.taints != device.taints:
        out += devices.each(device.taints, MAX_TAINTS, f"{at}.taints", _taint)
    out += devices.once(device.consumesCounters, MAX_CONSUMED, f"{at}.consumesCounters", _consumption, lambda one: one.counterSet)
    if own_place:
        given = _places(out, device, _DEVICE_PLACES, "must not be empty", at)
        if len(given) != 1:
            out.append(field.invalid(at, _braced(given), _ONE_PLACE) if given else field.required(at, _ONE_PLACE))
    elif any(getattr(device, name) is not None for name in _DEVICE_PLACES):
        out.append(field.invalid(at, None, _NO_PLACES))
    return out + devices.binding_conditions(device.bindingConditions, device.bindingFailureConditions, at)


def _mapped(values: dict[str, T], at: str, key: Callable[[str, str], Findings], check: Callable[[T, str], Findings],
            longest: int) -> Findings:
    """Keys, whose findings are the map's, and values; long keys are shown without their middle."""
    out: Findings = []
    for name in sorted(values):
        shown = name if len(name) <= longest else f"{name[:(longest - 2) // 2]}...{name[-((longest - 3) // 2):]}"
        out += key(name, at) + check(values[name], f"{at}[{shown}]")
    return out


def _attribute(attribute: DeviceAttribute, at: str) -> Findings:
    out: Findings = []
    if attribute.string is not None and len(attribute.string.encode()) > MAX_VALUE:
        out.append(field.too_long(f"{at}.string", MAX_VALUE))
    if attribute.version is not None:
        if not _SEMVER.fullmatch(attribute.version):
            out.append(field.invalid(f"{at}.version", attribute.version,
                                     "must be a string compatible with semver.org spec 2.0.0"))
        if len(attribute.version.encode()) > MAX_VALUE:
            out.append(field.too_long(f"{at}.version", MAX_VALUE))
    given = sum(one is not None for one in (attribute.bool_, attribute.int_, attribute.string, attribute.version))
    if given != 1:
        out.append(field.invalid(at, internal(attribute) if given else "", "exactly one value must be specified"))
    return out


def _whole_capacity(one: DeviceCapacity, at: str) -> Findings:
    return [field.forbidden(f"{at}.requestPolicy", "allowMultipleAllocations must be true")] if one.requestPolicy is not None else []


def _taint(taint: DeviceTaint, at: str) -> Findings:
    out = checks.named(taint.key, names.label_key, f"{at}.key")
    if taint.value:
        out += checks.named(taint.value, names.label_value, f"{at}.value")
    if not taint.effect:
        return [*out, field.required(f"{at}.effect")]
    return out + checks.one_of(taint.effect, devices.EFFECTS, f"{at}.effect")


def _consumption(one: DeviceCounterConsumption, at: str) -> Findings:
    return checks.required_name(one.counterSet, names.dns1123_label, f"{at}.counterSet") + _counters(one.counters, f"{at}.counters")


def _counter_set(one: CounterSet, at: str) -> Findings:
    return checks.required_name(one.name, names.dns1123_label, f"{at}.name") + _counters(one.counters, f"{at}.counters")


def _counters(counters: dict[str, Counter], at: str) -> Findings:
    if not counters:
        return [field.required(at)]
    if len(counters) > MAX_COUNTERS:
        return [field.too_many(at, len(counters), MAX_COUNTERS)]
    return _mapped(counters, at, lambda name, where: checks.named(name, names.dns1123_label, where), lambda _, __: [], 63)


def warnings(new: ResourceSlice, _: ResourceSlice | None) -> list[str]:
    driver = new.spec.driver
    if driver == driver.lower():
        return []
    return [f"spec.driver: driver names should be lowercase; {goprint.quote(driver)} contains uppercase characters"]


KIND: Kind[ResourceSlice] = Kind(
    resource=RESOURCE_SLICES,
    touch=touch,
    metadata="both",
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    judge_update=judge_update,
    warnings=warnings,
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
