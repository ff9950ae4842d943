"""What selectors of devices see: `device`, with its driver, attributes and capacity by domain.

An attribute or a capacity without a domain of its own is in the driver's. What is asked of a domain that a device has
nothing of is an empty map, not an error. Source: dynamic-resource-allocation `cel/compile.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sampan.api.cel.admission import Compiled
from sampan.api.cel.environment import Environment
from sampan.api.cel.errors import CelError, CompileError
from sampan.api.cel.library.kubernetes import QUANTITY, QuantityValue, SemverValue, to_semver
from sampan.api.cel.types import BOOL, DYN, STRING, map_of, object_type
from sampan.api.resource.v1 import Device, DeviceAttribute

DEVICE = object_type("kubernetes.DRADevice", {
    "driver": STRING, "attributes": map_of(STRING, map_of(STRING, DYN)), "capacity": map_of(STRING, map_of(STRING, QUANTITY)),
    "allowMultipleAllocations": BOOL,
})


class Domains(dict[str, dict[str, Any]]):
    """Values by domain and name."""

    def __missing__(self, key: str) -> dict[str, Any]:
        return {}


@cache
def environment() -> Environment:
    """Where selectors are compiled."""
    return Environment({"device": DEVICE})


def compile_selector(expression: str) -> Compiled:
    """The program of a selector, or why there is none."""
    try:
        program = environment().compile(expression)
    except CompileError as error:
        return Compiled(None, f"compilation failed: {error}")
    if program.type.kind not in ("bool", "dyn"):
        return Compiled(None, f"must evaluate to bool or the unknown type, not {program.type}")
    return Compiled(program)


def attribute_value(attribute: DeviceAttribute) -> Any:
    """The one value of an attribute.

    Raises:
        CelError: It is a version that cannot be read (the API server admits none).
    """
    if attribute.int_ is not None:
        return attribute.int_
    if attribute.bool_ is not None:
        return attribute.bool_
    if attribute.version is not None:
        return version(attribute.version)
    if attribute.string is not None:
        return attribute.string
    return list(attribute.ints or attribute.bools or attribute.strings or [version(one) for one in attribute.versions])


def version(text: str) -> SemverValue:
    """A semantic version."""
    found = to_semver(text)
    assert isinstance(found, SemverValue)
    return found


def variables(driver: str, device: Device) -> Mapping[str, Any]:
    """What an expression sees of one device."""
    attributes, capacity = Domains(), Domains()
    for name, attribute in device.attributes.items():
        _put(attributes, driver, name, attribute_value(attribute))
    for name, one in device.capacity.items():
        _put(capacity, driver, name, QuantityValue(one.value))
    return {"device": {"driver": driver, "attributes": attributes, "capacity": capacity,
                       "allowMultipleAllocations": bool(device.allowMultipleAllocations)}}


def _put(domains: Domains, driver: str, name: str, value: Any) -> None:
    domain, _, short = name.rpartition("/")
    domains.setdefault(domain or driver, {})[short] = value


__all__ = ["DEVICE", "CelError", "Domains", "attribute_value", "compile_selector", "environment", "variables", "version"]
