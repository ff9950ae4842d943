"""Giving devices to claims on one node: the first set, in the order of the offers, that satisfies every request.

A depth-first search over requests, with constraints checked as devices are chosen. Left out: consumable capacity of
devices that several claims share. Source: dynamic-resource-allocation `structured/internal/stable/allocator_stable.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampan.api import quantity
from sampan.api.core.v1 import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from sampan.api.resource.v1 import (
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceAllocationResult,
    DeviceClass,
    DeviceRequest,
    DeviceRequestAllocationResult,
    DeviceSubRequest,
    DeviceToleration,
    ExactDeviceRequest,
    ResourceClaim,
)
from sampan.api.resources import DEVICE_CLASSES
from sampan.scheduler.dra.devices import DeviceId, Inventory, Offer, inventory
from sampan.scheduler.dra.expression import ExpressionError, compile_expression
from sampan.scheduler.snapshot import Snapshot

MOST_STEPS = 100_000
MOST_DEVICES = 32
Ask = ExactDeviceRequest | DeviceSubRequest


class TooHard(Exception):
    """The search was given up."""


@dataclass(frozen=True)
class Slot:
    """One way to serve one request: its name in the result, and what it asks for."""

    name: str
    ask: Ask
    matching: tuple[Offer, ...]

    @property
    def admin(self) -> bool:
        return isinstance(self.ask, ExactDeviceRequest) and bool(self.ask.adminAccess)


@dataclass
class Search:
    """The state of one search: what is taken, what was chosen."""

    snapshot: Snapshot
    row: int
    found: Inventory
    taken: set[DeviceId]
    counters: dict[tuple[str, str, str, str], int]
    steps: int = 0
    chosen: list[list[tuple[Slot, Offer]]] = field(default_factory=list)


def request_classes(request: DeviceRequest) -> list[tuple[str, str]]:
    """(name of the request in messages, device class) of everything that it asks for."""
    if request.exactly is not None:
        return [(request.name, request.exactly.deviceClassName)]
    return [(f"{request.name}/{one.name}", one.deviceClassName) for one in request.firstAvailable]


def allocate(claims: Sequence[ResourceClaim], snapshot: Snapshot, row: int, taken: set[DeviceId]) -> list[AllocationResult] | None:
    """What each claim gets on the node of a row; None: not all of them can be served there.

    Raises:
        ExpressionError: A selector has no answer.
    """
    found = inventory(snapshot)
    search = Search(snapshot, row, found, set(taken), _left(found, taken))
    try:
        if not _claims(search, claims, 0):
            return None
    except TooHard:
        return None
    node = snapshot.node(row).metadata.name
    return [_result(claim, chosen, snapshot, node) for claim, chosen in zip(claims, search.chosen, strict=True)]


def _left(found: Inventory, taken: set[DeviceId]) -> dict[tuple[str, str, str, str], int]:
    left = dict(found.counters)
    if left:
        for offer in found.offers:
            if offer.id in taken:
                _consume(left, offer, -1)
    return left


def _consume(left: dict[tuple[str, str, str, str], int], offer: Offer, sign: int) -> bool:
    """Count what a device takes of shared counters; whether all stay above zero."""
    enough = True
    for use in offer.device.consumesCounters:
        for name, counter in use.counters.items():
            key = (offer.id.driver, offer.id.pool, use.counterSet, name)
            left[key] = left.get(key, 0) + sign * quantity.nano(counter.value)
            enough = enough and left[key] >= 0
    return enough


def _claims(search: Search, claims: Sequence[ResourceClaim], index: int) -> bool:
    if index == len(claims):
        return True
    search.chosen.append([])
    if _requests(search, claims, index, 0):
        return True
    search.chosen.pop()
    return False


def _requests(search: Search, claims: Sequence[ResourceClaim], index: int, number: int) -> bool:
    requests = claims[index].spec.devices.requests or []
    if number == len(requests):
        return _claims(search, claims, index + 1)
    for slot in _slots(search, requests[number]):
        everything = slot.ask.allocationMode == "All"
        free = slot.matching if slot.admin else tuple(one for one in slot.matching if one.id not in search.taken)
        if everything and (not slot.matching or len(free) < len(slot.matching) or any(one.incomplete for one in slot.matching)):
            continue
        count = len(free) if everything else max(slot.ask.count, 1)
        if count <= MOST_DEVICES and count <= len(free) and _devices(search, claims, index, number, slot, free, 0, count):
            return True
    return False


def _devices(search: Search, claims: Sequence[ResourceClaim], index: int, number: int,
             slot: Slot, free: Sequence[Offer], start: int, count: int) -> bool:
    if count == 0:
        return _requests(search, claims, index, number + 1)
    for place in range(start, len(free) - count + 1):
        search.steps += 1
        if search.steps > MOST_STEPS:
            raise TooHard
        offer = free[place]
        if (offer.id in search.taken and not slot.admin) or not _constraints(claims[index], search.chosen[index], slot, offer):
            continue
        enough = slot.admin or _consume(search.counters, offer, -1)
        if enough:
            search.chosen[index].append((slot, offer))
            if not slot.admin:
                search.taken.add(offer.id)
            if _devices(search, claims, index, number, slot, free, place + 1, count - 1):
                return True
            search.chosen[index].pop()
            search.taken.discard(offer.id)
        if not slot.admin:
            _consume(search.counters, offer, 1)
    return False


def _constraints(claim: ResourceClaim, chosen: Sequence[tuple[Slot, Offer]], slot: Slot, offer: Offer) -> bool:
    for one in claim.spec.devices.constraints:
        if one.requests and not _named(slot.name, one.requests):
            continue
        others = [other for before, other in chosen if not one.requests or _named(before.name, one.requests)]
        for name, same in ((one.matchAttribute, True), (one.distinctAttribute, False)):
            if name is None:
                continue
            value = offer.attribute(name)
            if value is None or any(_same(other.attribute(name), value) is not same for other in others):
                return False
    return True


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _named(name: str, requests: Sequence[str]) -> bool:
    return name in requests or name.split("/", 1)[0] in requests


def _slots(search: Search, request: DeviceRequest) -> Iterator[Slot]:
    if request.exactly is not None:
        yield Slot(request.name, request.exactly, _matching(search, request.exactly))
    for one in request.firstAvailable:
        yield Slot(f"{request.name}/{one.name}", one, _matching(search, one))


def _matching(search: Search, ask: Ask) -> tuple[Offer, ...]:
    found = search.snapshot.world.get(DEVICE_CLASSES, ask.deviceClassName)
    if found is None:
        return ()
    texts = [one.cel.expression for one in (*found.spec.selectors, *ask.selectors) if one.cel is not None]
    checks = [compile_expression(text) for text in texts]
    out = []
    for offer in search.found.offers:
        if offer.rows[search.row] and _tolerated(offer, ask.tolerations):
            variables = offer.variables() if checks else {}
            if all(check(variables) for check in checks):
                out.append(offer)
    return tuple(out)


def _tolerated(offer: Offer, tolerations: Sequence[DeviceToleration]) -> bool:
    return all(taint.effect not in ("NoSchedule", "NoExecute") or any(
        one.effect in ("", taint.effect) and one.key in ("", taint.key) and (one.operator == "Exists" or one.value == taint.value)
        for one in tolerations) for taint in offer.device.taints)


def _result(claim: ResourceClaim, chosen: Sequence[tuple[Slot, Offer]], snapshot: Snapshot, node: str) -> AllocationResult:
    results = [DeviceRequestAllocationResult(request=slot.name, driver=offer.id.driver, pool=offer.id.pool, device=offer.id.device,
                                             adminAccess=True if slot.admin else None, tolerations=slot.ask.tolerations,
                                             bindingConditions=offer.device.bindingConditions,
                                             bindingFailureConditions=offer.device.bindingFailureConditions) for slot, offer in chosen]
    return AllocationResult(devices=DeviceAllocationResult(results=results, config=_config(claim, chosen, snapshot)),
                            nodeSelector=_nodes(chosen, node))


def _config(claim: ResourceClaim, chosen: Sequence[tuple[Slot, Offer]], snapshot: Snapshot) -> list[DeviceAllocationConfiguration]:
    out = []
    for name, class_name in dict.fromkeys((slot.name, slot.ask.deviceClassName) for slot, _ in chosen):
        found: DeviceClass | None = snapshot.world.get(DEVICE_CLASSES, class_name)
        out += [DeviceAllocationConfiguration(source="FromClass", requests=[name], opaque=one.opaque) for one in (found.spec.config if found else ())]
    served = {slot.name for slot, _ in chosen}
    out += [DeviceAllocationConfiguration(source="FromClaim", requests=one.requests, opaque=one.opaque) for one in claim.spec.devices.config
            if not one.requests or any(_named(name, one.requests) for name in served)]
    return out


def _nodes(chosen: Sequence[tuple[Slot, Offer]], node: str) -> NodeSelector | None:
    """Where the devices can be used: one node if any is of it, what all selectors say otherwise."""
    if any(offer.node for _, offer in chosen):
        term = NodeSelectorTerm(matchFields=[NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])])
        return NodeSelector(nodeSelectorTerms=[term])
    terms = [term for _, offer in chosen if offer.selector is not None for term in offer.selector.nodeSelectorTerms or ()]
    if not terms:
        return None
    both = NodeSelectorTerm(matchExpressions=[one for term in terms for one in term.matchExpressions],
                            matchFields=[one for term in terms for one in term.matchFields])
    return NodeSelector(nodeSelectorTerms=[both])


__all__ = ["ExpressionError", "allocate", "request_classes"]
