"""What a pod's containers ask for together, as quantities: sidecars run on, init containers run one after another.

`sampan.kinds.core.pod.requests` answers the same in numbers, for scheduling. Source: component-helpers `resource/helpers.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sampan.api import quantity
from sampan.api.core.v1 import PodSpec
from sampan.api.scalars import Quantity


def aggregate_requests(spec: PodSpec) -> dict[str, Quantity]:
    """The requests of all containers together."""
    return _aggregate(spec, "requests")


def aggregate_limits(spec: PodSpec) -> dict[str, Quantity]:
    """The limits of all containers together."""
    return _aggregate(spec, "limits")


def _aggregate(spec: PodSpec, side: Literal["requests", "limits"]) -> dict[str, Quantity]:
    total: dict[str, Quantity] = {}
    for container in spec.containers or ():
        _add(total, getattr(container.resources, side))
    sidecars: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.initContainers:
        wanted: Mapping[str, Quantity] = getattr(container.resources, side)
        if container.restartPolicy == "Always":
            _add(total, wanted)
            _add(sidecars, wanted)
            _raise(peak, sidecars)
        else:
            together = dict(wanted)
            _add(together, sidecars)
            _raise(peak, together)
    _raise(total, peak)
    return total


def _add(total: dict[str, Quantity], more: Mapping[str, Quantity]) -> None:
    for name, amount in more.items():
        total[name] = quantity.add(total[name], amount) if name in total else amount


def _raise(total: dict[str, Quantity], least: Mapping[str, Quantity]) -> None:
    for name, amount in least.items():
        if name not in total or quantity.cmp(amount, total[name]) > 0:
            total[name] = amount
