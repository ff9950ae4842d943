"""IPAddress: that an address is taken, and by what. The name is the address.

Source: kubernetes `pkg/apis/networking/validation/validation.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import addresses, field, names
from sampan.api.networking.v1 import IPAddress
from sampan.api.resources import IP_ADDRESSES
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age


def name_check(name: str) -> list[str]:
    """An address in its canonical form."""
    return [error.detail.split(": ", 2)[-1] for error in addresses.ip("", name)]


def validate(obj: IPAddress) -> Findings:
    ref, at, out = obj.spec.parentRef, "spec.parentRef", Findings()
    if ref is None:
        return [field.required(at)]
    if ref.group:
        out += checks.named(ref.group, names.dns1123_subdomain, f"{at}.group")
    out += checks.required_name(ref.resource, names.path_segment_name, f"{at}.resource")
    out += checks.required_name(ref.name, names.path_segment_name, f"{at}.name")
    if ref.namespace:
        out += checks.named(ref.namespace, names.path_segment_name, f"{at}.namespace")
    return out


def validate_update(new: IPAddress, old: IPAddress) -> Findings:
    same = new.spec.parentRef == old.spec.parentRef
    return [] if same else [field.invalid("spec.parentRef", internal(new.spec.parentRef), field.IMMUTABLE)]


def _parent(obj: IPAddress, _: datetime) -> str:
    ref = obj.spec.parentRef
    if ref is None:
        return "<none>"
    resource = f"{ref.resource}.{ref.group}" if ref.group else ref.resource
    return "/".join(part for part in (resource, ref.namespace, ref.name) if part)


KIND: Kind[IPAddress] = Kind(
    resource=IP_ADDRESSES,
    metadata="both",
    validate=validate,
    validate_update=validate_update,
    name_check=name_check,
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("ParentRef", _parent),
        Column("Age", age, undeclared=True),
    ),
    fields={
        "spec.parentRef.group": lambda obj: obj.spec.parentRef.group if obj.spec.parentRef else "",
        "spec.parentRef.resource": lambda obj: obj.spec.parentRef.resource if obj.spec.parentRef else "",
        "spec.parentRef.namespace": lambda obj: obj.spec.parentRef.namespace if obj.spec.parentRef else "",
        "spec.parentRef.name": lambda obj: obj.spec.parentRef.name if obj.spec.parentRef else "",
    },
)
