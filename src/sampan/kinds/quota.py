"""What an object counts for a ResourceQuota: usage, scopes, and the words of a refusal.

Pure: the admission plugin charges with it what is about to be written, the quota controller counts with it what is there.
Source: kubernetes `pkg/quota/v1/evaluator/core`, apiserver `pkg/admission/plugin/resourcequota/controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec.structs import replace

from sampan.api import quantity
from sampan.api.core.v1 import (
    Container,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    ResourceQuota,
    ScopedResourceSelectorRequirement,
    Service,
)
from sampan.api.resourceinfo import Resource
from sampan.api.scalars import Quantity
from sampan.kinds.core.pod_spec.aggregate import aggregate_limits, aggregate_requests
from sampan.kinds.core.pod_spec.resources import is_pod_level

Amounts = Mapping[str, Quantity]
ONE = Quantity("1")
_ALIASES = frozenset(("configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"))
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_POD = frozenset(("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
                  "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "count/pods"))
_MUST_SAY = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
_SERVICE = frozenset(("services", "services.nodeports", "services.loadbalancers", "count/services"))
_CLASS = ".storageclass.storage.k8s.io/"
_DEVICES = ".deviceclass.resource.k8s.io/devices"
_MOST_DEVICES = 32  # that a claim is given, which may be what a request for all of them comes to
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def pod_requests(pod: Pod) -> dict[str, Quantity]:
    """What the whole pod asks for: its containers, or itself as a whole, and its overhead."""
    found = aggregate_requests(_effective(pod, "requests"))
    if pod.spec.resources is not None:
        found |= pod.spec.resources.requests
    return plus(found, pod.spec.overhead)


def pod_limits(pod: Pod) -> dict[str, Quantity]:
    """The whole pod's limits; overhead counts where there is a limit."""
    found = aggregate_limits(_effective(pod, "limits"))
    if pod.spec.resources is not None:
        found |= pod.spec.resources.limits
    return plus(found, {key: value for key, value in pod.spec.overhead.items() if key in found and not quantity.is_zero(found[key])})


def _effective(pod: Pod, side: Literal["requests", "limits"]) -> PodSpec:
    """The spec with what its containers count for while the node resizes them: the most of what they want, have and are promised.

    What the node can never give is not wanted. Source: component-helpers `resource/helpers.go`, KEP-1287.
    """
    spec = pod.spec
    statuses = {one.name: one for one in (*pod.status.containerStatuses, *pod.status.initContainerStatuses) if one.resources is not None}
    if not statuses:
        return spec
    pending = next((one for one in pod.status.conditions if one.type == "PodResizePending"), None)
    refused = pending is not None and pending.reason == "Infeasible"

    def resized(container: Container) -> Container:
        status = statuses.get(container.name)
        if status is None or status.resources is None:
            return container
        wanted: Amounts = getattr(container.resources, side)
        has: Amounts = getattr(status.resources, side)
        promised = status.allocatedResources if side == "requests" else {}
        if has == wanted and promised in ({}, wanted):
            return container
        most: dict[str, Quantity] = {}
        for amounts in (has, promised) if refused else (wanted, has, promised):
            most |= {name: amount for name, amount in amounts.items() if name not in most or quantity.cmp(amount, most[name]) > 0}
        return replace(container, resources=replace(container.resources, **{side: most}))

    return replace(spec, containers=[resized(one) for one in spec.containers or ()],
                   initContainers=[resized(one) if one.restartPolicy == "Always" else one for one in spec.initContainers])


def usage(resource: Resource[Any], obj: Any, now: datetime) -> dict[str, Quantity]:
    """What one object counts, by the names that quotas use."""
    name = resource.plural
    found = {f"count/{resource.group_resource}": ONE}
    if resource.group_resource == "resourceclaims.resource.k8s.io":
        return plus(found, _devices(obj))
    if resource.group:
        return found
    if name == "pods":
        return found | (_pod_usage(obj) if _counts(obj, now) else {})
    if name == "services":
        return found | _service_usage(obj)
    if name == "persistentvolumeclaims":
        return found | _claim_usage(obj)
    return found | {name: ONE} if name in _ALIASES else found


