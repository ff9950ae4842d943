"""DynamicResources: a pod goes where devices for its resource claims are free, or where its claims have theirs.

Source: `plugins/dynamicresources/dynamicresources.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resource.v1 import AllocationResult, DeviceSelector, ResourceClaim
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIMS
from sampan.scheduler.dra.allocate import ClaimError, PoolError, allocate, request_classes
from sampan.scheduler.dra.devices import NO_DEVICES, Inventory, Taken, inventory, taken
from sampan.scheduler.dra.extended import variants, wants_devices
from sampan.scheduler.nodeselect import selector_rows
from sampan.scheduler.normalize import to_hundred
from sampan.scheduler.plugins.base import Change, Plugin, PluginError, Reason, Rejected, Verdict
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Snapshot
from sampan.scheduler.world import What

CANNOT = "cannot allocate all claims"
ELSEWHERE = "resourceclaim not available on the node"
MOST_CONSUMERS = 256
MOST_ALTERNATIVES = 8
MOST_REMEMBERED = 256


def claims_of(pod: Shape, snapshot: Snapshot) -> list[ResourceClaim]:
    """The claims that a pod names, those that are there."""
    found = [snapshot.world.get(RESOURCE_CLAIMS, name, pod.namespace) for name in pod.resource_claims if name is not None]
    return [one for one in found if one is not None]


def _said(claims: list[ResourceClaim], snapshot: Snapshot, row: int, in_use: Taken) -> str:
    """Why a row cannot serve the claims; "": it can.

    Raises:
        PluginError: There is something wrong with a claim or its class.
    """
    try:
        return "" if allocate(claims, snapshot, row, in_use) is not None else CANNOT
    except PoolError as error:
        return str(error)
    except ClaimError as error:
        raise PluginError(f'running "{DynamicResources.name}" filter plugin: {error}') from None


def _remembered(claims: list[ResourceClaim], found: Inventory, in_use: Taken, snapshot: Snapshot) -> dict[int, tuple[Any, str]]:
    """What was said of rows to claims that ask for the same; nothing where devices of other rows may matter."""
    if found.counters or in_use.shares or any(offer.rows is not None for offer in found.offers):
        return {}
    names = [one.metadata.name if any(found_selectors(one)) else "" for one in claims]  # errors name the claim
    key = codec.encode((snapshot.world.version(DEVICE_CLASSES), names, [one.spec for one in claims]))
    if key not in found.memory and len(found.memory) >= MOST_REMEMBERED:
        found.memory.clear()
    return found.memory.setdefault(key, {})


def found_selectors(claim: ResourceClaim) -> Iterator[DeviceSelector]:
    """Every selector of a claim's requests."""
    for request in claim.spec.devices.requests or ():
        for one in ((request.exactly,) if request.exactly is not None else request.firstAvailable):
            yield from one.selectors


def _rank(claim: ResourceClaim, result: AllocationResult) -> int:
    """How early the alternatives are that were chosen: the more the better."""
    chosen = {one.request for one in result.devices.results}
    return sum(MOST_ALTERNATIVES - place for request in claim.spec.devices.requests or () for place, one in enumerate(request.firstAvailable)
               if f"{request.name}/{one.name}" in chosen)


def useless_claim(pod: Pod, shape: Shape, snapshot: Snapshot) -> ResourceClaim | None:
    """A claim of a pod that fits nowhere whose devices are not where the pod could be, and which nobody else uses: it may have others."""
    for claim in claims_of(shape, snapshot):
        given = claim.status.allocation
        if given is None or given.nodeSelector is None or any(one.uid != pod.metadata.uid for one in claim.status.reservedFor):
            continue
        if (snapshot.alive & ~selector_rows(snapshot, given.nodeSelector)).any():
            return claim
    return None


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

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        """Where a claim has alternatives, the nodes that can serve an earlier one are better."""
        claims = claims_of(pod, snapshot)
        if not any(request.firstAvailable for claim in claims for request in claim.spec.devices.requests or ()):
            return None
        waiting = [claim for claim in claims if claim.status.allocation is None]
        raw, in_use = np.zeros(len(snapshot.alive), np.float64), taken(snapshot)
        for rows, extra in variants(pod, snapshot, feasible):
            wanted = waiting if extra is None else [*waiting, extra]
            for row in np.flatnonzero(rows).tolist():
                found = iter(allocate(wanted, snapshot, row, in_use) or ())
                given = [claim.status.allocation or next(found, None) for claim in claims]
                raw[row] = sum(_rank(claim, result) for claim, result in zip(claims, given, strict=True) if result is not None)
        return to_hundred(raw, feasible)

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        if not wants_devices(pod, snapshot):
            return None
        claims = claims_of(pod, snapshot)
        elsewhere = np.zeros(len(snapshot.alive), np.bool_)
        for claim in claims:
            if claim.status.allocation is not None and claim.status.allocation.nodeSelector is not None:
                elsewhere |= ~selector_rows(snapshot, claim.status.allocation.nodeSelector)
        reasons: list[Reason] = []
        bad = np.zeros_like(elsewhere)
        waiting = [claim for claim in claims if claim.status.allocation is None]
        refused: dict[str, list[int]] = {}
        for rows, extra in variants(pod, snapshot, snapshot.alive):
            wanted = waiting if extra is None else [*waiting, extra]
            for text, found in (self._refused(wanted, snapshot, rows) if wanted else {}).items():
                refused.setdefault(text, []).extend(found)
        for text, found in refused.items():
            mask = np.zeros_like(bad)
            mask[found] = True
            bad |= mask
            reasons.append(Reason(text, mask, resolvable=False))
        reasons.append(Reason(ELSEWHERE, elsewhere & ~bad, resolvable=False))  # told of where all that is to be allocated could be
        bad |= elsewhere
        return Verdict(~bad, tuple(reasons)) if bad.any() else None

    @staticmethod
    def _refused(claims: list[ResourceClaim], snapshot: Snapshot, rows: Mask) -> dict[str, list[int]]:
        out: dict[str, list[int]] = {}
        found, in_use = inventory(snapshot), taken(snapshot)
        tried = rows
        if any(claim.spec.devices.requests for claim in claims):  # a node that no device is offered to need not be searched
            tried = rows & found.rows(len(rows))
            out[CANNOT] = np.flatnonzero(rows & ~tried).tolist()
        known = _remembered(claims, found, in_use, snapshot)
        there = in_use.by_row(found)
        for row in np.flatnonzero(tried).tolist():
            state = there.get(row, NO_DEVICES)
            before, said = known.get(row, (None, ""))
            if before != state:
                said = _said(claims, snapshot, row, in_use)
                known[row] = state, said
            if said:
                out.setdefault(said, []).append(row)
        return out

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        if change.pod is not None:
            return bool(change.pod.resource_claims)
        if change.what == "node":
            return change.relabelled(snapshot) or change.before.status.allocatable != snapshot.node(change.row).status.allocatable
        return change.what != "resource claim" or self._claim_helps(change, pod, snapshot)

    @staticmethod
    def _claim_helps(change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        """A claim that has given its devices back helps all, any other change of it those that use it."""
        namespace, name = change.key
        claim = snapshot.world.get(RESOURCE_CLAIMS, name, namespace)
        if claim is None or (change.before is not None and change.before.status.allocation is not None and claim.status.allocation != change.before.status.allocation):
            return True
        mine = namespace == pod.namespace and name in pod.resource_claims
        return mine and (change.before is None or change.before.status != claim.status)
