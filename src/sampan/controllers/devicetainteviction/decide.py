"""Whether a pod must go because of its devices, and when. Pure.

Taints come from ResourceSlices; DeviceTaintRules are behind a gate that is off (DRADeviceTaintRules).
Source: kube-controller-manager `devicetainteviction/device_taint_eviction.go`; KEP-5055.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from sampan.api.core.v1 import Pod, PodCondition
from sampan.api.resource.v1 import DeviceTaint, DeviceToleration, ResourceClaim, ResourceSlice
from sampan.api.resources import PODS
from sampan.api.scalars import Time
from sampan.control.devices import claim_name, is_owned_by, is_reserved_for
from sampan.kinds.meta import with_condition
from sampan.kinds.plan import Delete, EventRecord, Plan, Update

REASON = "DeletionByDeviceTaintManager"
MESSAGE = "Device Taint manager: deleting due to NoExecute taint"
Device = tuple[str, str, str]  # driver, pool, name


def taints_of(slices: Iterable[ResourceSlice]) -> dict[str, list[DeviceTaint]]:
    """The NoExecute taints of a pool's devices, by name; only the slices of its newest generation count."""
    known = list(slices)
    newest = max((one.spec.pool.generation for one in known), default=0)
    out: dict[str, list[DeviceTaint]] = {}
    for one in known:
        if one.spec.pool.generation == newest:
            for device in one.spec.devices:
                if found := [taint for taint in device.taints if taint.effect == "NoExecute"]:
                    out[device.name] = found
    return out


def devices_of(claim: ResourceClaim) -> list[Device]:
    """What was allocated to a claim."""
    if claim.status.allocation is None:
        return []
    return [(one.driver, one.pool, one.device) for one in claim.status.allocation.devices.results]


def tolerates(toleration: DeviceToleration, taint: DeviceTaint) -> bool:
    """The toleration is for this taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def claim_leaves(claim: ResourceClaim, taints: Callable[[Device], Sequence[DeviceTaint]]) -> datetime | None:
    """When pods that use an allocated claim must be gone; None: they may stay."""
    due: list[datetime] = []
    if claim.status.allocation is None:
        return None
    for result in claim.status.allocation.devices.results:
        for taint in taints((result.driver, result.pool, result.device)):
            if taint.timeAdded is None:
                continue  # the server sets it
            matching = [one for one in result.tolerations if one.effect == "NoExecute" and tolerates(one, taint)]
            if any(one.tolerationSeconds is None for one in matching):
                continue
            seconds = min((max(0, one.tolerationSeconds or 0) for one in matching), default=0)
            due.append(taint.timeAdded.moment() + timedelta(seconds=seconds))
    return min(due, default=None)


def pod_leaves(pod: Pod, find: Callable[[str], ResourceClaim | None],
               taints: Callable[[Device], Sequence[DeviceTaint]]) -> datetime | None:
    """When the pod must be gone; None: it may stay."""
    if not pod.spec.nodeName or pod.metadata.deletionTimestamp is not None:
        return None
    due: list[datetime] = []
    for wanted in pod.spec.resourceClaims:
        name = claim_name(pod, wanted)
        claim = find(name) if name else None
        if claim is None or (wanted.resourceClaimTemplateName is not None and not is_owned_by(claim, pod)):
            continue
        if is_reserved_for(claim, pod) and (moment := claim_leaves(claim, taints)) is not None:
            due.append(moment)
    return min(due, default=None)


def evict(pod: Pod, now: datetime) -> Plan:
    """Say why, then delete."""
    why = PodCondition(type="DisruptionTarget", status="True", reason=REASON, message=MESSAGE, lastTransitionTime=Time.of(now))
    status = replace(pod.status, conditions=with_condition(pod.status.conditions, why))
    writes = (Update(PODS, replace(pod, status=status), "status"),
              Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid))
    return Plan(writes, None, (EventRecord(pod, "Normal", "DeviceTaintManagerEviction", "Marking for deletion"),))


def cancelled(pod: Pod) -> EventRecord:
    """The pod may stay after all."""
    return EventRecord(pod, "Normal", "DeviceTaintManagerEviction", "Cancelling deletion")
