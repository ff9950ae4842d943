"""The status of a ResourceQuota from what is there. Pure.

Leaves what an object counts to `sampan.kinds.quota`. Source: kube-controller-manager `resourcequota/resource_quota_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from sampan.api.core.v1 import PersistentVolumeClaim, Pod, ResourceQuota, ResourceQuotaStatus, Service
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PODS, RESOURCE_QUOTAS
from sampan.api.scalars import Quantity
from sampan.control.pods import is_terminal
from sampan.kinds import quota as counting
from sampan.kinds.plan import Plan, Update


def decide(quota: ResourceQuota, objects: Mapping[Resource[Any], Iterable[Any]], now: datetime) -> Plan:
    """Count.

    Args:
        quota: As the server has it.
        objects: Of each resource that the quota counts, those in its namespace.
        now: The time: pods that should be long gone by now do not count; the next time that one should be is when to look again.
    """
    hard = quota.spec.hard
    as_wanted = replace(quota, status=ResourceQuotaStatus(hard=hard))
    # what nobody can count (any more) stays as it was
    used = {name: found for name, found in quota.status.used.items() if name in hard}
    fresh: dict[str, Quantity] = {}
    for resource, found in objects.items():
        names = counting.counted(resource, hard)
        fresh |= {name: Quantity("0") for name in names if name not in fresh}
        for obj in found:
            if counting.matches(as_wanted, resource, obj):
                usage = counting.usage(resource, obj, now)
                fresh = counting.plus(fresh, {name: usage[name] for name in names if name in usage})
    status = ResourceQuotaStatus(hard=hard, used=used | fresh)
    later = min(filter(None, (_lingers(pod, now) for pod in objects.get(PODS, ()))), default=None)
    if status == quota.status:
        return Plan(requeue_after_seconds=later)
    return Plan((Update(RESOURCE_QUOTAS, replace(quota, status=status), "status"),), later)


def _lingers(pod: Pod, now: datetime) -> float:
    """Seconds for which a pod that is being deleted still counts; 0: it is not, or does not count any more."""
    gone = pod.metadata.deletionTimestamp
    if gone is None or is_terminal(pod):
        return 0.0
    left = (gone.moment() - now).total_seconds() + (pod.metadata.deletionGracePeriodSeconds or 0)
    return left + 1.0 if left >= 0 else 0.0


def counts(quota: ResourceQuota, resource: Resource[Any]) -> bool:
    """Whether the quota counts objects of this resource."""
    return bool(counting.counted(resource, quota.spec.hard))


def frees(old: Any, new: Any) -> bool:
    """Whether a change may have changed what an object counts, without admission.

    A deletion, a pod that ended, got a deadline or other resources, a Service of another type, a claim that was resized or has
    another class of attributes.
    """
    if new is None:
        return True
    return old is not None and _counted_as(new) != _counted_as(old)


def _counted_as(obj: Any) -> object:
    if isinstance(obj, Pod):
        statuses = [(one.name, one.resources) for one in (*obj.status.initContainerStatuses, *obj.status.containerStatuses) if one.resources is not None]
        return is_terminal(obj), obj.metadata.deletionTimestamp, obj.spec.activeDeadlineSeconds is None, statuses
    if isinstance(obj, Service):
        return obj.spec.type, len(obj.spec.ports)
    if isinstance(obj, PersistentVolumeClaim):
        status = obj.status
        return (obj.spec.resources, obj.spec.volumeAttributesClassName, status.allocatedResources, status.currentVolumeAttributesClassName,
                status.modifyVolumeStatus)
    return None
