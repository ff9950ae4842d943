"""Giving devices to claims on one node: the first set, in the order of the offers, that satisfies every request.

A depth-first search over requests, with constraints checked as devices are chosen. A device that several claims may
share is given in shares of its capacity. Source: dynamic-resource-allocation `structured/internal/*/allocator_*.go`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sampan.api import quantity
from sampan.api.cel.errors import CelError
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
from sampan.api.scalars import Quantity, Time
from sampan.lib.errors import SampanError
from sampan.scheduler.dra import capacity
from sampan.scheduler.dra.devices import DeviceId, Inventory, Offer, Taken, inventory
from sampan.scheduler.snapshot import Snapshot

MOST_STEPS = 100_000
MOST_DEVICES = 32
Ask = ExactDeviceRequest | DeviceSubRequest


class TooHard(Exception):
    """The search was given up."""


class ExpressionError(SampanError):
    """A selector cannot be read, or has no answer for a device."""


@dataclass(frozen=True)
class Slot:
    """One way to serve one request: its name in the result, and what it asks for."""

    name: str
    ask: Ask
    matching: tuple[Offer, ...]

    @property
    def admin(self) -> bool:
        return isinstance(self.ask, ExactDeviceRequest) and bool(self.ask.adminAccess)


@dataclass(frozen=True)
class Choice:
    """A device, or a share of one, for a request."""

    slot: Slot
    offer: Offer
    share: dict[str, Quantity] | None = None


@dataclass
class Search:
    """The state of one search: what is taken, what was chosen."""

    snapshot: Snapshot
    row: int
    found: Inventory
    in_use: Mapping[DeviceId, int]
    taken: set[DeviceId]  # by this search
    shares: dict[DeviceId, dict[str, int]]
    counters: dict[tuple[str, str, str, str], int]
    steps: int = 0
    chosen: list[list[Choice]] = field(default_factory=list)

    def free(self, slot: Slot, offer: Offer) -> bool:
        """Whether nobody has it, as far as the request minds."""
        return slot.admin or offer.shared or not self._is_taken(offer.id)

    def _is_taken(self, id: DeviceId) -> bool:
        return id in self.taken or id in self.in_use

    def take(self, slot: Slot, offer: Offer) -> Choice | None:
        """Take the device, or a share; None: not enough is left."""
        if slot.admin:
            return Choice(slot, offer)
        if not offer.shared:
            if self._is_taken(offer.id) or not self._consume(offer, -1):
                return None
            self.taken.add(offer.id)
            return Choice(slot, offer)
        share = capacity.share(offer.device, slot.ask.capacity)
        used = self.shares.get(offer.id, {})
        if share is None or any(used.get(name, 0) + quantity.nano(amount) > quantity.nano(offer.device.capacity[name].value)
                                for name, amount in share.items()):
            return None
        if offer.id not in self.shares and not self._consume(offer, -1):
            return None
        self.shares[offer.id] = {name: used.get(name, 0) + quantity.nano(amount) for name, amount in share.items()}
        return Choice(slot, offer, share)

    def give_back(self, one: Choice, before: dict[str, int] | None) -> None:
        """Undo `take`; `before`: what was used of a shared device."""
        if one.slot.admin:
            return
        if one.share is None:
            self.taken.discard(one.offer.id)
            self._consume(one.offer, 1)
        elif before is not None:
            self.shares[one.offer.id] = before
        else:
            del self.shares[one.offer.id]
            self._consume(one.offer, 1)

    def _consume(self, offer: Offer, sign: int) -> bool:
        """Count what a device takes of shared counters; where that is too much, nothing is counted."""
        if _consume(self.counters, offer, sign):
            return True
        if sign < 0:
            _consume(self.counters, offer, 1)
        return False


def request_classes(request: DeviceRequest) -> list[tuple[str, str]]:
    """(name of the request in messages, device class) of everything that it asks for."""
    if request.exactly is not None:
        return [(request.name, request.exactly.deviceClassName)]
    return [(f"{request.name}/{one.name}", one.deviceClassName) for one in request.firstAvailable]


def allocate(claims: Sequence[ResourceClaim], snapshot: Snapshot, row: int, taken: Taken, now: datetime | None = None) -> list[AllocationResult] | None:
    """What each claim gets on the node of a row; None: not all of them can be served there.

    Raises:
        ExpressionError: A selector has no answer.
    """
    found = inventory(snapshot)
    search = Search(snapshot, row, found, taken.devices, set(), dict(taken.shares), _left(found, taken))
    try:
        if not _claims(search, claims, 0):
            return None
    except TooHard:
        return None
    node = snapshot.node(row).metadata.name
    return [_result(claim, chosen, snapshot, node, now) for claim, chosen in zip(claims, search.chosen, strict=True)]


def _left(found: Inventory, taken: Taken) -> dict[tuple[str, str, str, str], int]:
    left = dict(found.counters)
    if left:
        for offer in found.offers:
            if offer.id in taken.devices or offer.id in taken.shares:
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
    for slot in _slots(search, claims[index], requests[number]):
        everything = slot.ask.allocationMode == "All"
        free = tuple(one for one in slot.matching if search.free(slot, one))
        if everything and (not slot.matching or len(free) < len(slot.matching) or any(one.incomplete for one in slot.matching)):
            continue
        count = len(free) if everything else max(slot.ask.count, 1)
        again = not everything and not slot.admin and any(one.shared for one in free)  # one device may serve several times
        if count <= MOST_DEVICES and (again or count <= len(free)) and _devices(search, claims, (index, number), slot, free, (0, count)):
            return True
    return False


def _devices(search: Search, claims: Sequence[ResourceClaim], at: tuple[int, int], slot: Slot, free: Sequence[Offer], left: tuple[int, int]) -> bool:
    """`at`: the claim and its request; `left`: where to go on in `free`, and how many are wanted."""
    (index, number), (start, count) = at, left
    if count == 0:
        return _requests(search, claims, index, number + 1)
    everything = slot.ask.allocationMode == "All"
    last = len(free) if any(one.shared for one in free) else len(free) - count + 1
    for place in range(start, last):
        search.steps += 1
        if search.steps > MOST_STEPS:
            raise TooHard
        offer = free[place]
        if not _constraints(claims[index], search.chosen[index], slot, offer):
            if everything:
                return False
            continue
        before = search.shares.get(offer.id)
        choice = search.take(slot, offer)
        if choice is not None:
            search.chosen[index].append(choice)
            following = place if offer.shared and not everything and not slot.admin else place + 1
            if _devices(search, claims, at, slot, free, (following, count - 1)):
                return True
            search.chosen[index].pop()
            search.give_back(choice, before)
        if everything:
            return False
    return False


def _constraints(claim: ResourceClaim, chosen: Sequence[Choice], slot: Slot, offer: Offer) -> bool:
    for one in claim.spec.devices.constraints:
        if one.requests and not _named(slot.name, one.requests):
            continue
        others = [before.offer for before in chosen if not one.requests or _named(before.slot.name, one.requests)]
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


def _slots(search: Search, claim: ResourceClaim, request: DeviceRequest) -> Iterator[Slot]:
    if request.exactly is not None:
        yield Slot(request.name, request.exactly, _matching(search, claim, request.exactly))
    for one in request.firstAvailable:
        yield Slot(f"{request.name}/{one.name}", one, _matching(search, claim, one))


def _matching(search: Search, claim: ResourceClaim, ask: Ask) -> tuple[Offer, ...]:
    found = search.snapshot.world.get(DEVICE_CLASSES, ask.deviceClassName)
    if found is None:
        return ()
    meta = claim.metadata
    selectors = [(f"{owner}: selector #{number}", one.cel.expression)
                 for owner, those in ((f"class {found.metadata.name}", found.spec.selectors), (f"claim {meta.namespace}/{meta.name}", ask.selectors))
                 for number, one in enumerate(those) if one.cel is not None]
    return tuple(search.found.offers[place] for place in search.found.on(search.row) if _fits(search.found, place, ask, selectors))


def _fits(found: Inventory, place: int, ask: Ask, selectors: Sequence[tuple[str, str]]) -> bool:
    for name, expression in selectors:
        try:
            if not found.holds(expression, place):
                return False
        except CelError as error:
            raise ExpressionError(f"{name}: {error}") from None
    offer = found.offers[place]
    if not offer.shared and not capacity.offers(offer.device, ask.capacity):
        return False
    return _tolerated(offer, ask.tolerations)


def _tolerated(offer: Offer, tolerations: Sequence[DeviceToleration]) -> bool:
    return all(taint.effect not in ("NoSchedule", "NoExecute") or any(
        one.effect in ("", taint.effect) and one.key in ("", taint.key) and (one.operator == "Exists" or one.value == taint.value)
        for one in tolerations) for taint in offer.device.taints)


def _result(claim: ResourceClaim, chosen: Sequence[Choice], snapshot: Snapshot, node: str, now: datetime | None) -> AllocationResult:
    results = [DeviceRequestAllocationResult(
        request=one.slot.name, driver=one.offer.id.driver, pool=one.offer.id.pool, device=one.offer.id.device,
        adminAccess=True if one.slot.admin else None, tolerations=one.slot.ask.tolerations,
        bindingConditions=one.offer.device.bindingConditions, bindingFailureConditions=one.offer.device.bindingFailureConditions,
        shareID=_share_id(claim, number, now) if one.share is not None else None, consumedCapacity=one.share or {},
    ) for number, one in enumerate(chosen)]
    return AllocationResult(devices=DeviceAllocationResult(results=results, config=_config(claim, chosen, snapshot)),
                            nodeSelector=_nodes([one.offer for one in chosen], node), allocationTimestamp=Time.of(now) if now is not None else None)


def _share_id(claim: ResourceClaim, number: int, now: datetime | None) -> str:
    """A uid for a share: no other share, before or after, has it."""
    found = hashlib.sha256(f"{claim.metadata.uid} {number} {now}".encode()).hexdigest()
    return f"{found[:8]}-{found[8:12]}-8{found[13:16]}-8{found[17:20]}-{found[20:32]}"


def _config(claim: ResourceClaim, chosen: Sequence[Choice], snapshot: Snapshot) -> list[DeviceAllocationConfiguration]:
    out = []
    for name, class_name in dict.fromkeys((one.slot.name, one.slot.ask.deviceClassName) for one in chosen):
        found: DeviceClass | None = snapshot.world.get(DEVICE_CLASSES, class_name)
        out += [DeviceAllocationConfiguration(source="FromClass", requests=[name], opaque=one.opaque) for one in (found.spec.config if found else ())]
    served = {one.slot.name for one in chosen}
    out += [DeviceAllocationConfiguration(source="FromClaim", requests=one.requests, opaque=one.opaque) for one in claim.spec.devices.config
            if not one.requests or any(_named(name, one.requests) for name in served)]
    return out


def _nodes(offers: Sequence[Offer], node: str) -> NodeSelector | None:
    """Where the devices can be used: one node if any is of it, what all selectors say otherwise."""
    if any(offer.node or offer.device.bindsToNode for offer in offers):
        term = NodeSelectorTerm(matchFields=[NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])])
        return NodeSelector(nodeSelectorTerms=[term])
    terms = [term for offer in offers if offer.selector is not None for term in offer.selector.nodeSelectorTerms or ()]
    if not terms:
        return None
    both = NodeSelectorTerm(matchExpressions=[one for term in terms for one in term.matchExpressions],
                            matchFields=[one for term in terms for one in term.matchFields])
    return NodeSelector(nodeSelectorTerms=[both])


__all__ = ["ExpressionError", "allocate", "request_classes"]
