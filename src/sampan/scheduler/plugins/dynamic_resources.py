"""DynamicResources: a pod goes where devices for its resource claims are free, or where its claims have theirs.

Source: `plugins/dynamicresources/dynamicresources.go`.
"""

from __future__ import annotations

import numpy as np

from sampan.api.resource.v1 import ResourceClaim
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIMS
from sampan.scheduler.dra.allocate import ExpressionError, allocate, request_classes
from sampan.scheduler.dra.devices import inventory, taken
from sampan.scheduler.nodeselect import selector_rows
from sampan.scheduler.plugins.base import Change, Plugin, Reason, Rejected, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.world import What

CANNOT = "cannot allocate all claims"
ELSEWHERE = "resourceclaim not available on the node"
MOST_CONSUMERS = 256


def claims_of(pod: Shape, snapshot: Snapshot) -> list[ResourceClaim]:
    """The claims that a pod names, those that are there."""
    found = [snapshot.world.get(RESOURCE_CLAIMS, name, pod.namespace) for name in pod.resource_claims if name is not None]
    return [one for one in found if one is not None]


class DynamicResources(Plugin):
    name = "DynamicResources"
    events: frozenset[What] = frozenset(("node", "resource claim", "resource slice", "device class", "pod gone"))

    def prefilter(self, pod: Shape, snapshot: Snapshot) -> Rejected | None:
        for claim in claims_of(pod, snapshot):
            if claim.status.allocation is not None:
                if len(claim.status.reservedFor) >= MOST_CONSUMERS:
                    return Rejected("resourceclaim in use")
                continue
            for request in claim.spec.devices.requests or ():
                for name, class_name in request_classes(request):
                    if not class_name:
                        return Rejected(f"request {name}: unsupported request type")
                    if snapshot.world.get(DEVICE_CLASSES, class_name) is None:
                        return Rejected(f"request {name}: device class {class_name} does not exist")
        return None

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not pod.resource_claims:
            return None
        claims = claims_of(pod, snapshot)
        elsewhere = np.zeros(len(snapshot.alive), np.bool_)
        for claim in claims:
            if claim.status.allocation is not None and claim.status.allocation.nodeSelector is not None:
                elsewhere |= ~selector_rows(snapshot, claim.status.allocation.nodeSelector)
        reasons = [Reason(ELSEWHERE, elsewhere, resolvable=False)]
        bad = elsewhere.copy()
        waiting = [claim for claim in claims if claim.status.allocation is None]
        if waiting:
            refused = self._refused(waiting, snapshot, ~elsewhere & snapshot.alive)
            for text, rows in refused.items():
                mask = np.zeros_like(bad)
                mask[rows] = True
                bad |= mask
                reasons.append(Reason(text, mask, resolvable=False))
        return Verdict(~bad, tuple(reasons)) if bad.any() else None

    @staticmethod
    def _refused(claims: list[ResourceClaim], snapshot: Snapshot, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, list[int]]:
        out: dict[str, list[int]] = {}
        in_use = taken(snapshot)
        offered = np.zeros(len(snapshot.alive), np.bool_)
        for offer in inventory(snapshot).offers:
            offered |= offer.rows
        asked = any(claim.spec.devices.requests for claim in claims)
        for row in np.flatnonzero(rows).tolist():
            try:
                # a node that no device is offered to need not be searched
                served = (offered[row] or not asked) and allocate(claims, snapshot, row, in_use) is not None
            except ExpressionError as error:
                out.setdefault(str(error), []).append(row)
                continue
            if not served:
                out.setdefault(CANNOT, []).append(row)
        return out

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.pod is not None:
            return bool(change.pod.resource_claims)
        if change.what == "node":
            return self.prefilter(pod, snapshot) is None and super().helps(change, pod, snapshot)
        return True
