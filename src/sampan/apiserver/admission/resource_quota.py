"""ResourceQuota: what is about to be written is charged to the namespace's quotas, or refused.

A charge is a compare-and-swap of the quota's status, so that two writes at once can't both take the last piece; the
quota controller counts anew from time to time and mends what a failed write left charged.
Source: apiserver `pkg/admission/plugin/resourcequota`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sampan.api import codec, quantity
from sampan.api.core.v1 import ResourceQuota as Quota
from sampan.api.resources import RESOURCE_QUOTAS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers
from sampan.kinds import quota as counting
from sampan.lib.clock import Clock


class StatusWriter(Protocol):
    """Swaps the status of a quota."""

    async def swap(self, namespace: str, name: str, produce: Callable[[Quota], Quota]) -> None:
        """Write what `produce` makes of the quota as it is; called again when somebody was faster.

        Raises:
            ApiError: What `produce` raised, or that there is no quota any more (`NotFound`).
        """
        ...


class ResourceQuota:
    """The last plugin: nothing is charged that somebody else refuses."""

    name = "ResourceQuota"

    def __init__(self, readers: Readers, clock: Clock, writer: StatusWriter | None = None) -> None:
        self._quotas, self._clock = readers.of(RESOURCE_QUOTAS), clock
        self.writer = writer
        """Set by whoever makes the registry, which in turn needs this plugin; without it nothing is charged."""

    def handles(self, request: AdmissionRequest) -> bool:
        """What is made in a namespace; services, claims and pods' sizes when they change, too."""
        if not request.resource.namespaced:
            return False
        core = request.resource.plural if not request.resource.group else ""
        if request.operation == "CREATE":
            return not request.subresource and not request.resource.plural.endswith("reviews")
        if request.operation == "UPDATE":
            return (core, request.subresource) in (("services", ""), ("persistentvolumeclaims", ""), ("pods", "resize"))
        return False

    async def validate(self, request: AdmissionRequest) -> None:
        """Charge all quotas that match, or refuse."""
        quotas = [entry.object for entry in self._quotas.entries(request.namespace)]
        fitting = [quota for quota in quotas if self._fits(quota, request)]
        delta = self._delta(request) if fitting else {}
        if not delta:
            return
        for quota in fitting:
            self._judged(quota, request, delta)
        if request.dry_run or self.writer is None:
            return
        for quota in fitting:
            if any(name in quota.status.hard for name in delta):
                await self.writer.swap(request.namespace, quota.metadata.name, lambda old: self._judged(old, request, delta))

    def _fits(self, quota: Quota, request: AdmissionRequest) -> bool:
        if not counting.matches(quota, request.resource, request.object):
            return False
        names = counting.counted(request.resource, quota.status.hard)
        if why := counting.why_incomplete(request.resource, request.object, names):
            raise forbidden(request, f"failed quota: {quota.metadata.name}: {why}", final=True)
        if any(name not in quota.status.used for name in names):
            raise forbidden(request, f"status unknown for quota: {quota.metadata.name}, resources: {','.join(sorted(names))}",
                            final=True)
        return True

    def _delta(self, request: AdmissionRequest) -> dict[str, Any]:
        now = self._clock.now()
        used = counting.usage(request.resource, request.object, now)
        negative = sorted(name for name, value in used.items() if quantity.cmp(value, "0") < 0)
        if negative:
            raise forbidden(request, f"quota usage is negative for resource(s): {','.join(negative)}", final=True)
        if request.operation == "UPDATE":
            used = counting.minus(used, counting.usage(request.resource, request.old, now))
        return {name: value for name, value in used.items() if quantity.cmp(value, "0") != 0}

    @staticmethod
    def _judged(quota: Quota, request: AdmissionRequest, delta: dict[str, Any]) -> Quota:
        used, why = counting.charge(quota, delta)
        if why:
            raise forbidden(request, why, final=True)
        charged = codec.clone(quota)
        charged.status.used = used
        return charged
