"""The quality of service class of a pod: Guaranteed, Burstable or BestEffort.

Source: kubernetes `pkg/apis/core/v1/helper/qos/qos.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api import quantity
from sampan.api.core.v1 import Pod, PodSpec, ResourceRequirements

_COMPUTE = ("cpu", "memory")


def qos_class(pod: Pod) -> str:
    """The class in the status, else the one that the spec makes."""
    return pod.status.qosClass or class_of(pod.spec)


def class_of(spec: PodSpec) -> str:
    """The class that the spec makes."""
    whole = spec.resources
    if whole is not None and (whole.requests or whole.limits):
        return _class([whole])
    return _class([container.resources for container in (*(spec.containers or ()), *spec.initContainers)])


def _class(wanted: list[ResourceRequirements]) -> str:
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    for one in wanted:
        if one.requests:
            _sum(requests, one.requests)
        if len(_sum(limits, one.limits)) < len(_COMPUTE):
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and requests == limits:
        return "Guaranteed"
    return "Burstable"


def _sum(total: dict[str, int], amounts: Mapping[str, str]) -> list[str]:
    found = []
    for name in _COMPUTE:
        if name in amounts and (amount := quantity.nano(amounts[name])) > 0:
            total[name] = total.get(name, 0) + amount
            found.append(name)
    return found