def counted(resource: Resource[Any], names: Iterable[str]) -> list[str]:
    """Those of a quota's names that objects of the resource count for."""
    count = f"count/{resource.group_resource}"
    plural = resource.plural if not resource.group else ""
    if plural == "pods":
        return [name for name in names if name in _POD or name.startswith(("hugepages-", "requests.hugepages-")) or _is_extended(name)]
    if plural == "services":
        return [name for name in names if name in _SERVICE]
    if plural == "persistentvolumeclaims":
        return [name for name in names if name in (count, plural, "requests.storage")
                or name.endswith((f"{_CLASS}{plural}", f"{_CLASS}requests.storage"))]
    if resource.group_resource == "resourceclaims.resource.k8s.io":
        return [name for name in names if name == count or name.endswith(_DEVICES)]
    return [name for name in names if name == count or (name == plural and name in _ALIASES)]


def matches(quota: ResourceQuota, resource: Resource[Any], obj: Any) -> bool:
    """Whether the quota is about such an object: it counts something of it, and all its scopes hold."""
    if not counted(resource, quota.status.hard):
        return False
    selectors = [ScopedResourceSelectorRequirement(scopeName=scope, operator="Exists") for scope in quota.spec.scopes]
    if quota.spec.scopeSelector is not None:
        selectors += quota.spec.scopeSelector.matchExpressions
    return all(_in_scope(selector, resource, obj) for selector in selectors)


def why_incomplete(resource: Resource[Any], obj: Any, names: Iterable[str]) -> str:
    """What a pod's containers must say because a quota counts it; "" when they do, or the whole pod says something."""
    if resource.plural != "pods" or resource.group:
        return ""
    whole = obj.spec.resources
    if whole is not None and any(map(is_pod_level, (*whole.requests, *whole.limits))):
        return ""
    required = _MUST_SAY & set(names)
    lacking: dict[str, set[str]] = {}
    for container in [*(obj.spec.containers or ()), *obj.spec.initContainers]:
        said = _compute(container.resources.requests, container.resources.limits)
        for name in required - said.keys():
            lacking.setdefault(name, set()).add(container.name)
    if not lacking:
        return ""
    return "must specify " + "; ".join(f"{name} for: {','.join(sorted(lacking[name]))}" for name in sorted(lacking))


def charge(quota: ResourceQuota, delta: Amounts) -> tuple[dict[str, Quantity], str]:
    """(the quota's usage with `delta` added, why that is too much or "")."""
    hard, used = quota.status.hard, quota.status.used
    requested = {name: value for name, value in delta.items() if name in hard}
    new = plus(dict(used), requested)
    exceeded = [name for name in requested if quantity.cmp(new[name], hard[name]) > 0]
    if not exceeded:
        return new, ""
    return new, (f"exceeded quota: {quota.metadata.name}, requested: {shown(requested, exceeded)}, "
                 f"used: {shown(used, exceeded)}, limited: {shown(hard, exceeded)}")


