"""LimitRanger: a namespace's LimitRanges give containers their defaults, and bound what objects may ask for.

Source: kubernetes `plugin/pkg/admission/limitranger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sampan.api import quantity
from sampan.api.core.v1 import LimitRangeItem, Pod, ResourceRequirements
from sampan.api.resources import LIMIT_RANGES
from sampan.api.scalars import Quantity
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers
from sampan.kinds.core.pod_spec.aggregate import aggregate_limits, aggregate_requests

ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, Quantity]


class LimitRanger:
    """Sets defaults, then judges."""

    name = "LimitRanger"

    def __init__(self, readers: Readers) -> None:
        self._ranges = readers.of(LIMIT_RANGES)

    def handles(self, request: AdmissionRequest) -> bool:
        """Pods and claims. A pod's resources never change by an update, but by its subresource resize."""
        if request.resource.group:
            return False
        if request.resource.plural == "pods":
            return (request.operation, request.subresource) in (("CREATE", ""), ("UPDATE", "resize"))
        return request.resource.plural == "persistentvolumeclaims" and not request.subresource \
            and request.operation in ("CREATE", "UPDATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Give containers what they leave out."""
        if request.resource.plural != "pods" or _is_going(request):
            return
        for limit_range in self._of(request.namespace):
            apply_defaults(request.object, limit_range.metadata.name, limit_range.spec.limits or ())

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse what is out of bounds: all findings of one LimitRange at once."""
        if _is_going(request):
            return
        for limit_range in self._of(request.namespace):
            found = findings(request.resource.plural, request.object, limit_range.spec.limits or ())
            found = list(dict.fromkeys(found))
            if found:
                raise forbidden(request, found[0] if len(found) == 1 else f"[{', '.join(found)}]", final=True)

    def _of(self, namespace: str) -> list[Any]:
        return [entry.object for entry in self._ranges.entries(namespace)]


def _is_going(request: AdmissionRequest) -> bool:
    """Whether the object is being deleted: nothing about it matters any more."""
    return request.old is not None and request.old.metadata.deletionTimestamp is not None


def apply_defaults(pod: Pod, name: str, limits: Iterable[LimitRangeItem]) -> None:
    """Fill in requests and limits, and say so in an annotation; in place."""
    requests: dict[str, Quantity] = {}
    bounds: dict[str, Quantity] = {}
    for item in limits:
        if item.type == "Container":
            requests |= item.defaultRequest
            bounds |= item.default
    told = []
    for word, containers in (("container", pod.spec.containers or []), ("init container", pod.spec.initContainers)):
        for container in containers:
            container.resources = container.resources or ResourceRequirements()
            for kind, has, gets in (("request", container.resources.requests, requests), ("limit", container.resources.limits, bounds)):
                added = [key for key in gets if key not in has]
                has.update({key: gets[key] for key in added})
                if added:
                    told.append(f"{', '.join(sorted(added))} {kind} for {word} {container.name}")
    if told:
        pod.metadata.annotations = pod.metadata.annotations | {ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}"}


def findings(plural: str, obj: Any, limits: Iterable[LimitRangeItem]) -> list[str]:
    """What is out of bounds, in upstream's words and order."""
    found: list[str] = []
    for item in limits:
        if plural == "persistentvolumeclaims":
            if item.type == "PersistentVolumeClaim":
                asked = obj.spec.resources.requests
                for key, bound in item.min.items():
                    found += _minimum("PersistentVolumeClaim", key, bound, asked, {})
                for key, bound in item.max.items():
                    # a claim's request is what its volume will have at least: it is bounded from both sides
                    found += _maximum_request("PersistentVolumeClaim", key, bound, asked)
        elif item.type == "Container":
            for container in [*(obj.spec.containers or ()), *obj.spec.initContainers]:
                resources = container.resources
                found += _bounds("Container", item, *((resources.requests, resources.limits) if resources else ({}, {})))
        elif item.type == "Pod":
            whole = obj.spec.resources or ResourceRequirements()
            found += _bounds("Pod", item, aggregate_requests(obj.spec) | _of_whole(whole.requests),
                             aggregate_limits(obj.spec) | _of_whole(whole.limits))
    return found


def _of_whole(amounts: Amounts) -> dict[str, Quantity]:
    return {name: amounts[name] for name in ("cpu", "memory") if name in amounts}


def _bounds(kind: str, item: LimitRangeItem, requests: Amounts, limits: Amounts) -> list[str]:
    found: list[str] = []
    for key, bound in item.min.items():
        found += _minimum(kind, key, bound, requests, limits)
    for key, bound in item.max.items():
        found += _maximum(kind, key, bound, requests, limits)
    for key, bound in item.maxLimitRequestRatio.items():
        found += _ratio(kind, key, bound, requests, limits)
    return found


def _minimum(kind: str, key: str, bound: Quantity, requests: Amounts, limits: Amounts) -> list[str]:
    if key not in requests:
        return [f"minimum {key} usage per {kind} is {bound}.  No request is specified"]
    if quantity.cmp(requests[key], bound) < 0:
        return [f"minimum {key} usage per {kind} is {bound}, but request is {requests[key]}"]
    if key in limits and quantity.cmp(limits[key], bound) < 0:
        return [f"minimum {key} usage per {kind} is {bound}, but limit is {limits[key]}"]
    return []


def _maximum(kind: str, key: str, bound: Quantity, requests: Amounts, limits: Amounts) -> list[str]:
    if key not in limits:
        return [f"maximum {key} usage per {kind} is {bound}.  No limit is specified"]
    if quantity.cmp(limits[key], bound) > 0:
        return [f"maximum {key} usage per {kind} is {bound}, but limit is {limits[key]}"]
    if key in requests and quantity.cmp(requests[key], bound) > 0:
        return [f"maximum {key} usage per {kind} is {bound}, but request is {requests[key]}"]
    return []


def _maximum_request(kind: str, key: str, bound: Quantity, requests: Amounts) -> list[str]:
    if key not in requests:
        return [f"maximum {key} usage per {kind} is {bound}.  No request is specified"]
    if quantity.cmp(requests[key], bound) > 0:
        return [f"maximum {key} usage per {kind} is {bound}, but request is {requests[key]}"]
    return []


def _ratio(kind: str, key: str, bound: Quantity, requests: Amounts, limits: Amounts) -> list[str]:
    head = f"{key} max limit to request ratio per {kind} is {bound}"
    if key not in requests or not quantity.nano(requests[key]):
        return [f"{head}, but no request is specified or request is 0"]
    if key not in limits or not quantity.nano(limits[key]):
        return [f"{head}, but no limit is specified or limit is 0"]
    observed = quantity.nano(limits[key]) / quantity.nano(requests[key])
    if observed > quantity.approximate(bound):
        return [f"{head}, but provided ratio is {observed:.6f}"]
    return []
