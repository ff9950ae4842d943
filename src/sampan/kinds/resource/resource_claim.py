"""ResourceClaim: devices that somebody wants, which ones were allocated, and who uses them.

Source: kubernetes `pkg/apis/resource/validation/validation.go`, `pkg/registry/resource/resourceclaim/strategy.go`.
"""

from __future__ import annotations

import re
from datetime import datetime

from sampan.api import addresses, field, goprint, names
from sampan.api.resource.v1 import (
    AllocatedDeviceStatus,
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceRequestAllocationResult,
    NetworkDeviceData,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimStatus,
)
from sampan.api.resources import RESOURCE_CLAIMS
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.core.pod_spec import scheduling
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices
from sampan.kinds.storage.parameters import validate_driver_name

MAX_RESERVED = 256
MAX_CONDITIONS = 8
MAX_IPS = 16
SOURCES = ("FromClaim", "FromClass")

Identity = tuple[str, str, str, str]


def default(claim: ResourceClaim) -> None:
    devices.default_claim(claim.spec.devices)


def prepare_create(claim: ResourceClaim) -> None:
    claim.status = ResourceClaimStatus()


def validate(claim: ResourceClaim) -> Findings:
    return devices.validate_claim(claim.spec.devices, "spec.devices")


def judge_update(new: ResourceClaim, old: ResourceClaim) -> Findings:
    return [] if new.spec == old.spec else [field.invalid("spec", internal(new.spec), field.IMMUTABLE)]


def prepare_status(new: ResourceClaim, old: ResourceClaim) -> None:
    """What drivers told of devices goes with them."""
    meta.keep_spec_and_metadata(new, old)
    if new.status.allocation is not None:
        for result in new.status.allocation.devices.results:
            devices.default_tolerations(result.tolerations)
    gone = _allocated(old.status) - _allocated(new.status)
    new.status.devices = [one for one in new.status.devices if _identity(one) not in gone]


def _identity(one: AllocatedDeviceStatus | DeviceRequestAllocationResult) -> Identity:
    return one.driver, one.pool, one.device, one.shareID or ""


def _allocated(status: ResourceClaimStatus) -> set[Identity]:
    return {_identity(one) for one in status.allocation.devices.results} if status.allocation is not None else set()


def _shown(one: AllocatedDeviceStatus) -> dict[str, str]:
    return dict(zip(("Driver", "Pool", "Device", "ShareID"), _identity(one), strict=True))


def validate_status(new: ResourceClaim, old: ResourceClaim) -> Findings:
    status, at = new.status, "status.reservedFor"
    out = devices.once(status.reservedFor, MAX_RESERVED, at, _user, lambda one: one.uid)
    allocated = _allocated(status)
    out += devices.once(status.devices, -1, "status.devices", lambda one, where: _device(one, allocated, where), _shown)
    if status.reservedFor and status.allocation is None:
        out.append(field.forbidden(at, "may not be specified when `allocated` is not set"))
    elif new.metadata.deletionTimestamp is not None and any(one not in old.status.reservedFor for one in status.reservedFor):
        out.append(field.forbidden(at, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are "
                                       "set"))
    if old.status.allocation is not None and status.allocation is not None:
        if status.allocation != old.status.allocation:
            out.append(field.invalid("status.allocation", internal(status.allocation), field.IMMUTABLE))
    elif status.allocation is not None:
        out += _allocation(status.allocation, devices.request_names(new.spec.devices), "status.allocation")
    return out


def _user(one: ResourceClaimConsumerReference, at: str) -> Findings:
    return [field.required(f"{at}.{name}") for name in ("resource", "name", "uid") if not getattr(one, name)]