def shown(amounts: Amounts, names: Iterable[str]) -> str:
    """`a=1,b=2`, by name."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(names) if name in amounts)


def plus(a: Amounts, b: Amounts) -> dict[str, Quantity]:
    """The sum, name by name."""
    return {**a, **{name: quantity.add(a[name], value) if name in a else value for name, value in b.items()}}


def grown(new: Amounts, old: Amounts) -> dict[str, Quantity]:
    """By how much each name has grown: what has shrunk is not there."""
    return {name: quantity.sub(value, old.get(name, "0")) for name, value in new.items() if quantity.cmp(value, old.get(name, "0")) > 0}


# --- kinds -----------------------------------------------------------------------------------------------------------


def _counts(pod: Pod, now: datetime) -> bool:
    """Whether the pod still takes resources: not ended, nor kept from going beyond its grace period."""
    if pod.status.phase in ("Failed", "Succeeded"):
        return False
    meta = pod.metadata
    if meta.deletionTimestamp is None or meta.deletionGracePeriodSeconds is None:
        return True
    return now <= meta.deletionTimestamp.moment() + timedelta(seconds=meta.deletionGracePeriodSeconds)


def _pod_usage(pod: Pod) -> dict[str, Quantity]:
    return {"pods": ONE} | _compute(pod_requests(pod), pod_limits(pod))


def _compute(requests: Amounts, limits: Amounts) -> dict[str, Quantity]:
    found: dict[str, Quantity] = {}
    for name, value in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            found[name] = found[f"requests.{name}"] = value
        elif _is_extended(f"requests.{name}"):
            found[f"requests.{name}"] = value
    return found | {f"limits.{name}": value for name, value in limits.items() if name in _COMPUTE}


def _is_extended(name: str) -> bool:
    """`requests.example.com/gpu`: a resource of nobody we know, of which only requests are counted."""
    resource = name.removeprefix("requests.")
    if resource == name or "/" not in resource or resource.startswith("requests."):
        return False
    return "kubernetes.io/" not in resource


def _service_usage(service: Service) -> dict[str, Quantity]:
    found = {"services": ONE}
    ports = service.spec.ports
    if service.spec.type == "NodePort":
        found["services.nodeports"] = quantity.of(len(ports))
    elif service.spec.type == "LoadBalancer":
        found["services.loadbalancers"] = ONE
        wants = service.spec.allocateLoadBalancerNodePorts is not False
        found["services.nodeports"] = quantity.of(len(ports) if wants else sum(1 for port in ports if port.nodePort))
    return found


def _claim_usage(claim: PersistentVolumeClaim) -> dict[str, Quantity]:
    found = {"persistentvolumeclaims": ONE}
    asked = claim.spec.resources.requests.get("storage")
    allocated = claim.status.allocatedResources.get("storage")
    if asked is not None and allocated is not None and quantity.cmp(allocated, asked) > 0:
        asked = allocated
    storage_class = claim.metadata.annotations.get(BETA_CLASS, claim.spec.storageClassName)
    if storage_class:
        found[f"{storage_class}{_CLASS}persistentvolumeclaims"] = ONE
    if asked is not None:
        found["requests.storage"] = asked
        if storage_class:
            found[f"{storage_class}{_CLASS}requests.storage"] = asked
    return found


def _devices(claim: Any) -> dict[str, Quantity]:
    """The devices of each class; of alternatives the most that any of them asks for."""
    found: dict[str, Quantity] = {}
    for request in claim.spec.devices.requests:
        most: dict[str, int] = {}
        for one in request.firstAvailable or (getattr(request, "exactly", None) or request,):  # in v1beta1 the request itself says it
            count = {"ExactCount": one.count, "All": _MOST_DEVICES}.get(one.allocationMode, 0)
            most[one.deviceClassName] = max(count, most.get(one.deviceClassName, 0))
        found = plus(found, {f"{name}{_DEVICES}": quantity.of(count) for name, count in most.items()})
    return found


# --- scopes ----------------------------------------------------------------------------------------------------------


def is_terminating(pod: Pod) -> bool:
    """Whether a pod is meant to end: it has a deadline."""
    return pod.spec.activeDeadlineSeconds is not None and pod.spec.activeDeadlineSeconds >= 0


def _in_scope(selector: ScopedResourceSelectorRequirement, resource: Resource[Any], obj: Any) -> bool:
    scope = selector.scopeName
    if resource.group_resource == "persistentvolumeclaims" and scope == "VolumeAttributesClass":
        wanted = [name for name in (obj.spec.volumeAttributesClassName, obj.status.currentVolumeAttributesClassName) if name]
        return any(_selects(selector, name) for name in wanted) if wanted else _selects(selector, "")
    if resource.group_resource != "pods":
        return False
    if scope == "PriorityClass":
        return _selects(selector, obj.spec.priorityClassName)
    held = {"Terminating": is_terminating, "NotTerminating": lambda pod: not is_terminating(pod), "BestEffort": _best_effort,
            "NotBestEffort": lambda pod: not _best_effort(pod), "CrossNamespacePodAffinity": _crosses_namespaces}.get(scope)
    return held is not None and held(obj)


def _selects(selector: ScopedResourceSelectorRequirement, value: str) -> bool:
    match selector.operator:
        case "Exists":
            return bool(value)
        case "DoesNotExist":
            return not value
        case "In":
            return bool(value) and value in selector.values
        case _:
            return not value or value not in selector.values


def _best_effort(pod: Pod) -> bool:
    if pod.status.qosClass:
        return pod.status.qosClass == "BestEffort"
    asked = (*pod_requests(pod).items(), *pod_limits(pod).items())
    return not any(name in ("cpu", "memory") and quantity.cmp(value, "0") > 0 for name, value in asked)


def _crosses_namespaces(pod: Pod) -> bool:
    affinity = pod.spec.affinity
    if affinity is None:
        return False
    for side in (affinity.podAffinity, affinity.podAntiAffinity):
        if side is None:
            continue
        terms = [*side.requiredDuringSchedulingIgnoredDuringExecution,
                 *(weighted.podAffinityTerm for weighted in side.preferredDuringSchedulingIgnoredDuringExecution)]
        if any(term.namespaces or term.namespaceSelector is not None for term in terms):
            return True
    return False
