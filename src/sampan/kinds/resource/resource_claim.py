"""ResourceClaim: devices that somebody wants, which ones were allocated, and who uses them.

Source: kubernetes `pkg/apis/resource/validation/validation.go`, `pkg/registry/resource/resourceclaim/strategy.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import field, names
from sampan.api.resource.v1 import AllocatedDeviceStatus, ResourceClaim, ResourceClaimStatus
from sampan.api.resources import RESOURCE_CLAIMS
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices
from sampan.kinds.storage.parameters import validate_driver_name

MAX_RESERVED = 256
MAX_CONDITIONS = 8


def default(claim: ResourceClaim) -> None:
    devices.default_claim(claim.spec.devices)


def prepare_create(claim: ResourceClaim) -> None:
    claim.status = ResourceClaimStatus()


def validate(claim: ResourceClaim) -> Findings:
    return devices.validate_claim(claim.spec.devices, "spec.devices")


def validate_update(new: ResourceClaim, old: ResourceClaim) -> Findings:
    return field.immutable(new.spec, old.spec, "spec")


def validate_status(new: ResourceClaim, old: ResourceClaim) -> Findings:
    status, at, out = new.status, "status.reservedFor", Findings()
    for index, one in enumerate(status.reservedFor):
        out += [field.required(f"{at}[{index}].{name}") for name in ("resource", "name", "uid") if not getattr(one, name)]
    out += devices.bounded(status.reservedFor, MAX_RESERVED, at)
    out += devices.unique([one.uid for one in status.reservedFor], at, "uid")
    allocated = {(one.driver, one.pool, one.device) for one in status.allocation.devices.results} \
        if status.allocation is not None else set()
    for index, device in enumerate(status.devices):
        out += _device(device, allocated, f"status.devices[{index}]")
    if status.reservedFor and status.allocation is None:
        out.append(field.forbidden(at, "may not be specified when `allocated` is not set"))
    elif new.metadata.deletionTimestamp is not None and any(one not in old.status.reservedFor for one in status.reservedFor):
        out.append(field.forbidden(at, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are "
                                       "set"))
    if old.status.allocation is not None and status.allocation is not None:
        out += field.immutable(status.allocation, old.status.allocation, "status.allocation")
    elif status.allocation is not None:
        out += _allocation(new, "status.allocation.devices.results")
    return out


def _allocation(claim: ResourceClaim, at: str) -> Findings:
    out: Findings = []
    assert claim.status.allocation is not None
    known = {one.name for one in claim.spec.devices.requests or ()}
    for index, one in enumerate(claim.status.allocation.devices.results):
        where = f"{at}[{index}]"
        if one.request.partition("/")[0] not in known:
            out.append(field.invalid(f"{where}.request", one.request, "must be the name of a request in the claim or the name "
                                                                      "of a request and a subrequest separated by '/'"))
        out += validate_driver_name(one.driver, f"{where}.driver")
        out += devices.pool_name(one.pool, f"{where}.pool")
        out += checks.named(one.device, names.dns1123_label, f"{where}.device")
    return out


def _device(device: AllocatedDeviceStatus, allocated: set[tuple[str, str, str]], at: str) -> Findings:
    out = validate_driver_name(device.driver, f"{at}.driver")
    out += devices.pool_name(device.pool, f"{at}.pool")
    out += checks.named(device.device, names.dns1123_label, f"{at}.device")
    identity = (device.driver, device.pool, device.device)
    if identity not in allocated:
        out.append(field.invalid(at, "/".join(identity), "must be an allocated device in the claim"))
    conditions = device.conditions or []
    out += devices.bounded(conditions, MAX_CONDITIONS, f"{at}.conditions")
    return out + checks.conditions(conditions, f"{at}.conditions")


def _state(claim: ResourceClaim, _: datetime) -> str:
    words = ["deleted"] if claim.metadata.deletionTimestamp is not None else []
    if claim.status.allocation is None:
        return ",".join(words) or "pending"
    words.append("allocated")
    if claim.status.reservedFor:
        words.append("reserved")
    return ",".join(words)


KIND: Kind[ResourceClaim] = Kind(
    resource=RESOURCE_CLAIMS,
    metadata="both",
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.keep_status,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata, validate_status),),
    columns=(
        Column("Name", lambda claim, _: claim.metadata.name, format="name"),
        Column("State", _state),
        Column("Age", age),
    ),
)