def _allocation(allocation: AllocationResult, known: dict[str, set[str]], at: str) -> Findings:
    out = devices.each(allocation.devices.results, devices.MAX_LIST, f"{at}.devices.results", lambda one, where: _result(one, known, where))
    out += devices.each(allocation.devices.config, 2 * devices.MAX_LIST, f"{at}.devices.config", lambda one, where: _config(one, known, where))
    if allocation.nodeSelector is not None:
        scheduling.node_selector(out, allocation.nodeSelector, f"{at}.nodeSelector")
    return out


def _result(one: DeviceRequestAllocationResult, known: dict[str, set[str]], at: str) -> Findings:
    out = devices.reference(one.request, known, f"{at}.request")
    out += validate_driver_name(one.driver, f"{at}.driver")
    out += devices.pool_name(one.pool, f"{at}.pool")
    out += checks.named(one.device, names.dns1123_label, f"{at}.device")
    out += devices.binding_conditions(one.bindingConditions, one.bindingFailureConditions, at)
    return out + _share(one.shareID, f"{at}.shareID")


def _config(one: DeviceAllocationConfiguration, known: dict[str, set[str]], at: str) -> Findings:
    out = checks.one_of(one.source, SOURCES, f"{at}.source") if one.source else [field.required(f"{at}.source")]
    out += devices.references(one.requests, known, f"{at}.requests")
    return out + devices.validate_opaque(one.opaque, f"{at}.opaque")


def _share(uid: str | None, at: str) -> Findings:
    """The UUID of a share of a device, as Go's library reads it."""
    if uid is None:
        return []
    if problem := _uuid_problem(uid):
        return [field.invalid(at, uid, f"error validating uid: {problem}")]
    if len(uid) != 36 or uid != uid.lower():
        return [field.invalid(at, uid, "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with "
                                       "lowercase hexadecimal characters")]
    return []


def _uuid_problem(text: str) -> str:
    bare = {36: text, 45: text[9:], 38: text[1:-1], 32: text}.get(len(text))
    if bare is None:
        return f"invalid UUID length: {len(text.encode())}"
    if len(text) == 45 and text[:9].lower() != "urn:uuid:":
        return f"invalid urn prefix: {goprint.quote(text[:9])}"
    if len(text) == 38 and (text[0], text[-1]) != ("{", "}"):
        return "invalid bracketed UUID format"
    form = r"[0-9a-fA-F]{32}" if len(text) == 32 else r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    return "" if re.fullmatch(form, bare) else "invalid UUID format"


def _device(device: AllocatedDeviceStatus, allocated: set[Identity], at: str) -> Findings:
    out = validate_driver_name(device.driver, f"{at}.driver")
    out += devices.pool_name(device.pool, f"{at}.pool")
    out += checks.named(device.device, names.dns1123_label, f"{at}.device")
    out += _share(device.shareID, f"{at}.shareID")
    if _identity(device) not in allocated:
        out.append(field.invalid(at, _shown(device), "must be an allocated device in the claim"))
    conditions = device.conditions or []
    if len(conditions) > MAX_CONDITIONS:
        out.append(field.too_many(f"{at}.conditions", len(conditions), MAX_CONDITIONS))
    out += checks.conditions(conditions, f"{at}.conditions")
    if device.data is not None:
        out += devices.json_object(device.data, f"{at}.data", devices.MAX_PARAMETERS_BYTES)
    return out + (_network(device.networkData, f"{at}.networkData") if device.networkData is not None else [])


def _network(data: NetworkDeviceData, at: str) -> Findings:
    out = [field.too_long(f"{at}.{name}", limit) for name, limit in (("interfaceName", 256), ("hardwareAddress", 128))
           if len(getattr(data, name).encode()) > limit]
    return out + devices.once(data.ips, MAX_IPS, f"{at}.ips", lambda one, where: addresses.interface_address(where, one), str)


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
    judge_update=judge_update,
    subkinds=(SubKind("status", prepare_status, validate_status),),
    columns=(
        Column("Name", lambda claim, _: claim.metadata.name, format="name"),
        Column("State", _state),
        Column("Age", age),
    ),
)
