"""ResourceQuota: what is about to be written is charged to the namespace's quotas, or refused.

A charge is a compare-and-swap of the quota's status, so that two writes at once can't both take the last piece; the
quota controller counts anew from time to time and mends what a failed write left charged.
Source: apiserver `pkg/admission/plugin/resourcequota`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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


_IGNORED = frozenset((
    "bindings", "componentstatuses", "tokenreviews.authentication.k8s.io", "selfsubjectreviews.authentication.k8s.io",
    "subjectaccessreviews.authorization.k8s.io", "selfsubjectaccessreviews.authorization.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io",
    "events", "events.events.k8s.io"))
_UPDATES = frozenset((("services", ""), ("persistentvolumeclaims", ""), ("persistentvolumeclaims", "status"), ("pods", "resize")))


class ResourceQuota:
    """The last plugin: nothing is charged that somebody else refuses."""

    name = "ResourceQuota"

    def __init__(self, readers: Readers, clock: Clock, writer: StatusWriter | None = None) -> None:
        self._quotas, self._clock = readers.of(RESOURCE_QUOTAS), clock
        self.writer = writer
        """Set by whoever makes the registry, which in turn needs this plugin; without it nothing is charged."""

    def handles(self, request: AdmissionRequest) -> bool:
        """What is made in a namespace; services, claims and pods' sizes and deadlines when they change, too."""
        name = request.resource.group_resource
        if not request.resource.namespaced or name in _IGNORED:
            return False
        if request.operation == "CREATE":
            return not request.subresource
        if request.operation != "UPDATE":
            return False
        if (name, request.subresource) == ("pods", ""):
            return counting.is_terminating(request.object) != counting.is_terminating(request.old)
        return (name, request.subresource) in _UPDATES

    async def validate(self, request: AdmissionRequest) -> None:
        """Charge all quotas that match, or refuse."""
        quotas = [entry.object for entry in self._quotas.entries(request.namespace)]
        fitting = [quota for quota in quotas if self._fits(quota, request)]
        if not fitting:
            return
        usage, delta = self._delta(request)
        charges = []
        for quota in fitting:
            # what an update brings into the quota is all new to it
            is_new = request.operation == "CREATE" or not counting.matches(quota, request.resource, request.old)
            amounts = {name: value for name, value in (usage if is_new else delta).items() if quantity.cmp(value, "0") != 0}
            self._judged(quota, request, amounts)
            if any(name in quota.status.hard for name in amounts):
                charges.append((quota.metadata.name, amounts))
        if request.dry_run or self.writer is None:
            return
        for name, amounts in charges:
            await self.writer.swap(request.namespace, name, partial(self._judged, request=request, delta=amounts))

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

    def _delta(self, request: AdmissionRequest) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the object counts, and by how much that has grown."""
        now = self._clock.now()
        used = counting.usage(request.resource, request.object, now)
        negative = sorted(name for name, value in used.items() if quantity.cmp(value, "0") < 0)
        if negative:
            raise forbidden(request, f"quota usage is negative for resource(s): {','.join(negative)}", final=True)
        if request.operation == "CREATE":
            return used, used
        return used, counting.grown(used, counting.usage(request.resource, request.old, now))

    @staticmethod
    def _judged(quota: Quota, request: AdmissionRequest, delta: dict[str, Any]) -> Quota:
        used, why = counting.charge(quota, delta)
        if why and request.subresource != "status":
            raise forbidden(request, why, final=True)
        charged = codec.clone(quota)
        charged.status.used = used
        return charged
